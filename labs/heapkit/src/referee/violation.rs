//! What is wrong, when a promise is broken.

use crate::draw::Mark;
use crate::image::Image;
use std::fmt;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of failure it is. Two failures of one rule are the same failure if their kinds are.
    pub kind: Kind,
    /// What is wrong, in one sentence.
    pub what: String,
    /// What should have come out, and what did, where that says more than the sentence.
    pub expected_and_seen: Option<(String, String)>,
    /// Notes to places in the heap.
    pub marks: Vec<Mark>,
    /// The heap to show.
    pub heap: Box<Image>,
    /// Whether that is the heap *before* the step, which then tells more than the heap after it.
    pub heap_is_before: bool,
}

impl Violation {
    /// What is wrong, with nothing said yet about where. The referee adds the heap.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        let (heap, what) = (Box::new(Image::empty()), what.into());
        Violation { kind, what, expected_and_seen: None, marks: Vec::new(), heap, heap_is_before: false }
    }

    /// With a note to the byte at `at`.
    pub fn mark(mut self, at: usize, note: impl Into<String>) -> Self {
        self.marks.push(Mark { at, note: note.into() });
        self
    }

    /// With what should have come out, and what did.
    pub fn expected(mut self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        self.expected_and_seen = Some((expected.into(), seen.into()));
        self
    }

    /// The heap to show is the one before the step.
    pub fn look_before(mut self) -> Self {
        self.heap_is_before = true;
        self
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What kind of failure it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// Its name in reports: `chunk-too-small`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// The allocator has no such operation.
    NoSuchOperation = "no-such-operation",
    /// No block, although the request can be served.
    GaveUp = "gave-up",
    /// A block in memory that the system has not granted, or that runs on past it.
    OutsideMemory = "outside-memory",
    /// A block at an address with the wrong alignment.
    Misaligned = "misaligned",
    /// A block in bytes that somebody else still uses.
    Overlap = "overlap",
    /// The chunk's address, where the payload's should be.
    HeaderReturned = "header-returned",
    /// A block in another place than the rule says, or one that there should not be.
    WrongPlace = "wrong-place",
    /// A block whose chunk is too small for it.
    ChunkTooSmall = "chunk-too-small",
    /// A block whose chunk is larger than the rule says.
    ChunkTooLarge = "chunk-too-large",
    /// A block from `calloc` that isn't zero.
    NotZero = "not-zero",
    /// The bytes of a block changed while the program held it.
    ContentChanged = "content-changed",
    /// `realloc` has not kept a block's bytes.
    ContentLost = "content-lost",
    /// The heap can't be read from its first chunk to its last, or its words contradict each other.
    HeapUnreadable = "heap-unreadable",
    /// No chunk says any more that a block is in use, or its memory is gone.
    BlockLost = "block-lost",
    /// A list and the heap, or two lists, disagree.
    ListBroken = "list-broken",
    /// A chunk is in a list for other sizes.
    WrongBin = "wrong-bin",
    /// A list has another order than the rule says.
    ListOrder = "list-order",
    /// Free neighbours that should be one chunk.
    NotJoined = "not-joined",
    /// A chunk that is marked as in use, but nobody holds it.
    ChunkLost = "chunk-lost",
    /// A mapping in which no block is.
    MappingLost = "mapping-lost",
    /// A header that does not describe the mapping in which it is.
    MappingHeader = "mapping-header",
    /// The system is asked for something else than the rule says.
    WrongCall = "wrong-call",
    /// The system is told something that isn't so.
    SystemMisused = "system-misused",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
