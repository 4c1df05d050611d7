//! What lab 7's candidate can be asked, and which values it knows.

use candidate::words;
use std::fmt;

/// A kind of value: how many bytes it has, and what it is aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub size: usize,
    pub align: usize,
}

const fn kind(size: usize, align: usize) -> Kind {
    Kind { size, align }
}

/// Questions name a kind by its place in this list.
pub const KINDS: [Kind; 18] = [
    kind(0, 1),
    kind(1, 1),
    kind(8, 8),
    kind(24, 8),
    kind(48, 16),
    kind(100, 4),
    kind(4096, 1),
    kind(4096, 4096),
    kind(3, 1),
    kind(64, 64),
    kind(0, 4096),
    kind(512, 512),
    kind(70_000, 8),
    kind(204_800, 4096),
    kind(12, 4),
    kind(2000, 16),
    kind(65_520, 8),
    kind(65_528, 8),
];

/// Values that write a note into the heap when they are dropped: a word, which they also hold.
pub const NOTING: usize = KINDS.len();
/// The same, without a byte: the note is 0.
pub const NOTING_NOTHING: usize = KINDS.len() + 1;
/// Where the notes are, as words: how many there are, and then each.
#[allow(dead_code, reason = "the candidate reckons in pointers")]
pub const NOTES: usize = 0;

/// The byte at `index` of the value that was made from `fill`.
pub fn byte(fill: u64, index: usize) -> u8 {
    (fill.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

words! {
    /// One function of the lab, with its arguments. What `Pool`, `Mappings` and `Region` open, the questions after it are about, until
    /// `End`.
    pub enum Question {
        /// `pool_scope`, and in it a pool of values of this kind.
        Pool { kind: usize },
        /// `Pool::alloc`. The answer is where the value is, or the bytes of the value that came back.
        Alloc { id: usize, fill: u64 },
        /// The bytes of a value, through its handle.
        Read { id: usize },
        /// Changes a value through its handle.
        Write { id: usize, fill: u64 },
        /// `Pool::free`
        Free { id: usize },
        /// `Pool::take`. The answer is the value's bytes.
        Take { id: usize },
        /// Drops a handle.
        Drop { id: usize },
        /// Forgets a handle.
        Forget { id: usize },
        /// Empty memory for regions.
        Mappings,
        /// A region in these mappings, or one nested in the region.
        Region,
        /// `Region::alloc`. The answer is where the value is.
        Value { kind: usize, fill: u64 },
        /// `Region::alloc_slice`
        Slice { kind: usize, len: usize, fill: u64 },
        /// `Region::alloc_slice_with`. The answer is also for which numbers a value was made. At `panics_at`, none can be made.
        SliceWith { kind: usize, len: usize, fill: u64, panics_at: usize },
        /// `Region::alloc_str`
        Text { text: String },
        /// The pool, the region or the mappings are dropped. The answer of a pool is what `pool_scope` panics with.
        End,
    }
}

fn named(kind: usize) -> String {
    match KINDS.get(kind) {
        Some(Kind { size, align }) => format!("{size} bytes, aligned to {align}"),
        None if kind == NOTING => "8 bytes, with a destructor".into(),
        None => "0 bytes, with a destructor".into(),
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Pool { kind } => write!(f, "a pool of values of {}", named(*kind)),
            Question::Alloc { id, .. } => write!(f, "h{id} = pool.alloc(a value)"),
            Question::Read { id } => write!(f, "read *h{id}"),
            Question::Write { id, .. } => write!(f, "*h{id} = another value"),
            Question::Free { id } => write!(f, "pool.free(h{id})"),
            Question::Take { id } => write!(f, "pool.take(h{id})"),
            Question::Drop { id } => write!(f, "drop(h{id})"),
            Question::Forget { id } => write!(f, "forget(h{id})"),
            Question::Mappings => f.write_str("Mappings::new"),
            Question::Region => f.write_str("a region in it"),
            Question::Value { kind, .. } => write!(f, "region.alloc({})", named(*kind)),
            Question::Slice { kind, len, .. } => write!(f, "region.alloc_slice({len} × {})", named(*kind)),
            Question::SliceWith { kind, len, .. } => write!(f, "region.alloc_slice_with({len}, {})", named(*kind)),
            Question::Text { text } => write!(f, "region.alloc_str({} bytes)", text.len()),
            Question::End => f.write_str("it ends"),
        }
    }
}
