//! A program that answers 10,000 requests, each with a block of 1000 bytes: with and without `free`.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, malloc, offset};
use listings::process::{in_a_copy, program_break};

fn tell(frees: bool) {
    in_a_copy(|| {
        let start = program_break();
        for _ in 0..10_000 {
            let block = malloc(1000);
            if frees {
                // SAFETY: a live block, freed once.
                unsafe { free(block) };
            }
        }
        let grown = offset(program_break(), start);
        println!("{} the heap has grown by {grown:>11} bytes", if frees { "with free:   " } else { "without free:" });
        true
    });
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    tell(true);
    tell(false);
    0
}
