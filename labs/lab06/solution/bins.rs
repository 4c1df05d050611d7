//! Bins: free chunks by their sizes, and fast bins in front of a malloc.

use core::ops::Range;
use core::ptr::{self, NonNull};
use heapkit::os::Os;
use lab02::{ALIGNMENT, Chunk, Header, SizeWord, request_to_chunk_size};
use lab03::{CorruptedLink, Fit, FreeList};
use lab04::FreeChunks;
use lab05::Malloc;

/// How many bins there are, with the two that stay empty since no chunk is that small.
pub const BIN_COUNT: usize = 128;

/// From this chunk size on, a bin holds a range of sizes. In glibc: `MIN_LARGE_SIZE`.
pub const MIN_LARGE_SIZE: usize = 1024;

/// The bin of [`MIN_LARGE_SIZE`]: the bins before it hold one size each.
pub const FIRST_LARGE_BIN: usize = MIN_LARGE_SIZE / ALIGNMENT;

/// Chunks of less than this many bytes wait in a fast bin when they are freed.
pub const FAST_LIMIT: usize = 1024;

/// When a chunk of this size or more is freed, the fast bins are emptied. In glibc: `FASTBIN_CONSOLIDATION_THRESHOLD`.
pub const CONSOLIDATION_SIZE: usize = 64 * 1024;

/// The bin for chunks of this size: one for each multiple of [`ALIGNMENT`] below [`MIN_LARGE_SIZE`]; from there on four for
/// each doubling, as in 1024, 1280, 1536, 1792, 2048, 2560. The last one also holds all that is larger.
pub fn bin_of(size: usize) -> usize {
    if size < MIN_LARGE_SIZE {
        return size / ALIGNMENT;
    }
    let doublings = (size / MIN_LARGE_SIZE).ilog2() as usize;
    // The two bits after the highest one say which quarter of the doubling it is.
    let quarter = (size >> doublings) / (MIN_LARGE_SIZE / 4) - 4;
    (FIRST_LARGE_BIN + 4 * doublings + quarter).min(BIN_COUNT - 1)
}

/// The chunk sizes of a bin, from the smallest one to below the smallest one of the next bin. No chunk is larger than
/// `isize::MAX`, so that is where the last bin's end.
pub fn sizes_of(bin: usize) -> Range<usize> {
    let first = |bin: usize| match bin.checked_sub(FIRST_LARGE_BIN) {
        None => bin * ALIGNMENT,
        Some(large) => (4 + large % 4) * (MIN_LARGE_SIZE / 4) << (large / 4),
    };
    first(bin)..if bin == BIN_COUNT - 1 { isize::MAX as usize + 1 } else { first(bin + 1) }
}

/// Which bins hold something: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinMap(u128);

impl BinMap {
    /// All bins are empty.
    pub const fn new() -> Self {
        Self(0)
    }

    /// This bin holds something.
    pub const fn set(&mut self, bin: usize) {
        self.0 |= 1 << bin;
    }

    /// This bin is empty.
    pub const fn clear(&mut self, bin: usize) {
        self.0 &= !(1 << bin);
    }

    /// The first bin from `bin` on that holds something.
    pub const fn first_from(self, bin: usize) -> Option<usize> {
        if bin >= BIN_COUNT {
            return None;
        }
        match self.0 >> bin {
            0 => None,
            rest => Some(bin + rest.trailing_zeros() as usize),
        }
    }
}

/// Free chunks by their sizes.
///
/// A chunk that is put in waits in the unsorted bin, for one chance to serve a request of exactly its size. Then it is sorted
/// into the bin of its size.
#[derive(Debug)]
pub struct Bins {
    unsorted: FreeList,
    sorted: [FreeList; BIN_COUNT],
    map: BinMap,
}

impl Bins {
    /// Bins without chunks.
    pub const fn new() -> Self {
        Self { unsorted: FreeList::new(), sorted: [const { FreeList::new() }; BIN_COUNT], map: BinMap::new() }
    }

    /// The unsorted bin.
    pub const fn unsorted(&self) -> &FreeList {
        &self.unsorted
    }

    /// The bins with sorted chunks.
    pub const fn sorted(&self) -> &[FreeList; BIN_COUNT] {
        &self.sorted
    }

