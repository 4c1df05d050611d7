//! Fragmentation: how free memory falls to pieces, and how an allocator puts the pieces together.

use core::mem;
use core::ptr::NonNull;
use lab02::{Chunk, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size, walk};
use lab03::{CorruptedLink, Fit, FreeList};

/// Cuts a chunk down to `size` bytes, with the flags it had, and returns the rest as a chunk of its own: its one flag is
/// `PREV_INUSE`, for the front is about to be used. `None`, and nothing has changed, if the rest would be smaller than [`MIN_CHUNK_SIZE`]: such a rest
/// could hold no links, so the chunk is used whole.
///
/// # Safety
/// The chunk is in no list, at least `size` bytes long, and `size` is a chunk size.
pub unsafe fn split(chunk: &mut Chunk, size: usize) -> Option<Chunk> {
    todo!("split")
}

/// Joins a chunk and the one after it: the first keeps its flags and becomes as long as both.
///
/// # Safety
/// Neither is in a list, `after` starts where `chunk` ends, and nobody uses the bytes of `after`.
pub unsafe fn join(chunk: &mut Chunk, after: Chunk) {
    todo!("join")
}

/// Where free chunks wait to be used again: all that [`coalesce`], and the malloc of lab 5, know of a free list.
///
/// # Safety
/// [`FreeChunks::take`] hands out a chunk of at least `size` bytes that was put in. What it has handed out, and what
/// [`FreeChunks::remove`] has taken out, it doesn't hand out before that is put in again.
pub unsafe trait FreeChunks {
    /// Puts a chunk in.
    ///
    /// # Safety
    /// As for [`FreeList::push`].
    unsafe fn put(&mut self, chunk: Chunk);

    /// Takes out a chunk of at least `size` bytes. `None` if there is none, or if its links are damaged.
    fn take(&mut self, size: usize) -> Option<Chunk>;

    /// Takes this chunk out.
    ///
    /// # Errors
    /// As for [`FreeList::unlink`].
    ///
    /// # Safety
    /// As for [`FreeList::unlink`].
    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink>;
}

/// Best fit.
// SAFETY: `take` gives what best fit has found, and unlinks it; `unlink` takes a chunk out, or says that it hasn't.
unsafe impl FreeChunks for FreeList {
    unsafe fn put(&mut self, chunk: Chunk) {
        // SAFETY: `push` asks for the same.
        unsafe { self.push(chunk) }
    }

    fn take(&mut self, size: usize) -> Option<Chunk> {
        FreeList::take(self, Fit::Best, size)
    }

    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        // SAFETY: `unlink` asks for the same.
        unsafe { self.unlink(chunk) }
    }
}

/// Takes back a chunk: joins it to the chunk before it and the chunk after it, where these are free and come out of `free`.
/// What comes of it is marked free and put into `free`; where it borders on the top chunk, it becomes the low end of the
/// top chunk instead.
///
/// Where the links of the chunk before are damaged, nothing is changed, and the memory is lost; where those of the chunk
/// after are, the two stay apart.
///
/// # Safety
/// The chunk is in use, in the heap that ends with `top`, and nobody uses its payload any more. Every free chunk of this heap
/// but `top` is in `free`.
pub unsafe fn coalesce<F: FreeChunks>(mut chunk: Chunk, free: &mut F, top: &mut Chunk) {
    todo!("coalesce")
}

/// A `malloc` over a heap of fixed size that splits what is too large and joins what is free.
///
/// After every operation, no two neighbours are free, and no free chunk borders on the top chunk.
#[derive(Debug)]
pub struct CoalescingHeap {
    free: FreeList,
    top: Chunk,
    fit: Fit,
    region: NonNull<[u8]>,
}

impl CoalescingHeap {
    /// Makes a heap of the bytes in `region`: one top chunk from end to end. Its `PREV_INUSE` is set, since there is
    /// nothing before it.
    ///
    /// # Safety
    /// The region is valid for reads and writes and nobody else's for as long as the heap is used. It is aligned to 16, a
    /// multiple of 16 long, and has at least [`MIN_CHUNK_SIZE`] bytes.
    pub unsafe fn new(region: NonNull<[u8]>, fit: Fit) -> Self {
        todo!("CoalescingHeap::new")
    }

    /// The list of free chunks.
    pub const fn free_list(&self) -> &FreeList {
        &self.free
    }

    /// `request` bytes, aligned to 16: from a chunk of the list, chosen by the fit and [`split`], the rest going to the
    /// head of the list; else cut from the low end of the top chunk, which keeps at least [`MIN_CHUNK_SIZE`] bytes for
    /// itself. `None`, and nothing has changed, if neither can serve it.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        todo!("CoalescingHeap::malloc")
    }

    /// Gives a block back, by [`coalesce`]. Its chunk joins its free neighbours, and they leave the list. What comes of it
    /// goes to the head of the list, or becomes the low end of the top chunk.
    ///
    /// # Safety
    /// `payload` comes from [`CoalescingHeap::malloc`] of this heap and has not been freed since.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        todo!("CoalescingHeap::free")
    }

    /// What the heap looks like now.
    pub fn fragmentation(&self) -> Fragmentation {
        todo!("CoalescingHeap::fragmentation")
    }
}

/// How the bytes of a heap are spread. All sizes are chunk sizes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// In chunks that the program uses.
    pub in_use: usize,
    /// In free chunks, without the top chunk.
    pub free: usize,
    /// How many free chunks there are.
    pub holes: usize,
    /// The largest of them, 0 if there is none.
    pub largest: usize,
    /// In the top chunk.
    pub top: usize,
}

impl Fragmentation {
    /// External fragmentation: the part of the free bytes that the largest free chunk does not have. 0 if all free bytes
    /// lie together, or there are none.
    pub fn external(&self) -> f64 {
        todo!("Fragmentation::external")
    }

    /// Internal fragmentation: the part of the bytes in use that nobody asked for. `requested` is the sum of the requests
    /// that are alive. 0 if nothing is in use.
    pub fn internal(&self, requested: usize) -> f64 {
        todo!("Fragmentation::internal")
    }
}
