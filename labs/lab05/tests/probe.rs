//! Plays a trace on the C library's malloc, and prints how many bytes that took from the system at most.
//!
//! This program's own blocks are none of the C library's: it keeps them in mappings.

use heapkit::trace;
use heapkit::workload::Op;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::HashMap;
use std::process::ExitCode;
use std::ptr;

/// Hands out one piece of memory after the other, and takes none back.
struct Pieces;

const RESERVED: usize = 1 << 30;

thread_local! {
    /// How much of the reservation is used, and where that starts.
    static USED: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
}

#[global_allocator]
static OURS: Pieces = Pieces;

// SAFETY: each block lies behind the one before, and each thread has a reservation of its own.
unsafe impl GlobalAlloc for Pieces {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (start, used) = USED.get();
        let start = if start.is_null() {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a new mapping at a place of the kernel's choice touches no memory in use.
            unsafe { libc::mmap(ptr::null_mut(), RESERVED, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) }.cast()
        } else {
            start
        };
        let at = used.next_multiple_of(layout.align());
        if start.addr() == usize::MAX || at + layout.size() > RESERVED {
            return ptr::null_mut();
        }
        USED.set((start, at + layout.size()));
        // SAFETY: inside the reservation.
        unsafe { start.add(at) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("lab05-probe takes the name of a trace");
        return ExitCode::from(2);
    };
    match trace::read(&path) {
        Ok(trace) => {
            if let Some(bytes) = memory_at_most(&trace.ops) {
                println!("{bytes}");
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// What the heap and the mappings of glibc's malloc came to. `None` for another C library.
#[cfg(target_env = "gnu")]
fn memory_at_most(ops: &[Op]) -> Option<usize> {
    let mut blocks: HashMap<usize, *mut libc::c_void> = HashMap::new();
    let mut most = 0;
    for &op in ops {
        // SAFETY: plain calls of the C library; each block is resized and freed by its latest address.
        unsafe {
            match op {
                Op::Malloc { id, size } => drop(blocks.insert(id, libc::malloc(size))),
                Op::Calloc { id, size } => drop(blocks.insert(id, libc::calloc(1, size))),
                Op::Aligned { id, align, size } => drop(blocks.insert(id, libc::memalign(align, size))),
                Op::Realloc { id, size } => {
                    let old = blocks.get(&id).copied().unwrap_or(ptr::null_mut());
                    blocks.insert(id, libc::realloc(old, size));
                }
                Op::Free { id } => libc::free(blocks.remove(&id).unwrap_or(ptr::null_mut())),
                Op::Foreign { .. } => {}
            }
            let info = libc::mallinfo2();
            most = most.max(info.arena + info.hblkhd);
        }
    }
    Some(most)
}

#[cfg(not(target_env = "gnu"))]
fn memory_at_most(_: &[Op]) -> Option<usize> {
    None
}
