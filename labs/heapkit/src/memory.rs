//! Memory under test, and how whoever watches it reads and writes it.
//!
//! All addresses here are *offsets* from the start of the heap: the same bytes have another address in each process that maps
//! them, and in a picture they should be the same in every run.

use crate::snapshot::Snapshot;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

/// Fresh heap memory holds this byte everywhere, so that code which assumes zeroes is found out.
pub const FRESH: u8 = 0xa5;

/// The smallest unit in which the kernel hands out memory here.
pub const PAGE: usize = 4096;

/// As much as a heap can ever have. Pages that nobody touches cost nothing.
pub const HEAP_ROOM: usize = 32 << 30;

/// Where mappings are made, so far from the heap that no ordinary miss of one hits the other.
pub const MAPPINGS: Range<usize> = (64 << 30)..(192 << 30);

/// All of an arena: the heap, a gap, the mappings.
pub const ARENA: usize = MAPPINGS.end;

/// Memory on both sides of heap and mappings that nobody can touch: a stray write ends at that instruction.
pub const GUARD: usize = 1 << 20;

/// A heap starts so far after a multiple of 1 GiB, and a mapping so far after a multiple of 1 MiB: what depends on the
/// alignment of addresses is the same in each run, and nobody gets more than a page's alignment for nothing.
pub const START: usize = 9 * PAGE;

/// More fresh memory than this is filled at its ends only, and so far; in between it is zero.
const FILLED_WHOLE: usize = 8 << 20;
const FILLED_END: usize = 64 << 10;

/// The memory of one heap and its mappings: [`ARENA`] bytes, of which the open pages can be used.
pub trait Arena {
    /// The address of the heap's first byte, as the code under test sees it.
    fn base(&self) -> usize;

    /// How many bytes it has, open or closed: no offset is larger.
    fn extent(&self) -> usize {
        ARENA
    }

    /// Copies the bytes from offset `at` on. Closed and untouched pages read as what was last in them, or zero.
    fn read(&self, at: usize, into: &mut [u8]);

    /// Writes bytes from offset `at` on.
    fn write(&self, at: usize, bytes: &[u8]);

    /// A copy of a part, as it is now.
    fn snapshot(&self, range: Range<usize>) -> Snapshot;

    /// Lets the code under test use whole pages.
    fn open(&self, pages: Range<usize>);

    /// Ends that: code that touches one of these pages dies at that instruction.
    fn close(&self, pages: Range<usize>);

    /// Makes whole pages zero and untouched.
    fn discard(&self, pages: Range<usize>);

    /// How many of these pages anybody has written to or, in this process, touched.
    fn touched(&self, pages: Range<usize>) -> usize;

    /// Reads the word at offset `at`.
    fn word(&self, at: usize) -> usize {
        let mut bytes = [0; size_of::<usize>()];
        self.read(at, &mut bytes);
        usize::from_ne_bytes(bytes)
    }

    /// Writes the word at offset `at`.
    fn set_word(&self, at: usize, word: usize) {
        self.write(at, &word.to_ne_bytes());
    }

    /// Writes a chunk header: the `prev_size` word and the word with size and flags.
    fn set_header(&self, at: usize, prev_size: usize, size_and_flags: usize) {
        self.set_headers(&[(at, prev_size, size_and_flags)]);
    }

    /// The same for many chunks, in rising order: each is (where it starts, `prev_size`, size and flags). Chunks that lie close
    /// together are written at once.
    fn set_headers(&self, headers: &[(usize, usize, usize)]) {
        const WORD: usize = size_of::<usize>();
        for run in headers.chunk_by(|one, next| next.0 - one.0 <= PAGE) {
            let (start, end) = (run[0].0, run[run.len() - 1].0 + 2 * WORD);
            let mut bytes = vec![0; end - start];
            self.read(start, &mut bytes);
            for (at, prev_size, size_and_flags) in run {
                let header = &mut bytes[at - start..][..2 * WORD];
                header[..WORD].copy_from_slice(&prev_size.to_ne_bytes());
                header[WORD..].copy_from_slice(&size_and_flags.to_ne_bytes());
            }
            self.write(start, &bytes);
        }
    }

    /// Makes a part fresh: every byte is [`FRESH`], or, in the middle of a very long part, zero.
    fn freshen(&self, range: Range<usize>) {
        let fill = |range: Range<usize>| self.write(range.start, &vec![FRESH; range.len()]);
        if range.len() <= FILLED_WHOLE {
            fill(range);
        } else {
            fill(range.start..range.start + FILLED_END);
            fill(range.end - FILLED_END..range.end);
        }
    }
}

impl<A: Arena + ?Sized> Arena for &A {
    fn base(&self) -> usize {
        (**self).base()
    }

    fn extent(&self) -> usize {
        (**self).extent()
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        (**self).read(at, into);
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        (**self).write(at, bytes);
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        (**self).snapshot(range)
    }

    fn open(&self, pages: Range<usize>) {
        (**self).open(pages);
    }

    fn close(&self, pages: Range<usize>) {
        (**self).close(pages);
    }

    fn discard(&self, pages: Range<usize>) {
        (**self).discard(pages);
    }

    fn touched(&self, pages: Range<usize>) -> usize {
        (**self).touched(pages)
    }
}

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
