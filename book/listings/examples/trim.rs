//! When does the heap shrink? Ten blocks are filled and freed, with and without a small block in use above them.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, malloc, malloc_trim, offset};
use listings::process::{in_a_copy, program_break, resident_pages};

fn tell(pinned: bool) -> bool {
    const BYTES: usize = 100_000;
    malloc(100);
    let start = program_break();
    let blocks = [(); 10].map(|()| {
        let block = malloc(BYTES);
        // SAFETY: the block's own bytes.
        unsafe { block.write_bytes(1, BYTES) };
        block
    });
    if pinned {
        malloc(24);
    }
    let grown = program_break();
    for block in blocks {
        // SAFETY: a live block, freed once.
        unsafe { free(block) };
    }
    let freed = program_break();
    // What lies below the break now, and how much of it is in memory.
    let resident = || {
        let bytes = offset(program_break().min(grown), blocks[0]).max(0).cast_unsigned();
        resident_pages(blocks[0], bytes).unwrap_or(0)
    };
    let resident_freed = resident();
    malloc_trim();
    let resident_trimmed = resident();

    println!("ten blocks of {BYTES} bytes{}", if pinned { ", and one of 24 above them" } else { "" });
    println!("  the break moved                      {:>+8} bytes", offset(grown, start));
    println!("  and when the ten were freed          {:>+8} bytes", offset(freed, grown));
    if pinned {
        println!("  their pages that are in memory       {resident_freed:>8}");
        println!("  and after malloc_trim(0)             {resident_trimmed:>8}");
    }
    true
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    in_a_copy(|| tell(false));
    in_a_copy(|| tell(true));
    0
}
