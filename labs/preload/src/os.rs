//! Linux, with an eye on what the malloc has from it.

use crate::report::{self, Counter};
use crate::threads::{errno, set_errno};
use heapkit::os::{LinuxOs, Os};
use lab08::REGION_SIZE;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Linux. What it hands out is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

/// Where the break was when it moved for the first time: there the main arena's chunks start.
pub static HEAP_START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

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
        LinuxOs.program_break()
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        let old = keeping_errno(|| unsafe { LinuxOs.sbrk(delta) })?;
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
