//! What lab 2's candidate can be asked.

use candidate::words;
use heapkit::draw;
use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use std::fmt;

words! {
    /// One function of the lab, with its arguments. Chunks are named by where they start, size words by their 64 bits.
    pub enum Question {
        /// `request_to_chunk_size`; the answer is the size, if there is one.
        ChunkSize { request: usize },
        /// `SizeWord::new`; the answer is the word.
        NewWord { size: usize, flags: usize },
        /// `SizeWord::size`
        SizeIn { word: usize },
        /// `SizeWord::has`
        Has { word: usize, flags: usize },
        /// `SizeWord::with_size`; the answer is the word.
        WithSize { word: usize, size: usize },
        /// `SizeWord::with_prev_in_use`; the answer is the word.
        WithPrevInUse { word: usize, in_use: bool },
        /// `Chunk::payload`; the answer is where it starts.
        Payload { at: usize },
        /// `Chunk::from_payload`; the answer is where the chunk starts.
        FromPayload { payload: usize },
        /// `Chunk::size_word`; the answer is the word.
        SizeWord { at: usize },
        /// `Chunk::size`
        Size { at: usize },
        /// `Chunk::usable_size`
        UsableSize { at: usize },
        /// `Chunk::next`; the answer is where it starts.
        Next { at: usize },
        /// `Chunk::prev`; the answer is where it starts, if there is one.
        Prev { at: usize },
        /// `Chunk::is_in_use`
        IsInUse { at: usize },
        /// `Chunk::mark_in_use`
        MarkInUse { at: usize },
        /// `Chunk::mark_free`
        MarkFree { at: usize },
        /// `walk` over the first `len` bytes, `most` chunks of it at the most; the answer is where each starts, and its size.
        Walk { len: usize, most: usize },
        /// `check` of the `len` bytes from `start` on; the answer is the defect, if there is one.
        Check { start: usize, len: usize },
    }
}

words! {
    /// What a checker can say of a heap: the lab's `Defect`, in the exam's own words.
    pub enum Found {
        SizeTooSmall { at: usize, size: usize },
        SizeNotAligned { at: usize, size: usize },
        PastTheEnd { at: usize, size: usize },
        NothingBefore,
        WrongBoundaryTag { at: usize, prev_size: usize, size: usize },
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Question::ChunkSize { request } => write!(f, "request_to_chunk_size({})", draw::bytes(request)),
            Question::NewWord { size, flags } => write!(f, "SizeWord::new({size:#x}, {})", Flags(flags)),
            Question::SizeIn { word } => write!(f, "SizeWord({word:#x}).size()"),
            Question::Has { word, flags } => write!(f, "SizeWord({word:#x}).has({})", Flags(flags)),
            Question::WithSize { word, size } => write!(f, "SizeWord({word:#x}).with_size({size:#x})"),
            Question::WithPrevInUse { word, in_use } => write!(f, "SizeWord({word:#x}).with_prev_in_use({in_use})"),
            Question::Payload { at } => write!(f, "payload() of {}", Offset(at)),
            Question::FromPayload { payload } => write!(f, "from_payload({})", Offset(payload)),
            Question::SizeWord { at } => write!(f, "size_word() of {}", Offset(at)),
            Question::Size { at } => write!(f, "size() of {}", Offset(at)),
            Question::UsableSize { at } => write!(f, "usable_size() of {}", Offset(at)),
            Question::Next { at } => write!(f, "next() of {}", Offset(at)),
            Question::Prev { at } => write!(f, "prev() of {}", Offset(at)),
            Question::IsInUse { at } => write!(f, "is_in_use() of {}", Offset(at)),
            Question::MarkInUse { at } => write!(f, "mark_in_use() of {}", Offset(at)),
            Question::MarkFree { at } => write!(f, "mark_free() of {}", Offset(at)),
            Question::Walk { .. } => f.write_str("walk(heap)"),
            Question::Check { start: 0, .. } => f.write_str("check(heap)"),
            Question::Check { start, len } => write!(f, "check({} to {})", Offset(start), Offset(start + len)),
        }
    }
}

/// Flags by their names, as a program would write them.
pub struct Flags(pub usize);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(PREV_INUSE, "PREV_INUSE"), (IS_MMAPPED, "IS_MMAPPED"), (NON_MAIN_ARENA, "NON_MAIN_ARENA")];
        let set: Vec<&str> = names.iter().filter(|(flag, _)| self.0 & flag != 0).map(|(_, name)| *name).collect();
        f.write_str(if set.is_empty() { "0".to_owned() } else { set.join(" | ") }.as_str())
    }
}
