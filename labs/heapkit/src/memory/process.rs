//! Memory of this process: pages that are opened and closed, and all of it.

use super::{ARENA, Arena, GUARD, PAGE, START};
use crate::snapshot::Snapshot;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// An arena of this process's own.
///
/// It stays mapped until the process ends: an allocator may keep pointers into it.
#[derive(Debug)]
pub struct PrivateArena {
    start: NonNull<u8>,
}

impl PrivateArena {
    /// Reserves the addresses. No page of it is open yet.
    ///
    /// # Errors
    /// What the system says, if it has no addresses left.
    pub fn reserve() -> io::Result<Self> {
        const ALIGNMENT: usize = 1 << 30;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh reservation at an address of the kernel's choice touches no memory in use.
        let reserved =
            unsafe { libc::mmap(ptr::null_mut(), 2 * ALIGNMENT + ARENA + GUARD, libc::PROT_NONE, flags, -1, 0) };
        if reserved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let before = (reserved.addr() + GUARD).next_multiple_of(ALIGNMENT) + START - reserved.addr();
        // SAFETY: `before` is less than two alignments, so an arena and a guard follow inside the reservation.
        let start = unsafe { reserved.byte_add(before) };
        Ok(PrivateArena { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)? })
    }

    /// A fresh heap of `len` bytes, whole pages, in an arena of its own.
    ///
    /// # Errors
    /// As [`PrivateArena::reserve`].
    pub fn heap(len: usize) -> io::Result<Self> {
        let arena = Self::reserve()?;
        arena.open(0..len);
        arena.freshen(0..len);
        Ok(arena)
    }

    /// The pointer to the byte at `at`, which may be used for the whole arena.
    ///
    /// # Panics
    /// If the arena has no such byte.
    pub fn pointer(&self, at: usize) -> NonNull<u8> {
        assert!(at <= ARENA, "{at:#x} is outside an arena");
        // SAFETY: inside the arena or one past its end, as just checked.
        unsafe { self.start.add(at) }
    }

    /// The first `len` bytes, as a pointer: what an allocator is given to manage.
    pub fn region(&self, len: usize) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, len)
    }

    /// How far after the heap's start `pointer` points.
    pub fn offset_of<T: ?Sized>(&self, pointer: *const T) -> usize {
        pointer.addr().wrapping_sub(self.base())
    }

    fn protect(&self, pages: &Range<usize>, access: i32) {
        let whole = pages.start.is_multiple_of(PAGE) && pages.end.is_multiple_of(PAGE);
        assert!(whole && pages.end <= ARENA, "{pages:?} are no pages of an arena");
        // SAFETY: the pages are the arena's own, and only raw pointers to them exist.
        let result = unsafe { libc::mprotect(self.pointer(pages.start).as_ptr().cast(), pages.len(), access) };
        assert_eq!(result, 0, "mprotect: {}", io::Error::last_os_error());
    }
}

impl Arena for PrivateArena {
    fn base(&self) -> usize {
        self.start.addr().get()
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        assert!(at + into.len() <= ARENA);
        // SAFETY: inside the arena, and whoever watches a private arena reads open pages. No reference to them exists.
        unsafe { self.pointer(at).as_ptr().copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= ARENA);
        // SAFETY: as in `read`.
        unsafe { self.pointer(at).as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        let mut bytes = vec![0; range.len()];
        self.read(range.start, &mut bytes);
        Snapshot::new(self.base(), range.start, bytes)
    }

    fn open(&self, pages: Range<usize>) {
        self.protect(&pages, libc::PROT_READ | libc::PROT_WRITE);
    }

    fn close(&self, pages: Range<usize>) {
        self.protect(&pages, libc::PROT_NONE);
    }

    fn discard(&self, pages: Range<usize>) {
        assert!(pages.end <= ARENA);
        // SAFETY: the arena's own pages: they read as zero from now on.
        unsafe { libc::madvise(self.pointer(pages.start).as_ptr().cast(), pages.len(), libc::MADV_DONTNEED) };
    }

    fn touched(&self, pages: Range<usize>) -> usize {
        resident(self.base() + pages.start, pages.len())
    }
}

/// How many of the pages at an address are in memory.
fn resident(start: usize, len: usize) -> usize {
    let mut resident = vec![0_u8; len.div_ceil(PAGE)];
    // SAFETY: mincore only asks; it writes one byte for each page.
    unsafe { libc::mincore(ptr::without_provenance_mut(start), len, resident.as_mut_ptr()) };
    resident.iter().filter(|page| **page & 1 != 0).count()
}

/// All memory of this process: offsets are addresses. So a program can look at blocks of its own `malloc`, or of any other.
#[derive(Debug)]
pub struct ThisProcess(());

impl ThisProcess {
    /// This process's memory.
    ///
    /// # Safety
    /// The addresses that are read and written through it are those of blocks that an allocator has handed out and not taken
    /// back, and nobody else uses these blocks meanwhile.
    pub unsafe fn new() -> Self {
        ThisProcess(())
    }
}

impl Arena for ThisProcess {
    fn base(&self) -> usize {
        0
    }

    fn extent(&self) -> usize {
        usize::MAX
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        let from: *const u8 = ptr::with_exposed_provenance(at);
        // SAFETY: bytes of a block that is in use, and that nobody else uses (see `ThisProcess::new`).
        unsafe { from.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        let to: *mut u8 = ptr::with_exposed_provenance_mut(at);
        // SAFETY: as in `read`.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        let mut bytes = vec![0; range.len()];
        self.read(range.start, &mut bytes);
        Snapshot::new(self.base(), range.start, bytes)
    }

    fn open(&self, _: Range<usize>) {}

    fn close(&self, _: Range<usize>) {}

    fn discard(&self, _: Range<usize>) {}

    fn touched(&self, pages: Range<usize>) -> usize {
        resident(pages.start, pages.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FRESH;

    #[test]
    fn a_fresh_heap_holds_no_zeroes() {
        let arena = PrivateArena::heap(PAGE).unwrap();
        assert!(arena.snapshot(0..PAGE).bytes(0..PAGE).iter().all(|&byte| byte == FRESH));
    }

    #[test]
    fn offsets_count_from_the_start_of_the_heap() {
        let arena = PrivateArena::heap(PAGE).unwrap();
        assert_eq!(arena.offset_of(arena.pointer(0x50).as_ptr()), 0x50);
        arena.set_header(0x50, 7, 9);
        assert_eq!((arena.word(0x50), arena.word(0x58)), (7, 9));
    }
}
