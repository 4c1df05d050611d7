//! Fragmentation: how free memory falls to pieces, and how an allocator puts the pieces together.

use core::mem;
use core::ptr::NonNull;
use lab02::{Chunk, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size, walk};
use lab03::{Fit, FreeList};

/// Cuts a chunk down to `size` bytes and returns the rest as a chunk of its own, with `PREV_INUSE` set, for the front is
/// about to be used. `None`, and nothing has changed, if the rest would be smaller than [`MIN_CHUNK_SIZE`]: such a rest
/// could hold no links, so the chunk is used whole.
///
/// # Safety
/// The chunk is in no list, at least `size` bytes long, and `size` is a chunk size.
pub unsafe fn split(chunk: &mut Chunk, size: usize) -> Option<Chunk> {
    let rest_size = chunk.size() - size;
    if rest_size < MIN_CHUNK_SIZE {
        return None;
    }
    // SAFETY: `size` bytes on, there are still `rest_size` bytes of this chunk.
    let mut rest = unsafe { Chunk::from_header(chunk.header().byte_add(size)) };
    rest.set_size_word(SizeWord::new(rest_size, SizeWord::PREV_INUSE));
    chunk.set_size_word(chunk.size_word().with_size(size));
    Some(rest)
}

/// Joins a chunk and the one behind it: the first keeps its flags and becomes as long as both.
///
/// # Safety
/// Neither is in a list, `behind` starts where `chunk` ends, and nobody uses the bytes of `behind`.
pub unsafe fn join(chunk: &mut Chunk, behind: Chunk) {
    let size = chunk.size() + behind.size();
    chunk.set_size_word(chunk.size_word().with_size(size));
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
    /// Makes a heap of the bytes in `region`: one top chunk from end to end. Its `PREV_INUSE` is set, since nothing stands
    /// before it.
    ///
    /// # Safety
    /// The region is valid for reads and writes, nobody else's, aligned to 16, a multiple of 16 long, and at least
    /// [`MIN_CHUNK_SIZE`].
    pub unsafe fn new(region: NonNull<[u8]>, fit: Fit) -> Self {
        // SAFETY: the caller gives us the region, and it is large enough for a header, which is written at once.
        let mut top = unsafe { Chunk::from_header(region.cast()) };
        top.set_size_word(SizeWord::new(region.len(), SizeWord::PREV_INUSE));
        Self { free: FreeList::new(), top, fit, region }
    }

    /// The list of free chunks.
    pub const fn free_list(&self) -> &FreeList {
        &self.free
    }

    /// `request` bytes, aligned to 16: from a chunk of the list, chosen by the fit and [`split`], the rest going to the
    /// head of the list; else cut from the low end of the top chunk, which keeps at least [`MIN_CHUNK_SIZE`] bytes for
    /// itself. `None`, and nothing has changed, if neither can serve it.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        let mut chunk = match self.free.find(self.fit, size) {
            // SAFETY: `find` returns a chunk of this list, and at least `size` bytes long; the rest is in no list yet.
            Some(mut chunk) => unsafe {
                self.free.unlink(&chunk).ok()?;
                if let Some(mut rest) = split(&mut chunk, size) {
                    rest.mark_free();
                    self.free.push(rest);
                }
                chunk
            },
            None => {
                self.top.size().checked_sub(size).filter(|rest| *rest >= MIN_CHUNK_SIZE)?;
                // SAFETY: the top chunk is in no list, and the rest was just seen to be large enough for a chunk.
                let rest = unsafe { split(&mut self.top, size) }?;
                mem::replace(&mut self.top, rest)
            }
        };
        // SAFETY: neither a chunk from the list nor one cut from the top is the top chunk itself.
        unsafe { chunk.mark_in_use() };
        Some(chunk.payload())
    }

    /// Gives a block back. Its chunk joins the chunk before it and the one behind it, where these are free, and leaves
    /// them no place of their own in the list. What comes of it goes to the head of the list; where it borders on the top
    /// chunk, it becomes the low end of the top chunk instead.
    ///
    /// # Safety
    /// `payload` comes from [`CoalescingHeap::malloc`] of this heap and has not been freed since.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: the caller promises that this payload is a chunk in use, so it has a next one. A free neighbour is in the
        // list until it is unlinked, and nobody uses its bytes.
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            if let Some(mut previous) = chunk.prev() {
                if self.free.unlink(&previous).is_err() {
                    return;
                }
                join(&mut previous, chunk);
                chunk = previous;
            }
            let next = chunk.next();
            if next.header() == self.top.header() {
                join(&mut chunk, next);
                self.top = chunk;
                return;
            }
            if !next.is_in_use() && self.free.unlink(&next).is_ok() {
                join(&mut chunk, next);
            }
            chunk.mark_free();
            self.free.push(chunk);
        }
    }

    /// What the heap looks like now.
    pub fn fragmentation(&self) -> Fragmentation {
        let mut seen = Fragmentation::default();
        // SAFETY: every operation leaves a well-formed heap.
        for chunk in unsafe { walk(self.region) } {
            if chunk.header() == self.top.header() {
                seen.top = chunk.size();
                break;
            }
            // SAFETY: of all chunks of the heap, only the top chunk has no next one.
            if unsafe { chunk.is_in_use() } {
                seen.in_use += chunk.size();
            } else {
                seen.holes += 1;
                seen.free += chunk.size();
                seen.largest = seen.largest.max(chunk.size());
            }
        }
        seen
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
    /// stand together, or there are none.
    pub fn external(&self) -> f64 {
        if self.free == 0 { 0.0 } else { 1.0 - self.largest as f64 / self.free as f64 }
    }

    /// Internal fragmentation: the part of the bytes in use that nobody asked for. `requested` is the sum of the requests
    /// that are alive. 0 if nothing is in use.
    pub fn internal(&self, requested: usize) -> f64 {
        if self.in_use == 0 { 0.0 } else { 1.0 - requested as f64 / self.in_use as f64 }
    }
}
