//! Linux, with an eye on what the malloc has from it.

use crate::report::{self, Counter};
use crate::threads::{errno, set_errno};
use heapkit::os::{LinuxOs, Os};
use lab08::REGION_SIZE;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Linux. What it hands out is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

/// Where the break was when it moved for the first time: there the main arena's chunks start.
pub static HEAP_START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// A malloc that gives the end of its heap back, and takes it again a moment later, has each of its pages made anew every time: a
/// program that appends to a long string, over and over, then waits for the system most of its life. So the break moves down late.
/// What the malloc gives back stays with us, until it is more than this.
const KEPT_AT_MOST: usize = 4 << 20;

/// How far above the malloc's own break the system's is. Whoever asks has locked the main arena.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Where the system's break was when we last moved it. If it is elsewhere, other code has moved it, and nothing is kept.
static END: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The system's break, and how many bytes below it are kept.
fn end_and_kept() -> (NonNull<u8>, usize) {
    let end = LinuxOs.program_break();
    let is_ours = END.load(Ordering::Relaxed) == end.as_ptr();
    (end, if is_ours { KEPT.load(Ordering::Relaxed) } else { 0 })
}

fn count(change: isize) {
    report::add(Counter::Taken, change as i64);
}

/// A program may look at `errno` after a `free`: what the system has said to the malloc must not be there.
fn keeping_errno<R>(call: impl FnOnce() -> R) -> R {
    let before = errno();
    let result = call();
    set_errno(before);
    result
}

// SAFETY: Linux hands out memory; this only counts along.
unsafe impl Os for Counted {
    fn program_break(&self) -> NonNull<u8> {
        let (end, kept) = end_and_kept();
        // SAFETY: the bytes below the break that the malloc has given back.
        unsafe { end.byte_sub(kept) }
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        let (end, kept) = end_and_kept();
        // SAFETY: the bytes below the break that the malloc has given back.
        let old = unsafe { end.byte_sub(kept) };
        let left = kept.cast_signed().checked_sub(delta)?;
        let (end, kept) = if (0..=KEPT_AT_MOST.cast_signed()).contains(&left) {
            (end, left.unsigned_abs())
        } else {
            // SAFETY: upwards it takes what is missing. Downwards it gives back what is kept, which nobody uses.
            keeping_errno(|| unsafe { LinuxOs.sbrk(-left) })?;
            (LinuxOs.program_break(), 0)
        };
        KEPT.store(kept, Ordering::Relaxed);
        END.store(end.as_ptr(), Ordering::Relaxed);
        count(delta);
        let _ = HEAP_START.compare_exchange(ptr::null_mut(), old.as_ptr(), Ordering::Relaxed, Ordering::Relaxed);
        Some(old)
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        let start = LinuxOs.mmap(len)?;
        // A new region of an arena is mostly addresses, not memory.
        if len == 2 * REGION_SIZE {
            report::add(Counter::Regions, 1);
        } else {
            count(len.cast_signed());
        }
        Some(start)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        count(-len.cast_signed());
        // SAFETY: the contract is the same one.
        keeping_errno(|| unsafe { LinuxOs.munmap(start, len) });
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        let start = unsafe { LinuxOs.mremap(start, len, new_len) }?;
        count(new_len.cast_signed() - len.cast_signed());
        Some(start)
    }

    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the contract is the same one.
        keeping_errno(|| unsafe { LinuxOs.discard(start, len) });
    }
}
