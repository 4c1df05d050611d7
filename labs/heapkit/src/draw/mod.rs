//! The heap picture. The same one is in the book, in the snapshots and under a failing case.

mod lists;
mod svg;
mod text;
mod words;

pub use svg::{Strip, described, size_word};
pub use text::{bytes, heap, heap_within, list, size_word_in_words, word};
pub use words::{Role, Row, rows, rows_beside, rows_steps, rows_svg, rows_text};

use crate::format::{IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};

/// A note to a place in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The byte it is about, from the heap's start.
    pub at: usize,
    /// What to say there.
    pub note: String,
}

/// The letters of the flags that are set, or a dot where none is.
fn flag_letters(flags: usize) -> String {
    let letters: String = [(PREV_INUSE, 'P'), (IS_MMAPPED, 'M'), (NON_MAIN_ARENA, 'A')]
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, letter)| letter)
        .collect();
    if letters.is_empty() { "·".into() } else { letters }
}
