//! What the right answers are, by other means than the lab's own: layouts of chunks are rows of sizes, and what a call makes of
//! them is another row.

use crate::questions::Fragmentation;
use heapkit::image::{Image, State};

/// A chunk of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How long it is.
    pub size: usize,
    /// Whether it is free. The last one of a layout is the top chunk and in use.
    pub is_free: bool,
    /// Its flags, without `PREV_INUSE`.
    pub flags: usize,
}

/// Chunks side by side, the last one being the top chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Piece>);

impl Row {
    /// Where a chunk starts.
    pub fn at(&self, index: usize) -> usize {
        self.0[..index].iter().map(|piece| piece.size).sum()
    }

    /// The bytes of all.
    pub fn len(&self) -> usize {
        self.at(self.0.len())
    }

    /// The words of the headers, by where they are. A `prev_size` is one only after a free chunk.
    pub fn words(&self) -> Vec<(usize, usize)> {
        let mut words = Vec::new();
        for (index, piece) in self.0.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| self.0[before]).filter(|before| before.is_free);
            words.extend(before.map(|before| (self.at(index), before.size)));
            words.push((self.at(index) + 8, piece.size | piece.flags | usize::from(before.is_none())));
        }
        words
    }

    /// Makes one chunk of a few, which has the first one's flags.
    pub fn merged(&self, pieces: std::ops::Range<usize>, is_free: bool) -> Self {
        let size = self.0[pieces.clone()].iter().map(|piece| piece.size).sum();
        let mut row = self.clone();
        row.0.splice(pieces.clone(), [Piece { size, is_free, ..self.0[pieces.start] }]);
        row
    }
}

/// What becomes of a chunk that is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The chunks that are joined.
    pub joined: std::ops::Range<usize>,
    /// The layout afterwards.
    pub row: Row,
    /// The free chunks that are taken out of the list, by address.
    pub removed: Vec<usize>,
    /// What is put in.
    pub put: Vec<usize>,
    /// Where the top chunk starts.
    pub top: usize,
}

/// Takes back the chunk `index`; which neighbours can't be taken out, `is_damaged` says.
pub fn take_back(row: &Row, index: usize, is_damaged: impl Fn(usize) -> bool) -> TakenBack {
    let top = row.0.len() - 1;
    let is_free = |index: usize| row.0[index].is_free;
    if index > 0 && is_free(index - 1) && is_damaged(index - 1) {
        let row = row.clone();
        return TakenBack { joined: index..index, removed: Vec::new(), put: Vec::new(), top: row.at(top), row };
    }
    let start = if index > 0 && is_free(index - 1) { index - 1 } else { index };
    let takes_next = index + 1 == top || (is_free(index + 1) && !is_damaged(index + 1));
    let joined = start..if takes_next { index + 2 } else { index + 1 };
    let borders_top = joined.end == top + 1;
    let removed = joined.clone().filter(|piece| *piece != index && *piece != top).map(|piece| row.at(piece)).collect();
    let after = row.merged(joined.clone(), !borders_top);
    let put = if borders_top { Vec::new() } else { vec![row.at(start)] };
    TakenBack { joined, removed, put, top: after.at(after.0.len() - 1), row: after }
}

/// The measures of a heap, from its raw bytes.
pub fn measures(image: &Image) -> Fragmentation {
    let sizes = |state| image.blocks.iter().filter(move |block| block.state == state).map(|block| block.size);
    Fragmentation {
        in_use: sizes(State::Used).sum(),
        free: sizes(State::Free).sum(),
        holes: sizes(State::Free).count(),
        largest: sizes(State::Free).max().unwrap_or(0),
        top: sizes(State::Top).sum(),
    }
}

/// 1 - part / whole; 0 where there is nothing to divide by.
pub fn lost(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (whole - part) as f64 / whole as f64 }
}
