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
    if size < MIN_LARGE_SIZE {
        return size / ALIGNMENT;
    }
    let doublings = (size / MIN_LARGE_SIZE).ilog2() as usize;
    // Scaled back to the first doubling, where the bins are 128 bytes apart.
    let eighth = ((size >> doublings) - MIN_LARGE_SIZE) / (MIN_LARGE_SIZE / BINS_PER_DOUBLING);
    let bin = FIRST_LARGE_BIN + BINS_PER_DOUBLING * doublings + eighth;
    if bin < BIN_COUNT { bin } else { BIN_COUNT - 1 }
}

/// The sizes that belong in a bin: from its smallest one up to where the next bin starts. The last bin ends at
/// `isize::MAX as usize + 1`, which no chunk reaches.
pub fn sizes_of(bin: usize) -> Range<usize> {
    smallest_of(bin)..if bin == BIN_COUNT - 1 { isize::MAX as usize + 1 } else { smallest_of(bin + 1) }
}

fn smallest_of(bin: usize) -> usize {
    if bin < FIRST_LARGE_BIN {
        return bin * ALIGNMENT;
    }
    let (doublings, eighth) =
        ((bin - FIRST_LARGE_BIN) / BINS_PER_DOUBLING, (bin - FIRST_LARGE_BIN) % BINS_PER_DOUBLING);
    (MIN_LARGE_SIZE + eighth * (MIN_LARGE_SIZE / BINS_PER_DOUBLING)) << doublings
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
        self.0 |= 1 << bin;
    }

    /// Notes that a bin is empty.
    pub fn clear(&mut self, bin: usize) {
        self.0 &= !(1 << bin);
    }

    /// The first bin that holds something, of the bin `from` and those after it. `from` may be [`BIN_COUNT`]: there is none.
    pub fn first_from(self, from: usize) -> Option<usize> {
        if from >= BIN_COUNT {
            return None;
        }
        match self.0 >> from {
            0 => None,
            rest => Some(from + rest.trailing_zeros() as usize),
        }
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
        let bin = bin_of(chunk.size());
        self.map.set(bin);
        match self.sorted[bin].iter().take_while(|listed| listed.size() < chunk.size()).last() {
            // SAFETY: the chunk is free and in no list (see `# Safety`).
            None => unsafe { self.sorted[bin].push(chunk) },
            // SAFETY: the same, and the smaller one is in this list.
            Some(smaller) => unsafe { insert_after(&smaller, &chunk) },
        }
    }

    /// Takes the smallest chunk of at least `size` bytes out of its bin; of equals, the first one there. The unsorted bin isn't
    /// looked at.
    ///
    /// No chunk comes out whose links are damaged: it stays where it is, and the answer is a larger chunk, or `None`. `None` as
    /// well if no chunk is large enough.
    pub fn take_sorted(&mut self, size: usize) -> Option<Chunk> {
        let bin = bin_of(size);
        // In its own bin some chunks may be too small, in those after it none is.
        self.take_from(self.map.first_from(bin)?, size).or_else(|| self.take_from(self.map.first_from(bin + 1)?, size))
    }

    /// Takes chunks out of the unsorted bin, first to last, until one has exactly `size` bytes: it is returned. Those before it
    /// are sorted into their bins, each by [`Bins::sort`].
    ///
    /// `None` if no chunk has that size: then all are sorted. At a chunk with damaged links it ends, too: that one stays, and so
    /// do those after it.
    pub fn take_unsorted(&mut self, size: usize) -> Option<Chunk> {
        while let Some(chunk) = self.unsorted.pop() {
            if chunk.size() == size {
                return Some(chunk);
            }
            // SAFETY: a free chunk that has just left its list.
            unsafe { self.sort(chunk) };
        }
        None
    }

    /// Takes the first chunk of at least `size` bytes out of a bin. Since the bin is sorted, that is the smallest.
    fn take_from(&mut self, bin: usize, size: usize) -> Option<Chunk> {
        let chunk = self.sorted[bin].take(Fit::First, size)?;
        self.note_if_empty(bin);
        Some(chunk)
    }

    fn note_if_empty(&mut self, bin: usize) {
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

// SAFETY: `take` gives an exact fit, or one that is large enough by `Fit::First`; both have left their list, as has what
// `remove` takes out.
unsafe impl FreeChunks for Bins {
    /// Puts a chunk at the head of the unsorted bin.
    unsafe fn put(&mut self, chunk: Chunk) {
        // SAFETY: `push` asks for the same.
        unsafe { self.unsorted.push(chunk) }
    }

    /// By [`Bins::take_unsorted`], else by [`Bins::take_sorted`].
    fn take(&mut self, size: usize) -> Option<Chunk> {
        self.take_unsorted(size).or_else(|| self.take_sorted(size))
    }

    /// Takes a chunk out of the unsorted bin or out of the bin of its size, wherever it is.
    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        // Which list it is in, matters only for the first chunk of a list: there the head changes.
        if self.unsorted.head() == chunk.header().as_ptr() {
            // SAFETY: the chunk is in the unsorted bin.
            return unsafe { self.unsorted.unlink(chunk) };
        }
        let bin = bin_of(chunk.size());
        // SAFETY: the chunk is in this list, or in the middle of the unsorted bin, where `unlink` needs the neighbours alone.
        unsafe { self.sorted[bin].unlink(chunk) }?;
        self.note_if_empty(bin);
        Ok(())
    }
}

