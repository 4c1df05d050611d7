//! Where the candidate's own memory comes from: not from the C library's `malloc`, which labs watch and which must be untouched
//! when they begin. And a learner's stray pointer can't damage what a crash is explained with.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Hands out one piece of a mapping after the other. Only the newest one can be given back or grow in place.
#[derive(Debug)]
pub struct Pieces {
    start: AtomicPtr<u8>,
    used: AtomicUsize,
}

/// Addresses only: pages that nobody touches cost nothing.
const RESERVED: usize = 2 << 30;

impl Pieces {
    /// Nothing is handed out yet.
    pub const fn new() -> Self {
        Pieces { start: AtomicPtr::new(ptr::null_mut()), used: AtomicUsize::new(0) }
    }

    fn start(&self) -> *mut u8 {
        let start = self.start.load(Ordering::Acquire);
        if !start.is_null() {
            return start;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory in use.
        let new = unsafe { libc::mmap(ptr::null_mut(), RESERVED, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if new == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        match self.start.compare_exchange(ptr::null_mut(), new.cast(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new.cast(),
            // Another thread was faster; ours is only addresses.
            Err(theirs) => theirs,
        }
    }
}

impl Default for Pieces {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `used` only grows by what is handed out, and only shrinks by the piece at its end: no two pieces overlap.
unsafe impl GlobalAlloc for Pieces {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.start();
        if start.is_null() {
            return start;
        }
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let at = used.next_multiple_of(layout.align());
            let Some(end) = at.checked_add(layout.size()).filter(|end| *end <= RESERVED) else {
                return ptr::null_mut();
            };
            match self.used.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: inside the reservation.
                Ok(_) => return unsafe { start.add(at) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let at = piece.addr() - self.start().addr();
        let _ = self.used.compare_exchange(at + layout.size(), at, Ordering::Relaxed, Ordering::Relaxed);
    }
}
