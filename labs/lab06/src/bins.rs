//! Bins: free chunks by their sizes, and fast bins in front of a malloc.

use core::cell::Cell;
use core::ops::Range;
use core::ptr::{self, NonNull};
use heapkit::os::Os;
use lab02::{ALIGNMENT, Chunk, Header, request_to_chunk_size};
use lab03::{CorruptedLink, Fit, FreeList};
use lab04::FreeChunks;
use lab05::Malloc;

/// How many bins there are. The first two stay empty: no chunk is that small.
pub const BIN_COUNT: usize = 128;

/// Chunks of this size or more share a bin with chunks of other sizes. In glibc: `MIN_LARGE_SIZE`.
pub const MIN_LARGE_SIZE: usize = 1024;

/// The bin of [`MIN_LARGE_SIZE`]. Each bin before it holds chunks of one size.
pub const FIRST_LARGE_BIN: usize = MIN_LARGE_SIZE / ALIGNMENT;

/// From one doubling of [`MIN_LARGE_SIZE`] to the next there are so many bins.
pub const BINS_PER_DOUBLING: usize = 8;

/// The bin for chunks of this size.
///
/// Below [`MIN_LARGE_SIZE`], each multiple of [`ALIGNMENT`] has a bin of its own: bin 2 for 32 bytes, bin 3 for 48. The other bins
/// hold ranges, [`BINS_PER_DOUBLING`] of equal length for each doubling: bin 64 starts at 1024 bytes, bin 65 at 1152, bin 66 at
/// 1280; bin 72 starts at 2048, bin 73 at 2304. The last bin also holds everything larger.
pub fn bin_of(size: usize) -> usize {
    todo!("bin_of")
}

/// The sizes that belong in a bin: from its smallest one up to where the next bin starts. The last bin ends at
/// `isize::MAX as usize + 1`, which no chunk reaches.
pub fn sizes_of(bin: usize) -> Range<usize> {
    todo!("sizes_of")
}

/// Which bins hold something: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinMap(u128);

impl BinMap {
    /// All bins are empty.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Notes that a bin holds something.
    pub fn set(&mut self, bin: usize) {
        todo!("BinMap::set")
    }

    /// Notes that a bin is empty.
    pub fn clear(&mut self, bin: usize) {
        todo!("BinMap::clear")
    }

    /// The first bin that holds something, of the bin `from` and those after it. `from` may be [`BIN_COUNT`]: there is none.
    pub fn first_from(self, from: usize) -> Option<usize> {
        todo!("BinMap::first_from")
    }
}

/// Free chunks by their sizes.
///
/// A chunk that is put in waits in the *unsorted* bin first. The next request looks through that one: an exact fit is served at
/// once, and what doesn't fit is sorted into the bin of its size.
#[derive(Debug)]
pub struct Bins {
    unsorted: FreeList,
    sorted: [FreeList; BIN_COUNT],
    /// Which of the `sorted` ones hold something.
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

    /// The other bins, each at the index that [`bin_of`] says.
    pub const fn sorted(&self) -> &[FreeList; BIN_COUNT] {
        &self.sorted
    }

    /// Puts a chunk into the bin of its size: after all chunks there that are smaller, and before all others. So a bin is
    /// sorted, and of equals the one that came last is the first.
    ///
    /// # Safety
    /// As for [`FreeList::push`].
    pub unsafe fn sort(&mut self, chunk: Chunk) {
        todo!("Bins::sort")
    }

    /// Takes the smallest chunk of at least `size` bytes out of its bin; of equals, the first one there. The unsorted bin isn't
    /// looked at.
    ///
    /// No chunk comes out whose links are damaged: it stays where it is, and the answer is a larger chunk, or `None`. `None` as
    /// well if no chunk is large enough.
    pub fn take_sorted(&mut self, size: usize) -> Option<Chunk> {
        todo!("Bins::take_sorted")
    }

    /// Takes chunks out of the unsorted bin, first to last, until one has exactly `size` bytes: it is returned. Those before it
    /// are sorted into their bins, each by [`Bins::sort`].
    ///
    /// `None` if no chunk has that size: then all are sorted. At a chunk with damaged links it ends, too: that one stays, and so
    /// do those after it.
    pub fn take_unsorted(&mut self, size: usize) -> Option<Chunk> {
        todo!("Bins::take_unsorted")
    }
}

impl Default for Bins {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `take` gives an exact fit, or one that is large enough by `Fit::First`; both have left their list, as has what
// `remove` takes out.
unsafe impl FreeChunks for Bins {
    /// Puts a chunk at the head of the unsorted bin.
    unsafe fn put(&mut self, chunk: Chunk) {
        todo!("Bins::put")
    }

    /// By [`Bins::take_unsorted`], else by [`Bins::take_sorted`].
    fn take(&mut self, size: usize) -> Option<Chunk> {
        todo!("Bins::take")
    }

    /// Takes a chunk out of the unsorted bin or out of the bin of its size, wherever it is.
    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        todo!("Bins::remove")
    }
}

