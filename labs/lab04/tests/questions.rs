//! What lab 4's candidate can be asked.

use candidate::wire::{Reader, Words};
use candidate::words;
use heapkit::image::Offset;
use heapkit::referee::{Call, Fit};
use std::fmt;

words! {
    /// One function of the lab, with its arguments. Chunks are named by where they start.
    pub enum Question {
        /// `split`; the answer is the rest, and where the front then starts.
        Split { at: usize, size: usize },
        /// `join`; the answer is where the joined chunk starts.
        Join { at: usize, after: usize },
        /// `coalesce`, with a place for free chunks that refuses to take out those that are `damaged`; the answer is what was
        /// taken out, what was put in, and where the top chunk then starts.
        Coalesce { at: usize, damaged: Vec<usize>, top: usize },
        /// A heap of the first `len` bytes.
        NewHeap { len: usize, fit: Fit },
        /// `malloc` or `free`; the answer is the block, and the word that leads to the list.
        Call { call: Call },
        /// One call after the other; the answer is the blocks, and the word that leads to the list.
        Calls { calls: Vec<Call> },
        /// `fragmentation`; the answer is what it says.
        Fragmentation,
        /// `external`; the answer is a part of one.
        External { of: Fragmentation },
        /// `internal`; the answer is a part of one.
        Internal { of: Fragmentation, requested: usize },
    }
}

/// What `fragmentation` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// Bytes in use.
    pub in_use: usize,
    /// Free bytes, without the top chunk.
    pub free: usize,
    /// How many free chunks.
    pub holes: usize,
    /// The largest of them.
    pub largest: usize,
    /// Bytes of the top chunk.
    pub top: usize,
}

impl Words for Fragmentation {
    fn write(&self, to: &mut Vec<u64>) {
        [self.in_use, self.free, self.holes, self.largest, self.top].iter().for_each(|size| size.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut size = || usize::read(from);
        Some(Fragmentation { in_use: size()?, free: size()?, holes: size()?, largest: size()?, top: size()? })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Split { at, size } => write!(f, "split({}, {size})", Offset(*at)),
            Question::Join { at, after } => write!(f, "join({}, {})", Offset(*at), Offset(*after)),
            Question::Coalesce { at, .. } => write!(f, "coalesce({})", Offset(*at)),
            Question::NewHeap { fit, .. } => write!(f, "a heap, {fit:?} fit"),
            Question::Call { call } => write!(f, "{call:?}"),
            Question::Calls { calls } => match calls.first() {
                Some(call) => write!(f, "{} calls of {}", calls.len(), call.name()),
                None => f.write_str("no call"),
            },
            Question::Fragmentation => f.write_str("fragmentation()"),
            Question::External { of } => {
                write!(f, "external(), with {} bytes free and {} of them together", of.free, of.largest)
            }
            Question::Internal { of, requested } => {
                write!(f, "internal({requested}), with {} bytes in use", of.in_use)
            }
        }
    }
}