/// Puts a chunk into a list, right after another one.
///
/// # Safety
/// As for [`FreeList::push`], and `before` is in the list.
unsafe fn insert_after(before: &Chunk, chunk: &Chunk) {
    let (before, new) = (before.header().as_ptr(), chunk.header().as_ptr());
    // SAFETY: `before` and the one after it are in the list, the chunk is free, and nobody else writes their links.
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
        let new = chunk.header().as_ptr();
        // SAFETY: `fd` is in the payload, which nobody uses.
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
        self.is_shut.set(true);
    }

    /// From now on everything goes through to the system.
    pub fn open(&self) {
        self.is_shut.set(false);
    }
}

// SAFETY: what is handed out comes from the system, and what is given back goes there.
unsafe impl<O: Os> Os for Gate<O> {
    fn program_break(&self) -> NonNull<u8> {
        self.os.program_break()
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        if self.is_shut.get() && delta > 0 {
            return None;
        }
        // SAFETY: nobody uses what a negative `delta` gives back (see `# Safety`).
        unsafe { self.os.sbrk(delta) }
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        if self.is_shut.get() { None } else { self.os.mmap(len) }
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: exactly this mapping, and nobody uses it any more (see `# Safety`).
        unsafe { self.os.munmap(start, len) }
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: exactly this mapping, and nobody uses the old place if it moves (see `# Safety`).
        unsafe { self.os.mremap(start, len, new_len) }
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
        self.take_fast(request).or_else(|| self.serve(|malloc| malloc.malloc(request)))
    }

    /// A block of `count` times `size` bytes, all of them 0: from a fast bin as in [`FastMalloc::malloc`], else in the same two
    /// steps from [`Malloc::calloc`].
    ///
    /// `None` if `count` times `size` is more than a word can hold, and where [`Malloc::calloc`] says it.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        let request = count.checked_mul(size)?;
        match self.take_fast(request) {
            Some(payload) => {
                // SAFETY: a block of `request` bytes that nobody uses yet.
                unsafe { payload.write_bytes(0, request) };
                Some(payload)
            }
            None => self.serve(|malloc| malloc.calloc(count, size)),
        }
    }

    /// A block of `request` bytes that starts at a multiple of `align`, in the same two steps from [`Malloc::aligned`]. The fast
    /// bins are not looked at.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.serve(|malloc| malloc.aligned(align, request))
    }

    /// Makes a block hold `request` bytes, and says where it then is, in the same two steps by [`Malloc::realloc`]. The fast bins
    /// are not looked at, and what it frees goes to the malloc.
    ///
    /// # Safety
    /// As for [`Malloc::realloc`].
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: a block that has not been freed (see `# Safety`). Where the answer is `None`, it is as it was.
        self.serve(|malloc| unsafe { malloc.realloc(payload, request) })
    }

    /// Takes a block back: a chunk of less than [`MIN_LARGE_SIZE`] bytes goes to the head of its fast bin, still marked as in use. A
    /// larger one is freed by [`Malloc::free`], and so is a mapping: none is that small.
    ///
    /// # Safety
    /// As for [`Malloc::free`].
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: a block that has not been freed is a chunk in use, and nobody uses it any more (see `# Safety`). A mapping has
        // whole pages, of which an alignment takes half of one, or all but 16 bytes, which is no chunk without another page.
        unsafe {
            let chunk = Chunk::from_payload(payload);
            match self.fast.get_mut(bin_of(chunk.size())) {
                Some(bin) => bin.push(chunk),
                None => self.malloc.free(payload),
            }
        }
    }

    /// Empties the fast bins: [`Malloc::free`] gets all their chunks, and joins them with what is free around them.
    pub fn consolidate(&mut self) {
        for bin in &mut self.fast {
            while let Some(chunk) = bin.pop() {
                // SAFETY: a block of the malloc, which was freed by `FastMalloc::free`, but not yet by the malloc.
                unsafe { self.malloc.free(chunk.payload()) };
            }
        }
    }

    fn take_fast(&mut self, request: usize) -> Option<NonNull<u8>> {
        let bin = bin_of(request_to_chunk_size(request)?);
        Some(self.fast.get_mut(bin)?.pop()?.payload())
    }

    /// What the malloc gives, first without the system, and then with it.
    fn serve(&mut self, ask: impl Fn(&mut Malloc<Gate<O>, Bins>) -> Option<NonNull<u8>>) -> Option<NonNull<u8>> {
        self.malloc.os().shut();
        let block = ask(&mut self.malloc);
        self.malloc.os().open();
        block.or_else(|| {
            self.consolidate();
            ask(&mut self.malloc)
        })
    }
}
