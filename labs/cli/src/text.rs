//! Text for a terminal: wrapped, and coloured where that helps.

use proctor::lab::{Lab, Rule};
use proctor::terminal;
use std::io::IsTerminal;

/// No line is longer.
pub fn width() -> usize {
    /// Longer lines are harder to read.
    const WIDEST: usize = 80;
    terminal::width().min(WIDEST)
}

/// `words`, wrapped; the first line starts with `label`, the others as far to the right.
pub fn wrap(label: &str, words: &str) -> String {
    terminal::wrap(label, words, width())
}

/// A line of code, indented. It is never broken.
pub fn code(line: &str) -> String {
    if line.is_empty() { "\n".to_owned() } else { format!("{}\n", paint(Style::Cyan, &format!("    {line}"))) }
}

/// Where the book explains `rule`.
pub fn page(lab: &Lab, rule: &Rule) -> String {
    let section = rule.page.split_once('#').map_or("", |(_, anchor)| anchor).replace('-', " ");
    let title = if section.is_empty() { lab.title.clone() } else { format!("{} › {section}", lab.title) };
    format!("{title} (cargo book, then {})", rule.page)
}

/// An emphasis, if somebody looks at it on a terminal.
#[derive(Clone, Copy)]
pub enum Style {
    Bold,
    Dim,
    Green,
    Cyan,
}

/// `text` in `style`.
pub fn paint(style: Style, text: &str) -> String {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if no_color || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Green => 32,
        Style::Cyan => 36,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
