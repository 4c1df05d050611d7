//! What an allocator asks the operating system for.

#[cfg(unix)]
mod linux;
mod sim;

#[cfg(unix)]
pub use linux::LinuxOs;
pub use sim::{Call, Layout, Mapping, Place, Refusal, SimOs, peak};

use std::ptr::NonNull;

/// Memory comes in pages of this many bytes.
pub const PAGE: usize = crate::memory::PAGE;

/// Where memory comes from: the break, and mappings.
///
/// An allocator that is written for any `Os` runs on [`SimOs`], which watches it, and on `LinuxOs`.
///
/// # Safety
/// Whoever implements it hands out memory: what `sbrk`, `mmap` and `mremap` return is valid for reads and writes, for as many bytes
/// as were asked for, until it is given back; and nobody else uses it meanwhile.
pub unsafe trait Os {
    /// Where the break is: the end of the memory that [`Os::sbrk`] has handed out. What `sbrk(0)` returns in C.
    fn program_break(&self) -> NonNull<u8>;

    /// Moves the break by `delta` bytes, and returns where it *was*: with a positive `delta`, the new memory starts there.
    /// `None`, and nothing has moved, if the system refuses.
    ///
    /// What is in new memory is not promised. Other code of the same process may move the break too, so it need not be
    /// where you left it.
    ///
    /// # Safety
    /// Nobody uses the bytes that a negative `delta` gives back.
    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>>;

    /// A mapping of `len` bytes, a multiple of [`PAGE`]: it starts at a multiple of [`PAGE`], and all its bytes are zero.
    /// `None` if the system refuses.
    fn mmap(&self, len: usize) -> Option<NonNull<u8>>;

    /// Gives a mapping back.
    ///
    /// # Safety
    /// The mapping starts at `start` and has `len` bytes, and nobody uses it any more.
    unsafe fn munmap(&self, start: NonNull<u8>, len: usize);

    /// Makes a mapping `new_len` bytes long, a multiple of [`PAGE`], and returns where it now starts. Its bytes move along;
    /// new ones are zero. `None`, and nothing has changed, if the system refuses.
    ///
    /// # Safety
    /// The mapping starts at `start` and has `len` bytes. If it moves, nobody uses the old place any more.
    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>>;

    /// A hint: nobody needs what is in these bytes of a mapping, so the pages that lie in them whole need take no memory until
    /// somebody touches them again. What they then hold is not promised. A system may well do nothing.
    ///
    /// # Safety
    /// The bytes are in a mapping, and nobody relies on what they hold.
    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        let _ = (start, len);
    }
}

// SAFETY: the same system, behind a reference.
unsafe impl<O: Os + ?Sized> Os for &O {
    fn program_break(&self) -> NonNull<u8> {
        (**self).program_break()
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        unsafe { (**self).sbrk(delta) }
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        (**self).mmap(len)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the contract is the same one.
        unsafe { (**self).munmap(start, len) }
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        unsafe { (**self).mremap(start, len, new_len) }
    }

    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the contract is the same one.
        unsafe { (**self).discard(start, len) }
    }
}