/// Freed chunks of one size that are still marked as in use, so nobody joins them to anything. `fd` leads to the next one; there
/// is no way back.
#[derive(Debug)]
pub struct FastBin {
    /// The first chunk, null if there is none.
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

    /// Puts a chunk at the head. Of all words in memory, only its `fd` is written.
    ///
    /// # Safety
    /// The chunk is marked as in use, but nobody uses its payload any more. It is in no list, and it stays valid for as long as it
    /// is in this one.
    pub unsafe fn push(&mut self, chunk: Chunk) {
        todo!("FastBin::push")
    }

    /// Takes the chunk at the head.
    pub fn pop(&mut self) -> Option<Chunk> {
        todo!("FastBin::pop")
    }
}

impl Default for FastBin {
    fn default() -> Self {
        Self::new()
    }
}

/// A system with a gate. While it is shut, no memory comes through, and the malloc has to make do with what it has.
#[derive(Debug)]
pub struct Gate<O> {
    os: O,
    is_shut: Cell<bool>,
}

impl<O> Gate<O> {
    /// This system, with an open gate.
    pub const fn new(os: O) -> Self {
        Self { os, is_shut: Cell::new(false) }
    }

    /// From now on [`Os::sbrk`] refuses to move the break up and [`Os::mmap`] refuses everything, without a word to the system.
    /// Everything else goes through as before.
    pub fn shut(&self) {
        todo!("Gate::shut")
    }

    /// From now on everything goes through to the system.
    pub fn open(&self) {
        todo!("Gate::open")
    }
}

// SAFETY: what is handed out comes from the system, and what is given back goes there.
unsafe impl<O: Os> Os for Gate<O> {
    fn program_break(&self) -> NonNull<u8> {
        todo!("Gate::program_break")
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        todo!("Gate::sbrk")
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        todo!("Gate::mmap")
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        todo!("Gate::munmap")
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        todo!("Gate::mremap")
    }
}

/// A whole malloc with bins, and with fast bins in front of it.
///
/// A small block that is freed waits in the fast bin of its chunk's size, for a request of that size. Before the malloc asks the
/// system for memory, the fast bins are emptied, so that what was freed can be joined.
#[derive(Debug)]
pub struct FastMalloc<O> {
    malloc: Malloc<Gate<O>, Bins>,
    /// One for each bin that holds chunks of one size, at the same index.
    fast: [FastBin; FIRST_LARGE_BIN],
}

impl<O: Os> FastMalloc<O> {
    /// A malloc that has asked the system for nothing yet.
    pub const fn new(os: O) -> Self {
        // SAFETY: new bins hold no chunk.
        let malloc = unsafe { Malloc::with(Gate::new(os), Bins::new()) };
        Self { malloc, fast: [const { FastBin::new() }; FIRST_LARGE_BIN] }
    }

    /// The bins of the malloc.
    pub const fn bins(&self) -> &Bins {
        self.malloc.free_chunks()
    }

    /// The fast bins, each at the index that [`bin_of`] says.
    pub const fn fast_bins(&self) -> &[FastBin; FIRST_LARGE_BIN] {
        &self.fast
    }

    /// The top chunk, if the break has moved at least once.
    pub const fn top(&self) -> Option<&Chunk> {
        self.malloc.top()
    }

    /// A block of `request` bytes: the first chunk of the fast bin for its chunk size, if that holds one. Else what
    /// [`Malloc::malloc`] gives:
    ///
    /// 1. with the gate shut, so from the memory that the malloc has;
    /// 2. if that is `None`: with the gate open, after [`FastMalloc::consolidate`].
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        todo!("FastMalloc::malloc")
    }

    /// A block of `count` times `size` bytes, all of them 0: from a fast bin as in [`FastMalloc::malloc`], else in the same two
    /// steps from [`Malloc::calloc`].
    ///
    /// `None` if `count` times `size` is more than a word can hold, and where [`Malloc::calloc`] says it.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        todo!("FastMalloc::calloc")
    }

    /// A block of `request` bytes that starts at a multiple of `align`, in the same two steps from [`Malloc::aligned`]. The fast
    /// bins are not looked at.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        todo!("FastMalloc::aligned")
    }

    /// Makes a block hold `request` bytes, and says where it then is, in the same two steps by [`Malloc::realloc`]. The fast bins
    /// are not looked at, and what it frees goes to the malloc.
    ///
    /// # Safety
    /// As for [`Malloc::realloc`].
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        todo!("FastMalloc::realloc")
    }

    /// Takes a block back: a chunk of less than [`MIN_LARGE_SIZE`] bytes goes to the head of its fast bin, still marked as in use. A
    /// larger one is freed by [`Malloc::free`], and so is a mapping: none is that small.
    ///
    /// # Safety
    /// As for [`Malloc::free`].
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        todo!("FastMalloc::free")
    }

    /// Empties the fast bins: [`Malloc::free`] gets all their chunks, and joins them with what is free around them.
    pub fn consolidate(&mut self) {
        todo!("FastMalloc::consolidate")
    }
}
