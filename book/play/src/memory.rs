//! A simulated system in memory of this process: heapkit's, without a kernel that could guard a page.

use heapkit::memory::{Arena, MAPPINGS, PAGE, START};
use heapkit::os::{Os, Refusal, SimOs};
use heapkit::snapshot::Snapshot;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;

use crate::script::LARGEST_ALIGNMENT;

/// All that the break can ever hand out.
pub const HEAP_ROOM: usize = 8 << 20;

/// As much as all mappings together can have.
pub const MAPPED_AT_MOST: usize = 64 << 20;

/// Bytes at an address that is `START` after a multiple of the largest alignment, so that what depends on the alignment of addresses
/// is the same everywhere.
struct Region {
    all: NonNull<[u8]>,
    start: NonNull<u8>,
    len: usize,
}

impl Region {
    /// `len` zeroes.
    fn new(len: usize) -> Self {
        let all = Box::into_raw(vec![0; len + 2 * LARGEST_ALIGNMENT].into_boxed_slice());
        let first = all.cast::<u8>();
        let skip = first.addr().next_multiple_of(LARGEST_ALIGNMENT) + START - first.addr();
        const { assert!(START < LARGEST_ALIGNMENT) };
        // SAFETY: a box isn't null, and `skip` is less than two alignments, so `len` bytes follow inside the box.
        let (all, start) = unsafe { (NonNull::new_unchecked(all), NonNull::new_unchecked(first.add(skip))) };
        Region { all, start, len }
    }

    fn pointer(&self, at: usize) -> NonNull<u8> {
        assert!(at <= self.len, "{at:#x} is outside its region");
        // SAFETY: inside the region or one past its end, as just checked.
        unsafe { self.start.add(at) }
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        assert!(at + into.len() <= self.len);
        // SAFETY: inside the region, of whose bytes only raw pointers exist.
        unsafe { self.pointer(at).as_ptr().copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        // SAFETY: as in `read`.
        unsafe { self.pointer(at).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from `Box::into_raw`, and nobody uses the region any more.
        drop(unsafe { Box::from_raw(self.all.as_ptr()) });
    }
}

/// The memory of one heap and its mappings. Each mapping is a region of its own.
pub struct PlayArena {
    heap: Region,
    mappings: RefCell<BTreeMap<usize, Region>>,
}

impl PlayArena {
    fn new(room: usize) -> Self {
        PlayArena { heap: Region::new(room), mappings: RefCell::default() }
    }

    /// Runs `work` on the mapping in which the byte at `at` is, and the byte's place in it.
    fn in_mapping<T>(&self, at: usize, work: impl FnOnce(&Region, usize) -> T) -> Option<T> {
        let mappings = self.mappings.borrow();
        let (start, region) = mappings.range(..=at).next_back()?;
        (at - start < region.len).then(|| work(region, at - start))
    }

    /// The pointer to the byte at `at`, in the heap or in a mapping that is there.
    pub fn pointer(&self, at: usize) -> NonNull<u8> {
        match at < MAPPINGS.start {
            true => self.heap.pointer(at),
            false => self.in_mapping(at, Region::pointer).expect("the system has granted this mapping"),
        }
    }

    /// The offset of an address in the heap or in a mapping.
    ///
    /// # Panics
    /// If it is in neither.
    pub fn offset_of(&self, pointer: NonNull<u8>) -> usize {
        let inside = |region: &Region| {
            let at = pointer.addr().get().checked_sub(region.start.addr().get());
            at.filter(|at| *at <= region.len)
        };
        let mappings = self.mappings.borrow();
        let in_mapping = || mappings.iter().find_map(|(start, region)| Some(start + inside(region)?));
        inside(&self.heap).or_else(in_mapping).expect("a malloc names addresses that the system has granted")
    }
}

impl Arena for PlayArena {
    fn base(&self) -> usize {
        self.heap.start.addr().get()
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        match at < MAPPINGS.start {
            true => self.heap.read(at, into),
            false => {
                if self.in_mapping(at, |region, at| region.read(at, into)).is_none() {
                    into.fill(0);
                }
            }
        }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        match at < MAPPINGS.start {
            true => self.heap.write(at, bytes),
            false => self.in_mapping(at, |region, at| region.write(at, bytes)).unwrap_or_default(),
        }
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        let mut bytes = vec![0; range.len()];
        self.read(range.start, &mut bytes);
        Snapshot::new(self.base(), range.start, bytes)
    }

    fn open(&self, pages: Range<usize>) {
        if pages.start >= MAPPINGS.start {
            self.mappings.borrow_mut().insert(pages.start, Region::new(pages.len()));
        }
    }

    fn close(&self, _: Range<usize>) {}

    fn discard(&self, pages: Range<usize>) {
        if pages.start >= MAPPINGS.start {
            self.mappings.borrow_mut().remove(&pages.start);
        }
    }

    fn touched(&self, _: Range<usize>) -> usize {
        0
    }
}

/// The simulated system.
pub struct PlayOs(SimOs<PlayArena>);

impl PlayOs {
    /// A system that hands out memory.
    pub fn new() -> Self {
        Self::with_room(HEAP_ROOM)
    }

    /// The same, with another room for the break.
    pub fn with_room(room: usize) -> Self {
        PlayOs(SimOs::new(PlayArena::new(room), room))
    }

    /// A heap of one page, and no system to ask.
    pub fn one_page() -> Self {
        PlayOs(SimOs::with_heap(PlayArena::new(PAGE), PAGE))
    }

    /// What it has granted and noted.
    pub fn sim(&self) -> &SimOs<PlayArena> {
        &self.0
    }

    /// Its memory.
    pub fn arena(&self) -> &PlayArena {
        self.0.arena()
    }

    /// The heap's bytes, as a malloc of labs 3 and 4 is given them.
    pub fn region(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.arena().heap.start, self.0.end())
    }

    /// Asks for a mapping in which `more` bytes are new, if there can be so many.
    fn map(&self, more: usize, ask: impl FnOnce() -> Option<usize>) -> Option<NonNull<u8>> {
        let mapped: usize = self.0.mappings().iter().map(|(_, mapping)| mapping.len).sum();
        let is_too_much = mapped.checked_add(more).is_none_or(|all| all > MAPPED_AT_MOST);
        self.0.refuse(if is_too_much { Refusal::Mappings } else { Refusal::Nothing });
        let at = ask();
        self.0.refuse(Refusal::Nothing);
        at.map(|at| self.arena().pointer(at))
    }
}

impl Default for PlayOs {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what the simulated system grants is inside the heap's region or is a region of its own, and it grants no part of it twice.
unsafe impl Os for PlayOs {
    fn program_break(&self) -> NonNull<u8> {
        self.arena().pointer(self.0.end())
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        self.0.sbrk(delta).map(|at| self.arena().pointer(at))
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        self.map(len, || self.0.mmap(len))
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        self.0.munmap(self.arena().offset_of(start), len);
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        let start = self.arena().offset_of(start);
        self.map(new_len.saturating_sub(len), || self.0.mremap(start, len, new_len))
    }
}
