//! What learners wrote, on a page: text, never markup.

use crate::entry::is_obeyed;
use std::fmt::{self, Display, Formatter};

/// The most of a screen that a page shows; all of it is in the report.
const MAX_SCREEN: usize = 16 << 10;

/// What every page says first: nothing is ever loaded from anywhere.
pub const HEAD: &str = r#"<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">"#;

/// How every page looks.
pub const STYLE: &str = include_str!("html/style.css");

/// As much of a screen as a page shows.
pub fn shorten(screen: &str) -> &str {
    &screen[..screen.floor_char_boundary(MAX_SCREEN)]
}

/// Text as HTML shows it, in content and in attributes.
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{c}")?,
                c if is_obeyed(c) => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
