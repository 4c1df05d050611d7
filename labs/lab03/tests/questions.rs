//! What lab 3's candidate can be asked.

use candidate::words;
use heapkit::image::Offset;
use heapkit::referee::{Call, Fit};
use std::fmt;

words! {
    /// One function of the lab, with its arguments. Chunks are named by where they start.
    pub enum Question {
        /// An empty list.
        NewList,
        /// `push`; the answer is the word that leads to the list's first chunk.
        Push { at: usize },
        /// `push` of one after the other; the answer is the same.
        PushAll { chunks: Vec<usize> },
        /// `pop`; the answer is the chunk, and the word that leads to the first one.
        Pop,
        /// `unlink`; the answer is whether it was taken out, and the word that leads to the first one.
        Unlink { at: usize },
        /// `find`; the answer is the chunk.
        Find { fit: Fit, size: usize },
        /// `iter`, `most` chunks of it at the most; the answer is where they start.
        Iter { most: usize },
        /// A heap of the first `len` bytes.
        NewHeap { len: usize, fit: Fit },
        /// `malloc` or `free`; the answer is the block, and the word that leads to the list.
        Call { call: Call },
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::NewList => f.write_str("an empty list"),
            Question::Push { at } => write!(f, "push({})", Offset(*at)),
            Question::PushAll { chunks } => write!(f, "push {} chunks", chunks.len()),
            Question::Pop => f.write_str("pop()"),
            Question::Unlink { at } => write!(f, "unlink({})", Offset(*at)),
            Question::Find { fit, size } => write!(f, "find({fit:?}, {size})"),
            Question::Iter { .. } => f.write_str("iter()"),
            Question::NewHeap { fit, .. } => write!(f, "a heap, {fit:?} fit"),
            Question::Call { call } => write!(f, "{call:?}"),
        }
    }
}
