//! The real thing.

use super::{Os, PAGE};
use std::ptr::{self, NonNull};

/// Linux, through the C library's wrappers.
///
/// It shares the break with the C library's own `malloc`, which may move it at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxOs;

// SAFETY: the kernel hands out memory of these lengths, and to nobody twice.
unsafe impl Os for LinuxOs {
    fn program_break(&self) -> NonNull<u8> {
        // SAFETY: a delta of 0 only asks.
        let at = unsafe { libc::sbrk(0) };
        NonNull::new(at.cast()).expect("a process has a break")
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        // SAFETY: with a negative delta, nobody uses the bytes that are given back.
        granted(unsafe { libc::sbrk(delta) })
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory in use.
        granted(unsafe { libc::mmap(ptr::null_mut(), len, access, kind, -1, 0) })
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the mapping is exactly this, and nobody uses it any more. So the call can only fail for want of kernel memory; then the mapping stays.
        unsafe { libc::munmap(start.as_ptr().cast(), len) };
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the mapping is exactly this; if it moves, nobody uses the old place any more.
        granted(unsafe { libc::mremap(start.as_ptr().cast(), len, new_len, libc::MREMAP_MAYMOVE) })
    }

    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        let first = start.align_offset(PAGE);
        let pages = len.saturating_sub(first) / PAGE * PAGE;
        if pages > 0 {
            // SAFETY: whole pages of a mapping, and nobody relies on what they hold: they are zero from now on.
            unsafe { libc::madvise(start.byte_add(first).as_ptr().cast(), pages, libc::MADV_DONTNEED) };
        }
    }
}

/// `sbrk`, `mmap` and `mremap` all say "refused" with the address -1.
fn granted(at: *mut libc::c_void) -> Option<NonNull<u8>> {
    if at.addr() == usize::MAX { None } else { NonNull::new(at.cast()) }
}