    /// Sorts a chunk into the bin of its size: before the first chunk there that isn't smaller.
    ///
    /// # Safety
    /// As for [`FreeList::push`].
    pub unsafe fn sort(&mut self, chunk: Chunk) {
        let bin = bin_of(chunk.size());
        self.map.set(bin);
        match self.sorted[bin].iter().take_while(|listed| listed.size() < chunk.size()).last() {
            // SAFETY: a free chunk that is in no list, as is said above.
            None => unsafe { self.sorted[bin].push(chunk) },
            // SAFETY: both are free chunks, and nobody else writes their links.
            Some(smaller) => unsafe { insert_after(&smaller, &chunk) },
        }
    }

    /// Takes out the smallest sorted chunk of at least `size` bytes, and of equals the one that was sorted in last.
    ///
    /// `None` if there is none, or if its links are damaged: then it stays where it is.
    pub fn take_sorted(&mut self, size: usize) -> Option<Chunk> {
        let bin = bin_of(size);
        // All chunks of the bins after it are large enough; in its own bin, some may be.
        self.take_from(self.map.first_from(bin)?, size).or_else(|| self.take_from(self.map.first_from(bin + 1)?, size))
    }

    /// Takes a chunk of exactly `size` bytes out of the unsorted bin. Those before it are sorted into their bins, all
    /// if there is none.
    pub fn take_unsorted(&mut self, size: usize) -> Option<Chunk> {
        while let Some(chunk) = self.unsorted.pop() {
            if chunk.size() == size {
                return Some(chunk);
            }
            // SAFETY: the chunk is free, and has just left its list.
            unsafe { self.sort(chunk) };
        }
        None
    }

    /// Takes the first chunk of at least `size` bytes out of a bin: since they are sorted, it is the smallest.
    fn take_from(&mut self, bin: usize, size: usize) -> Option<Chunk> {
        let chunk = self.sorted[bin].take(Fit::First, size)?;
        self.has_lost_one(bin);
        Some(chunk)
    }

    fn has_lost_one(&mut self, bin: usize) {
        if self.sorted[bin].head().is_null() {
            self.map.clear(bin);
        }
    }
}

impl Default for Bins {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `take` gives chunks of exactly `size` bytes, or what first fit has found; both have left their lists.
unsafe impl FreeChunks for Bins {
    /// Puts a chunk at the head of the unsorted bin.
    unsafe fn put(&mut self, chunk: Chunk) {
        // SAFETY: `push` asks for the same.
        unsafe { self.unsorted.push(chunk) }
    }

    /// An exact fit from the unsorted bin, else the best fit from the others.
    fn take(&mut self, size: usize) -> Option<Chunk> {
        self.take_unsorted(size).or_else(|| self.take_sorted(size))
    }

    /// Takes a chunk out of its bin, the unsorted one or that of its size.
    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        // Only for the first chunk of a list it matters which list it is: then that one's head changes.
        if self.unsorted.head() == chunk.header().as_ptr() {
            // SAFETY: the chunk is in the unsorted bin.
            return unsafe { self.unsorted.unlink(chunk) };
        }
        let bin = bin_of(chunk.size());
        // SAFETY: the chunk is in this bin, or in the unsorted one, but not its first.
        unsafe { self.sorted[bin].unlink(chunk) }?;
        self.has_lost_one(bin);
        Ok(())
    }
}

/// Puts a chunk into a list, after another one.
///
/// # Safety
/// As for [`FreeList::push`], and `before` is in the list.
unsafe fn insert_after(before: &Chunk, chunk: &Chunk) {
    let (before, new) = (before.header().as_ptr(), chunk.header().as_ptr());
    // SAFETY: all three are chunks in the list or on the way there, and nobody else writes their links.
    unsafe {
        let after = (*before).fd;
        (*new).fd = after;
        (*new).bk = before;
        (*before).fd = new;
        if !after.is_null() {
            (*after).bk = new;
        }
    }
}

/// Freed chunks of one size, linked in one direction. To their neighbours they are in use, so they are joined to nothing.
#[derive(Debug)]
pub struct FastBin {
    head: *mut Header,
}

impl FastBin {
    /// A bin without chunks.
    pub const fn new() -> Self {
        Self { head: ptr::null_mut() }
    }

    /// The first chunk's header, null for an empty bin.
    pub const fn head(&self) -> *mut Header {
        self.head
    }

