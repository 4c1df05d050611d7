//! Text for a terminal of 80 columns or more: wrapped, and coloured where that helps.

use proctor::lab::{Lab, Rule};
use std::io::IsTerminal;

/// No line is longer.
const WIDTH: usize = 80;

/// `words`, wrapped; the first line starts with `label`, the others as far to the right.
pub fn wrap(label: &str, words: &str) -> String {
    let indent = label.chars().count();
    let mut text = label.to_owned();
    let mut column = indent;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if column > indent {
            if column + 1 + width > WIDTH {
                text.push_str(&format!("\n{:indent$}", ""));
                column = indent;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_word_is_lost() {
        let words = "The chunk after a free one repeats its size in the word before its own. ".repeat(4);
        let text = wrap("  read   ", &words);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("         ")), "{text}");
        let kept: Vec<&str> = text.split_whitespace().skip(1).collect();
        assert_eq!(kept, words.split_whitespace().collect::<Vec<_>>());
    }
}
