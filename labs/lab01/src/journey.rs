//! The journey of malloc: where memory comes from.

use core::ptr::NonNull;
use heapkit::os::{Os, PAGE};

/// Every block starts at a multiple of this many bytes.
pub const ALIGNMENT: usize = 16;

/// What an allocator asks for beyond what it needs, so that it need not ask again soon. In glibc: `DEFAULT_TOP_PAD`.
pub const TOP_PAD: usize = 128 * 1024;

/// What was seen of one call of `malloc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journey {
    /// What it returned.
    pub payload: *mut u8,
    /// By how many bytes the break is higher than before. Negative if it is lower.
    pub moved: isize,
    /// Whether the block starts in the heap: at the place where the break was when the [`Observer`] was made, or after it,
    /// and below the place where the break is now.
    pub inside: bool,
    /// What [`mapped_flag`] says. `false` if there is no block.
    pub mapped: bool,
}

/// Where a block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From nowhere: `malloc` returned null.
    Refused,
    /// From the heap, and the break had to move up for it.
    Break,
    /// From the heap as it was.
    Heap,
    /// From a mapping of its own: it is not in the heap, and its flag says so.
    Mapping,
    /// From somewhere else.
    Elsewhere,
}

impl Journey {
    /// Where the block came from.
    pub fn source(&self) -> Source {
        todo!("Journey::source")
    }
}

/// Watches where blocks come from.
#[derive(Debug)]
pub struct Observer<O> {
    os: O,
    /// Where the heap starts.
    start: NonNull<u8>,
}

impl<O: Os> Observer<O> {
    /// An observer for a heap that starts where the break is now.
    pub fn new(os: O) -> Self {
        todo!("Observer::new")
    }

    /// Calls `malloc` once, and says what happened.
    ///
    /// # Safety
    /// `malloc` returns null or a block with a size word in front of it, as glibc's does.
    pub unsafe fn watch(&self, malloc: impl FnOnce() -> *mut u8) -> Journey {
        todo!("Observer::watch")
    }
}

/// Whether glibc says that a block is a mapping of its own: bit 1 of the word 8 bytes in front of it.
///
/// # Safety
/// That word can be read.
pub unsafe fn mapped_flag(payload: *const u8) -> bool {
    todo!("mapped_flag")
}

/// The simplest allocator there is: it puts one block after the other, and takes none back.
#[derive(Debug)]
pub struct Bump<O> {
    os: O,
    /// Where the next block starts: a multiple of [`ALIGNMENT`], if anything is left.
    next: NonNull<u8>,
    /// How many bytes are left from there on.
    left: usize,
}

impl<O: Os> Bump<O> {
    /// An allocator that has asked the system for nothing yet.
    pub fn new(os: O) -> Self {
        todo!("Bump::new")
    }

    /// `request` bytes, aligned to [`ALIGNMENT`]. Each block takes its request rounded up to the next multiple of
    /// [`ALIGNMENT`], at least one, and lies right after the block before it. Nothing is written into it.
    ///
    /// If too little is left, the break moves first: by what is missing and [`TOP_PAD`], rounded up to whole pages. Where
    /// other code has moved the break since, what is left is given up: the blocks go on after the other code's memory.
    ///
    /// `None`, and nothing is lost, if the system refuses, or if no block can be that large.
    pub fn alloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        todo!("Bump::alloc")
    }
}
