//! What a heap keeps: many blocks are written, 99 of 100 are freed, and the heap's pages in memory are counted.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use heapkit::workload::Rng;
use listings::block::{free, malloc, malloc_trim, offset};
use listings::process::{PAGE, program_break, resident_pages};

const BLOCKS: usize = 40_000;

/// One of so many stays alive.
const STAYS: usize = 100;

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let start = program_break();
    let in_memory = || {
        let heap = offset(program_break(), start).cast_unsigned();
        resident_pages(start, heap).map_or(0, |pages| pages * PAGE)
    };
    // ANCHOR: story
    let mut rng = Rng::new(1);
    let requests = [(); BLOCKS].map(|()| rng.within(&(10..=1000)));
    let blocks = requests.map(|request| {
        let block = malloc(request);
        // SAFETY: the block's own bytes.
        unsafe { block.write_bytes(1, request) };
        block
    });
    let full = in_memory();

    let stays = |i: usize| i % STAYS == STAYS - 1;
    for (i, block) in blocks.into_iter().enumerate() {
        if !stays(i) {
            // SAFETY: a live block, freed once.
            unsafe { free(block) };
        }
    }
    let freed = in_memory();
    malloc_trim();
    let trimmed = in_memory();
    // ANCHOR_END: story

    let all: usize = requests.iter().sum();
    let live: usize = requests.iter().enumerate().filter(|(i, _)| stays(*i)).map(|(_, request)| request).sum();
    // Rounded: a page more or less is the C library's own business.
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let line = |what: &str, used, resident| println!("{what:<28} {:>6.1} MiB {:>6.1} MiB", mib(used), mib(resident));
    println!("{:<28} {:>10} {:>10}", "", "in use", "in memory");
    line(&format!("{BLOCKS} blocks, all written"), all, full);
    line(&format!("{} of {STAYS} freed", STAYS - 1), live, freed);
    line("after malloc_trim(0)", live, trimmed);
    0
}