    /// Puts a chunk at the head. Of all its words only `fd` is written.
    ///
    /// # Safety
    /// The chunk is in use and in no list, nobody uses its payload any more, and it stays valid for as long as it is in this bin.
    pub unsafe fn push(&mut self, chunk: Chunk) {
        let new = chunk.header().as_ptr();
        // SAFETY: nobody uses the chunk's payload, where `fd` is.
        unsafe { (*new).fd = self.head };
        self.head = new;
    }

    /// Takes the chunk at the head.
    pub fn pop(&mut self) -> Option<Chunk> {
        let head = NonNull::new(self.head)?;
        // SAFETY: `push` has put this chunk here, and has written its `fd`.
        unsafe {
            self.head = (*head.as_ptr()).fd;
            Some(Chunk::from_header(head))
        }
    }
}

impl Default for FastBin {
    fn default() -> Self {
        Self::new()
    }
}

/// A malloc with bins, and fast bins in front of it.
///
/// A small block that is freed waits in a fast bin for a request of its chunk's size. Everything else goes to the malloc.
#[derive(Debug)]
pub struct FastMalloc<O> {
    malloc: Malloc<O, Bins>,
    /// The bin for each chunk size below [`FAST_LIMIT`].
    fast: [FastBin; FAST_LIMIT / ALIGNMENT],
}

impl<O: Os> FastMalloc<O> {
    /// A malloc that has asked the system for nothing yet.
    pub const fn new(os: O) -> Self {
        // SAFETY: new bins hold no chunk.
        let malloc = unsafe { Malloc::with(os, Bins::new()) };
        Self { malloc, fast: [const { FastBin::new() }; FAST_LIMIT / ALIGNMENT] }
    }

    /// The bins of the malloc.
    pub const fn bins(&self) -> &Bins {
        self.malloc.free_chunks()
    }

    /// The fast bins, by chunk size.
    pub const fn fast_bins(&self) -> &[FastBin] {
        &self.fast
    }

    /// A block of `request` bytes: from the fast bin of its chunk's size, else from the malloc.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.take_fast(request).or_else(|| self.serve(request, |malloc| malloc.malloc(request)))
    }

    /// A block of `count` times `size` bytes, all of them 0.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        let request = count.checked_mul(size)?;
        match self.take_fast(request) {
            Some(payload) => {
                // SAFETY: a block of `request` bytes that nobody uses yet.
                unsafe { payload.write_bytes(0, request) };
                Some(payload)
            }
            None => self.serve(request, |malloc| malloc.calloc(count, size)),
        }
    }

    /// A block of `request` bytes that starts at a multiple of `align`.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.serve(request, |malloc| malloc.aligned(align, request))
    }

    /// Makes a block hold `request` bytes, and says where it then is.
    ///
    /// # Safety
    /// As for [`Malloc::realloc`].
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: a block of this malloc that has not been freed, and after a `None` it still is.
        self.serve(request, |malloc| unsafe { malloc.realloc(payload, request) })
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// As for [`Malloc::free`].
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: a block of this malloc that has not been freed is a chunk in use, and nobody uses it any more.
        unsafe {
            let chunk = Chunk::from_payload(payload);
            let size = chunk.size();
            if size < FAST_LIMIT && !chunk.size_word().has(SizeWord::IS_MMAPPED) {
                return self.fast[size / ALIGNMENT].push(chunk);
            }
            self.malloc.free(payload);
            if size >= CONSOLIDATION_SIZE {
                self.consolidate();
            }
        }
    }

    /// Gives all chunks in fast bins to the malloc, which joins them with their neighbours.
    pub fn consolidate(&mut self) {
        for bin in &mut self.fast {
            while let Some(chunk) = bin.pop() {
                // SAFETY: the chunk is in use, and nobody uses its payload: it was freed.
                unsafe { self.malloc.free(chunk.payload()) };
            }
        }
    }

    fn take_fast(&mut self, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        Some(self.fast.get_mut(size / ALIGNMENT)?.pop()?.payload())
    }

    /// Asks the malloc for a block. A large request consolidates first; one that is refused does, and asks once more.
    fn serve<F>(&mut self, request: usize, ask: F) -> Option<NonNull<u8>>
    where
        F: Fn(&mut Malloc<O, Bins>) -> Option<NonNull<u8>>,
    {
        if request_to_chunk_size(request)? >= MIN_LARGE_SIZE {
            self.consolidate();
        }
        ask(&mut self.malloc).or_else(|| {
            self.consolidate();
            ask(&mut self.malloc)
        })
    }
}
