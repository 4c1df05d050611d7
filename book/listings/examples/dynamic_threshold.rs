//! The size from which on blocks are mappings isn't fixed: freeing a mapping raises it.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, is_mapped, malloc, use_up_the_top};
use listings::process::first_in;

/// Whether a block of `request` bytes is a mapping. It is freed.
fn maps(request: usize) -> bool {
    let block = malloc(request);
    // SAFETY: a live block of glibc, freed once.
    unsafe {
        let mapped = is_mapped(block);
        free(block);
        mapped
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    use_up_the_top();
    // ANCHOR: raise
    let before = first_in(1..64 << 20, maps);
    let largest = first_in(before..64 << 20, |request| maps(request) && maps(request)) - 1;
    let rounds = [(); 3].map(|()| maps(200_000));
    use_up_the_top();
    let after = first_in(1..64 << 20, maps);
    // ANCHOR_END: raise

    println!("the first size that is mapped                  {before:>9}");
    for (round, mapped) in (1..).zip(rounds) {
        println!("malloc(200000) and free, round {round}         {:>9}", if mapped { "a mapping" } else { "the heap" });
    }
    println!("the first size that is mapped now              {after:>9}");
    println!("the largest size that raises it when freed     {largest:>9}");
    0
}
