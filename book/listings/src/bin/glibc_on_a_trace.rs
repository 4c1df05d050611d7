//! Plays a trace on the C library's malloc, and prints how many bytes that took from the system at most.
//!
//! This program's own blocks are none of the C library's: they come from a mapping.

use candidate::Pieces;
use heapkit::trace;
use heapkit::workload::Op;
use std::collections::HashMap;
use std::process::ExitCode;
use std::ptr;

#[global_allocator]
static PIECES: Pieces = Pieces::new();

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("glibc_on_a_trace takes the name of a trace");
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
        // SAFETY: malloc, calloc and memalign take any size; what is resized and freed is the block's latest address, or null.
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
