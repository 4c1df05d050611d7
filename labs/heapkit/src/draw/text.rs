//! The heap picture as text: one line a chunk.

use super::{Mark, flag_letters};
use crate::format::{FLAGS, IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use crate::image::{Block, Image, Link, List, Offset, State, UNSET};
use std::fmt::Write;

/// Draws the heap, one line a chunk, with its marks; the image's own defects are marks too. The same mark is there once.
///
/// ```text
/// +0x0000   used    80   P
/// +0x0050   free    80   P   fd → +0x0100   bk → head    ◄ freed last, but second in the list
/// ```
pub fn heap(image: &Image, marks: &[Mark]) -> String {
    heap_within(WIDTH, image, marks)
}

/// The same in lines of at most `columns`, which are 56 or more: where links or notes have no room, they go on in the next line.
pub fn heap_within(columns: usize, image: &Image, marks: &[Mark]) -> String {
    let columns = columns.min(WIDTH);
    let defects = image.defects.iter().map(|defect| Mark { at: defect.at, note: defect.what.clone() });
    let mut marks: Vec<Mark> = marks.iter().cloned().chain(defects).collect();
    for i in (1..marks.len()).rev() {
        if marks[..i].contains(&marks[i]) {
            marks.remove(i);
        }
    }
    // Offsets above 0xffff are wider than others.
    let width = image.blocks.last().map_or(0, |last| Offset(last.at).to_string().len());
    let mut text = String::new();
    for block in &image.blocks {
        let mut line = line(columns, block, &image.lists, width);
        for mark in marks.extract_if(.., |mark| (block.at..block.end()).contains(&mark.at)) {
            annotate(columns, &mut line, &mark.note);
        }
        text.push_str(&line);
        text.push('\n');
    }
    // What lies after the last block that could be read.
    for mark in marks {
        let mut line = format!("{}   ????", Offset(mark.at));
        annotate(columns, &mut line, &mark.note);
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Draws the order of the free list.
///
/// ```text
/// head → +0x0050 → +0x0000 → end
/// ```
pub fn list(list: &List) -> String {
    let mut text = String::from("head");
    for &at in &list.chunks {
        let _ = write!(text, " → {}", Offset(at));
    }
    let _ = match list.last {
        Link::End => write!(text, " → end"),
        Link::To(at) if list.chunks.contains(&at) => {
            write!(text, " → {} again: a circle", Offset(at))
        }
        Link::To(at) => write!(text, " → {}, where no chunk starts", Offset(at)),
        Link::Wild(UNSET) => write!(text, " → nowhere: fd was never written"),
        Link::Wild(word) => write!(text, " → {word:#x}, outside the heap"),
        Link::Payload => write!(text, ", which isn't free"),
    };
    text
}

/// Says what a size word says: `0x0051: size 0x50, P = 1 "the chunk before is in use"`. M and A are named where they are set.
pub fn size_word_in_words(word: usize) -> String {
    let is_set = |flag| word & flag != 0;
    let mut text = format!("{word:#06x}: size {:#x}", word & !FLAGS);
    text.push_str(match (is_set(IS_MMAPPED), is_set(PREV_INUSE)) {
        (false, false) => ", P = 0 \"the chunk before is free\"",
        (false, true) => ", P = 1 \"the chunk before is in use\"",
        (true, false) => ", M = 1 \"a mapping of its own\"",
        // A mapping has no chunk before it, so that P says nothing.
        (true, true) => ", M = 1 \"a mapping of its own\", P = 1",
    });
    if is_set(NON_MAIN_ARENA) {
        text.push_str(", A = 1 \"from another thread's arena\"");
    }
    text
}

/// A word in hexadecimal; fresh memory is said to be just that.
pub fn word(value: usize) -> String {
    if value == UNSET { "unset: nobody wrote this word".into() } else { format!("{value:#06x}") }
}

/// A number of bytes, as a story says it: the limits of Rust's types by name, huge numbers in GiB.
pub fn bytes(count: usize) -> String {
    const GIB: usize = 1 << 30;
    const ISIZE_MAX: usize = isize::MAX as usize;
    match count {
        usize::MAX => "usize::MAX".into(),
        ISIZE_MAX => "isize::MAX".into(),
        _ if count >= usize::MAX - 4096 => format!("usize::MAX - {}", usize::MAX - count),
        _ if count < ISIZE_MAX && ISIZE_MAX - count < 4096 => format!("isize::MAX - {}", ISIZE_MAX - count),
        _ if count > ISIZE_MAX && count - ISIZE_MAX < 4096 => format!("isize::MAX + {}", count - ISIZE_MAX),
        _ if count >= GIB && count.is_multiple_of(GIB) => format!("{} GiB", count / GIB),
        _ => count.to_string(),
    }
}

fn line(columns: usize, block: &Block, lists: &[List], width: usize) -> String {
    let state = match block.state {
        State::Used => "used",
        State::Free => "free",
        State::Top => "top",
        State::Fence => "fence",
        State::Mapped => "mapped",
        State::Foreign => "other",
    };
    let at = Offset(block.at).to_string();
    // A size of more than ten digits is wider, and still a word of its own.
    let size = 10 - state.len();
    let mut line = format!("{at:<width$}   {state} {:>size$}   {:<2}", block.size, flag_letters(block.flags));
    if block.state == State::Free && !lists.is_empty() {
        let links = width + 2;
        let is_first = lists.iter().any(|list| list.chunks.first() == Some(&block.at));
        let no_bk = if is_first { "head" } else { "null" };
        let (fd, bk) = (link(block.fd, "end"), link(block.bk, no_bk));
        let column = line.chars().count() + 2;
        let fits = column + "fd → ".chars().count() + links + " bk → ".chars().count() + bk.chars().count() <= columns;
        let _ = if fits {
            write!(line, "  fd → {fd:<links$} bk → {bk:<width$}")
        } else {
            write!(line, "  fd → {fd}\n{:column$}bk → {bk}", "")
        };
    }
    line.truncate(line.trim_end().len());
    line
}

/// A link's goal; null reads `null_means`.
fn link(link: Link, null_means: &str) -> String {
    match link {
        Link::End => null_means.into(),
        Link::To(at) => Offset(at).to_string(),
        Link::Wild(UNSET) => "unset".into(),
        Link::Wild(_) => "elsewhere".into(),
        Link::Payload => "payload".into(),
    }
}

/// Where notes begin: after the widest line of an ordinary picture.
const NOTE_COLUMN: usize = 26;
/// No picture is wider; four more columns of indent leave it within 100.
const WIDTH: usize = 94;

fn annotate(columns: usize, line: &mut String, note: &str) {
    let last_line = line.lines().next_back().unwrap_or_default().chars().count();
    let mut column = NOTE_COLUMN.max(last_line);
    if column + 4 + note.chars().count() > columns && last_line > NOTE_COLUMN {
        line.push('\n');
        column = NOTE_COLUMN;
        let _ = write!(line, "{:column$}", "");
    } else {
        let _ = write!(line, "{:1$}", "", column - last_line);
    }
    let mut room = columns.saturating_sub(column + 4);
    line.push_str("  ◄ ");
    for (i, word) in note.split(' ').enumerate() {
        let needs = word.chars().count() + usize::from(i > 0);
        if needs > room {
            let _ = write!(line, "\n{:1$}", "", column + 4);
            room = columns.saturating_sub(column + 4);
        } else if i > 0 {
            line.push(' ');
        }
        line.push_str(word);
        room = room.saturating_sub(needs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_words_that_differ_in_a_flag_are_told_apart_in_words() {
        let says = |flags: usize| size_word_in_words(0x50 | flags).split_once(": ").map(|(_, words)| words.to_owned());
        for flags in 0..8 {
            assert!((0..flags).all(|other| says(other) != says(flags)), "{flags:#b}");
        }
    }
}
