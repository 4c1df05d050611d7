//! The heap picture as text: one line a chunk.

use super::{Mark, flag_letters};
use crate::format::{FLAGS, PREV_INUSE};
use crate::image::{Block, Image, Link, List, Offset, State, UNSET};
use std::fmt::Write;

/// Draws the heap, one line a chunk, with its marks; the image's own defects are marks too.
///
/// ```text
/// +0x0000   used    80   P
/// +0x0050   free    80   P   fd → +0x0100   bk → head    ◄ freed last, but second in the list
/// ```
pub fn heap(image: &Image, marks: &[Mark]) -> String {
    let defects = image.defects.iter().map(|defect| Mark { at: defect.at, note: defect.what.clone() });
    let mut marks: Vec<Mark> = marks.iter().cloned().chain(defects).collect();
    let mut text = String::new();
    for block in &image.blocks {
        let mut line = line(block, image.list.as_ref());
        for mark in marks.extract_if(.., |mark| (block.at..block.end()).contains(&mark.at)) {
            annotate(&mut line, &mark.note);
        }
        text.push_str(&line);
        text.push('\n');
    }
    // What lies behind the last block that could be read.
    for mark in marks {
        let mut line = format!("{}   ????", Offset(mark.at));
        annotate(&mut line, &mark.note);
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
        Link::Wild(word) => write!(text, " → {word:#x}, outside the heap"),
    };
    text
}

/// Says what a size word says: `0x0051: size 0x50, P = 1 "the chunk before is in use"`.
pub fn size_word_in_words(word: usize) -> String {
    let p = if word & PREV_INUSE == 0 {
        "P = 0 \"the chunk before is free\""
    } else {
        "P = 1 \"the chunk before is in use\""
    };
    format!("{word:#06x}: size {:#x}, {p}", word & !FLAGS)
}

fn line(block: &Block, list: Option<&List>) -> String {
    let state = match block.state {
        State::Used => "used",
        State::Free => "free",
        State::Top => "top ",
    };
    let mut line = format!("{}   {state} {:>6}   {:<2}", Offset(block.at), block.size, flag_letters(block.flags));
    if let (State::Free, Some(_)) = (block.state, list) {
        let _ = write!(line, "  fd → {:<9} bk → {:<7}", link(block.fd, "end"), link(block.bk, "head"));
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
        Link::Wild(word) => format!("{word:#x}?"),
    }
}

/// Where notes begin: behind the widest line of an ordinary picture.
const NOTE_COLUMN: usize = 26;
/// How wide a picture may grow; four more columns of indent leave it within 100.
const WIDTH: usize = 94;

fn annotate(line: &mut String, note: &str) {
    let last_line = line.lines().next_back().unwrap_or_default().chars().count();
    let mut column = NOTE_COLUMN.max(last_line);
    if column + 4 + note.chars().count() > WIDTH && last_line > NOTE_COLUMN {
        line.push('\n');
        column = NOTE_COLUMN;
        let _ = write!(line, "{:column$}", "");
    } else {
        let _ = write!(line, "{:1$}", "", column - last_line);
    }
    let mut room = WIDTH.saturating_sub(column + 4);
    line.push_str("  ◄ ");
    for (i, word) in note.split(' ').enumerate() {
        let needs = word.chars().count() + usize::from(i > 0);
        if needs > room {
            let _ = write!(line, "\n{:1$}", "", column + 4);
            room = WIDTH.saturating_sub(column + 4);
        } else if i > 0 {
            line.push(' ');
        }
        line.push_str(word);
        room = room.saturating_sub(needs);
    }
}
