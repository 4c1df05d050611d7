//! Small and large: a whole malloc, from the break and from mappings.

use core::mem;
use core::ptr::NonNull;
use heapkit::os::{Os, PAGE};
use lab02::{ALIGNMENT, Chunk, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab03::FreeList;
use lab04::{FreeChunks, coalesce, join, split};

/// What the break moves by beyond what is needed, and what trimming leaves. In glibc: `DEFAULT_TOP_PAD`.
pub const TOP_PAD: usize = 128 * 1024;

/// From this chunk size on, a block gets a mapping of its own, as long as no such block has been freed. In glibc:
/// `DEFAULT_MMAP_THRESHOLD`.
pub const MMAP_THRESHOLD: usize = 128 * 1024;

/// No larger mapping raises the threshold. In glibc: `DEFAULT_MMAP_THRESHOLD_MAX`.
pub const MMAP_THRESHOLD_MAX: usize = 32 * 1024 * 1024;

/// From this size of the top chunk on, `free` gives memory back. In glibc: `DEFAULT_TRIM_THRESHOLD`.
pub const TRIM_THRESHOLD: usize = 128 * 1024;

/// A chunk that only marks where memory ends: a header without links.
pub const FENCE_SIZE: usize = 16;

/// A whole malloc.
///
/// Blocks come from the free chunks, from the top chunk, from a break that moves, or from mappings of their own. No two
/// neighbours are free, and no chunk that borders on the top chunk. `F` is where the free chunks wait.
#[derive(Debug)]
pub struct Malloc<O, F: FreeChunks = FreeList> {
    os: O,
    free: F,
    /// `None` until the break has moved for the first time.
    top: Option<Chunk>,
    mmap_threshold: usize,
    trim_threshold: usize,
}

impl<O: Os> Malloc<O> {
    /// A malloc with a free list of lab 3, which has asked the system for nothing yet.
    pub const fn new(os: O) -> Self {
        // SAFETY: a new list holds no chunk.
        unsafe { Self::with(os, FreeList::new()) }
    }
}

impl<O: Os, F: FreeChunks> Malloc<O, F> {
    /// A malloc that keeps its free chunks in `free`, and has asked the system for nothing yet.
    ///
    /// # Safety
    /// `free` holds no chunk: what is in it would be taken for a part of this heap.
    pub const unsafe fn with(os: O, free: F) -> Self {
        Self { os, free, top: None, mmap_threshold: MMAP_THRESHOLD, trim_threshold: TRIM_THRESHOLD }
    }

    /// The free chunks.
    pub const fn free_chunks(&self) -> &F {
        &self.free
    }

    /// The system.
    pub const fn os(&self) -> &O {
        &self.os
    }

    /// The top chunk, if the break has moved at least once.
    pub const fn top(&self) -> Option<&Chunk> {
        self.top.as_ref()
    }

    /// A block of `request` bytes.
    ///
    /// It comes from the first of these that can serve it:
    ///
    /// 1. the free chunks: one that is large enough, split as in lab 4. From a [`FreeList`] it is the smallest one;
    /// 2. the top chunk, if at least [`MIN_CHUNK_SIZE`] bytes of it are left;
    /// 3. if the chunk takes the mmap threshold or more: a mapping of its own, of whole pages, with 8 bytes more than the
    ///    chunk. Its size word has the mapping's length, [`SizeWord::IS_MMAPPED`] and no other flag; its `prev_size` is 0;
    /// 4. the top chunk, after the break has moved up: by what is missing for the chunk, [`MIN_CHUNK_SIZE`] and [`TOP_PAD`],
    ///    and on to the next multiple of [`PAGE`]. Where other code has moved the break, nothing of the top chunk counts:
    ///    the heap goes on after the other code's memory, at a multiple of [`ALIGNMENT`], and the old top chunk ends in
    ///    two fences of [`FENCE_SIZE`] bytes. What is left of it is freed, if it is a chunk; else it belongs to the first
    ///    fence;
    /// 5. for a smaller chunk, if the system does not move the break: a mapping after all.
    ///
    /// `None`, and nothing is lost, if the system refuses all that, or if no block can be that large.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        todo!("Malloc::malloc")
    }

    /// A block of `count` times `size` bytes, all of them 0. A fresh mapping is not cleared again: it is all zeroes.
    ///
    /// `None` if `count` times `size` is more than a word can hold, and where [`Malloc::malloc`] says it.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        todo!("Malloc::calloc")
    }

    /// A block of `request` bytes that starts at a multiple of `align`.
    ///
    /// For an `align` of more than [`ALIGNMENT`] it takes, as [`Malloc::malloc`] would, a chunk that is `align` and
    /// [`MIN_CHUNK_SIZE`] bytes larger. The block starts at the first multiple of `align` in that chunk's payload which leaves a
    /// chunk in front of it, or nothing. What lies before it is freed; so is what is too much after it, if it is a chunk. A
    /// mapping stays whole: the block's `prev_size` says how far its header is from the mapping's start.
    ///
    /// `None` if `align` is no power of two, and where [`Malloc::malloc`] says it.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        todo!("Malloc::aligned")
    }

    /// Makes a block hold `request` bytes, and says where it then is. The bytes that both have in common stay the same.
    ///
    /// In place, if the chunk is large enough, or together with what follows it: the top chunk, if [`MIN_CHUNK_SIZE`] bytes
    /// of that are left, or a free chunk. What is too much is freed, if it is a chunk. Else a new block is taken as by
    /// [`Malloc::malloc`], and the old one given to [`Malloc::free`].
    ///
    /// A mapping stays a mapping: the system changes its length, if another number of pages is needed. If the system
    /// refuses, it stays as it is, if that is enough; else the block moves.
    ///
    /// `None`, and the old block is as it was, where [`Malloc::malloc`] says it.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed. If it moves, nobody uses the old place any more.
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        todo!("Malloc::realloc")
    }

    /// Takes a block back.
    ///
    /// A chunk joins its free neighbours, or the top chunk, as in lab 4. If the top chunk then has the trim threshold or
    /// more, the break moves down by whole pages: as many as leave [`TOP_PAD`] and [`MIN_CHUNK_SIZE`] bytes of it. Not if
    /// other code has moved the break. Only a call of `free` does this, not what else frees a part of a chunk.
    ///
    /// A mapping goes back to the system at once. If its chunk is larger than the mmap threshold, and no larger than
    /// [`MMAP_THRESHOLD_MAX`], the chunk's size becomes the mmap threshold, and twice its size the trim threshold.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed, and nobody uses it any more.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        todo!("Malloc::free")
    }
}
