//! How wide the reader's terminal is, and text that fits into it.

use candidate::wire::REPORT_FILE;
use std::fmt::Write;
use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::{AsRawFd, RawFd};

/// As wide as a screen gets: where no terminal is, too.
pub const WIDEST: usize = 100;
/// In a terminal that is narrower, lines are broken by the terminal.
pub const NARROWEST: usize = 60;

/// How many columns a line may have: those of the terminal, within reason. A report is read elsewhere, and looks the same from
/// wherever it comes.
pub fn width() -> usize {
    let reported = std::env::var_os(REPORT_FILE).is_some();
    let terminal = [(stdout().is_terminal(), stdout().as_raw_fd()), (stderr().is_terminal(), stderr().as_raw_fd())];
    match terminal.into_iter().find(|(is_terminal, _)| *is_terminal && !reported) {
        Some((_, terminal)) => asked_for().or_else(|| columns(terminal)).unwrap_or(WIDEST).clamp(NARROWEST, WIDEST),
        None => WIDEST,
    }
}

/// What the reader says about their terminal.
fn asked_for() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// What the terminal says about itself; some say 0.
fn columns(terminal: RawFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills in a `winsize`, and this one is ours.
    let answered = unsafe { libc::ioctl(terminal, libc::TIOCGWINSZ, &raw mut size) } == 0;
    (answered && size.ws_col > 0).then_some(size.ws_col.into())
}

/// `words` in lines of at most `width` columns. The first one starts with `label`, the others as far to the right.
pub fn wrap(label: &str, words: &str, width: usize) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    fold(&format!("{label}{}", words.join(" ")), label.chars().count(), width)
}

/// A line that is laid out already, in as many lines of at most `width` columns as it takes: each but the first starts with
/// `indent` spaces.
pub fn fold(line: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut rest: Vec<char> = line.trim_end().chars().collect();
    while rest.len() > width {
        // A word that is longer than a line is cut.
        let end = (indent + 1..=width).rev().find(|&at| rest[at] == ' ').unwrap_or(width);
        let first: String = rest[..end].iter().collect();
        let _ = writeln!(text, "{}", first.trim_end());
        let next = rest.drain(end..).skip_while(|c| *c == ' ');
        rest = std::iter::repeat_n(' ', indent).chain(next).collect();
    }
    text.extend(rest);
    text.push('\n');
    text
}

/// The beginning of a word that is too long.
pub fn shorten(word: &str, width: usize) -> String {
    match word.chars().count() {
        count if count <= width => word.to_owned(),
        _ => word.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_and_no_word_is_lost() {
        let words = "The chunk after a free one repeats its size in the word before its own. ".repeat(4);
        for width in [20, 60, 80, 100] {
            let text = wrap("  read   ", &words, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(text.lines().skip(1).all(|line| line.starts_with("         ")), "{text}");
            let kept: Vec<&str> = text.split_whitespace().skip(1).collect();
            assert_eq!(kept, words.split_whitespace().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_line_with_columns_keeps_them_as_long_as_it_fits() {
        let line = "  +0x0000   free    80   P   fd → end   bk → head   ◄ different";
        assert_eq!(fold(line, 6, 80), format!("{line}\n"));
        assert_eq!(fold(line, 6, 54), "  +0x0000   free    80   P   fd → end   bk → head   ◄\n      different\n");
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut() {
        assert_eq!(fold(&"x".repeat(25), 2, 10), "xxxxxxxxxx\n  xxxxxxxx\n  xxxxxxx\n");
        assert_eq!((shorten("unlinking", 9), shorten("unlinking", 5)), ("unlinking".into(), "unli…".into()));
    }
}
