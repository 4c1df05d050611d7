//! The arena under test, in the candidate.

use crate::wire::{ARENA_AT, BASE, NOTE, Ticket};
use heapkit::memory::{ARENA, GUARD, PAGE, START};
use std::io;
use std::ptr::NonNull;

/// The memory that candidate and examiner share. Which of its pages can be used, the examiner says.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    start: NonNull<u8>,
    note: NonNull<u64>,
}

// SAFETY: two addresses of mappings that stay. What is done there, is done through raw pointers, whose users see to that.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps the arena at its address, all pages closed, and the note.
    pub(crate) fn map(ticket: &Ticket) -> io::Result<Self> {
        let before = GUARD + START;
        let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        let at = std::ptr::without_provenance_mut(BASE - before);
        // SAFETY: NOREPLACE: these addresses are free, or the call fails.
        let reserved = unsafe { libc::mmap(at, before + ARENA + GUARD, libc::PROT_NONE, reserve, -1, 0) };
        if reserved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a part of what has just been reserved, with a guard on both sides.
        let start = unsafe {
            let shared = libc::MAP_SHARED | libc::MAP_FIXED;
            libc::mmap(
                reserved.byte_add(before),
                ARENA,
                libc::PROT_NONE,
                shared,
                ticket.memory,
                ARENA_AT as libc::off_t,
            )
        };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let note = unsafe { libc::mmap(std::ptr::null_mut(), NOTE, access, libc::MAP_SHARED, ticket.memory, 0) };
        if start == libc::MAP_FAILED || note == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: nobody else in this process owns the descriptor.
        unsafe { libc::close(ticket.memory) };
        let pointer = |at: *mut libc::c_void| NonNull::new(at.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory);
        Ok(Memory { start: pointer(start)?, note: pointer(note)?.cast() })
    }

    /// The pointer to the byte at `offset`, which may be used for the whole arena.
    ///
    /// # Panics
    /// If the arena has no such byte.
    pub fn at(self, offset: usize) -> NonNull<u8> {
        assert!(offset <= ARENA, "{offset:#x} is outside the arena");
        // SAFETY: inside the arena, or one past its end.
        unsafe { self.start.add(offset) }
    }

    /// The first `len` bytes, as a pointer: what an allocator is given to manage.
    pub fn region(self, len: usize) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, len)
    }

    /// How far after the heap's start `pointer` points, wherever it points.
    pub fn offset_of<T: ?Sized>(self, pointer: *const T) -> usize {
        pointer.addr().wrapping_sub(self.start.addr().get())
    }

    pub(crate) fn protect(self, start: usize, end: usize, open: bool) {
        assert!(start <= end && end <= ARENA && start.is_multiple_of(PAGE) && end.is_multiple_of(PAGE));
        let access = if open { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
        // SAFETY: the arena's own pages, to which only raw pointers exist.
        let done = unsafe { libc::mprotect(self.at(start).as_ptr().cast(), end - start, access) };
        assert_eq!(done, 0, "mprotect: {}", io::Error::last_os_error());
        #[cfg(feature = "sanitize")]
        if !open && (start, end) == (0, ARENA) {
            crate::blocks::forget(self);
        }
    }

    /// The words of the note.
    pub(crate) fn note(self) -> NonNull<u64> {
        self.note
    }
}
