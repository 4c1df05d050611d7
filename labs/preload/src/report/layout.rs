//! What the library leaves for `cargo lab run`: a file of words, which the process maps. So whatever ends it, they are there.

/// In the environment: the process that wants the report. Only its own child writes one, not the child's children.
pub const PARENT: &std::ffi::CStr = c"HEAP_REPORT_FOR";
/// In the environment: the file.
pub const PATH: &std::ffi::CStr = c"HEAP_REPORT";

/// How many words the file has.
pub const WORDS: usize = 512;
/// The first word, once the library is there.
pub const LOADED: u64 = u64::from_le_bytes(*b"heapbook");

/// The words that count something, each at its own index.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Counter {
    /// Calls of each kind, in the order of `Call`: five words.
    Calls = 1,
    /// Bytes in blocks that are in use.
    Alive = 6,
    /// The most of them at once.
    PeakAlive = 7,
    /// Bytes that came from the system, but for regions.
    Taken = 8,
    /// The most of them at once.
    PeakTaken = 9,
    /// Regions of arenas.
    Regions = 10,
    /// Threads that have asked for something.
    Threads = 11,
    /// How many bytes the sentence has that says how it broke. 0 while it hasn't.
    SentenceLength = 12,
    /// How many chunks there are in the picture.
    Chunks = 13,
    /// Which of them is the one in question, from 1. 0 if it isn't there.
    Marked = 14,
    /// Whether the main arena's chunks end exactly at its break: 1. Or where a size leads to no chunk: 2. 0 without a picture.
    Walk = 15,
}

/// What a program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Call {
    /// `malloc`.
    Malloc,
    /// `calloc`.
    Calloc,
    /// `realloc` and `reallocarray`.
    Realloc,
    /// The functions that align.
    Aligned,
    /// `free`.
    Free,
}

impl Call {
    /// All of them, in order.
    pub const ALL: [Call; 5] = [Call::Malloc, Call::Calloc, Call::Realloc, Call::Aligned, Call::Free];

    /// The name by which it is known.
    pub fn name(self) -> &'static str {
        match self {
            Call::Malloc => "malloc",
            Call::Calloc => "calloc",
            Call::Realloc => "realloc",
            Call::Aligned => "aligned",
            Call::Free => "free",
        }
    }
}

/// The word where the sentence starts, and how many bytes it may have.
pub const SENTENCE: usize = 16;
/// See [`SENTENCE`].
pub const SENTENCE_BYTES: usize = 240;

/// The word where the picture starts: two for each chunk, its address and its size word.
pub const PICTURE: usize = 64;
/// How many chunks it has at most.
pub const PICTURE_CHUNKS: usize = 12;
