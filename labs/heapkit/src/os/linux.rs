//! The real thing.

use super::Os;
use std::ptr::{self, NonNull};

/// Linux, through the C library's wrappers.
///
/// It shares the break with the C library's own `malloc`, which may move it at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxOs;

// SAFETY: what the kernel hands out is this process's alone, readable and writable, until it is given back.
unsafe impl Os for LinuxOs {
    fn program_break(&self) -> NonNull<u8> {
        // SAFETY: a delta of 0 only asks.
        let at = unsafe { libc::sbrk(0) };
        NonNull::new(at.cast()).expect("a process has a break")
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        // SAFETY: nobody uses the bytes that a negative `delta` gives back.
        granted(unsafe { libc::sbrk(delta) })
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory in use.
        granted(unsafe { libc::mmap(ptr::null_mut(), len, access, kind, -1, 0) })
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: a whole mapping that nobody uses. The call can only fail for want of kernel memory; then the mapping stays.
        unsafe { libc::munmap(start.as_ptr().cast(), len) };
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: a whole mapping, and nobody uses its old place if it moves.
        granted(unsafe { libc::mremap(start.as_ptr().cast(), len, new_len, libc::MREMAP_MAYMOVE) })
    }
}

/// `sbrk`, `mmap` and `mremap` all say "refused" with the address -1.
fn granted(at: *mut libc::c_void) -> Option<NonNull<u8>> {
    if at.addr() == usize::MAX { None } else { NonNull::new(at.cast()) }
}
