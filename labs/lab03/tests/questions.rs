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
        /// `push`; the answer is the list's head.
        Push { at: usize },
        /// `pop`; the answer is the chunk, and the list's head.
        Pop,
        /// `unlink`; the answer is whether it was taken out, and the list's head.
        Unlink { at: usize },
        /// `find`; the answer is the chunk.
        Find { fit: Fit, size: usize },
        /// `iter`, `most` chunks of it at the most; the answer is where they start.
        Iter { most: usize },
        /// A heap of the first `len` bytes.
        NewHeap { len: usize, fit: Fit },
        /// `malloc` or `free`; the answer is the block, and the list's head.
        Call { call: Call },
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::NewList => f.write_str("an empty list"),
            Question::Push { at } => write!(f, "push({})", Offset(*at)),
            Question::Pop => f.write_str("pop()"),
            Question::Unlink { at } => write!(f, "unlink({})", Offset(*at)),
            Question::Find { fit, size } => write!(f, "find({fit:?}, {size})"),
            Question::Iter { .. } => f.write_str("iter()"),
            Question::NewHeap { fit, .. } => write!(f, "a heap, {fit:?} fit"),
            Question::Call { call } => write!(f, "{call:?}"),
        }
    }
}
