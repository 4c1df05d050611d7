//! The chapter's `size_based_strategy.c`, every claim computed: where do blocks of three sizes come from?
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, is_mapped, malloc, offset, size_after};
use listings::yes;

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: strategies
    let requests = [32; 10];
    let tiny = requests.map(malloc);
    // SAFETY: the last block that was cut from the top chunk.
    let top = unsafe { size_after(tiny[9]) };
    let medium = malloc(1024);
    // SAFETY: as above.
    let top_after = unsafe { size_after(medium) };
    let large = malloc(1 << 20);
    // ANCHOR_END: strategies

    // SAFETY: live blocks of glibc.
    let (sizes, medium_size, mapped) = unsafe { (tiny.map(|b| chunk_size(b)), chunk_size(medium), is_mapped(large)) };
    let side_by_side = tiny.windows(2).zip(sizes).all(|(pair, size)| offset(pair[1], pair[0]) == size.cast_signed());
    println!("ten times malloc(32): chunks of {} bytes, side by side: {}", sizes[0], yes(side_by_side));
    println!("malloc(1024): {} bytes after the last of them", offset(medium, tiny[9]));
    println!("  its chunk has {medium_size} bytes, and the top chunk lost {}", top - top_after);
    println!("malloc(1 MiB): a mapping: {}", yes(mapped));
    let never_freed = requests.iter().chain([&1024, &(1 << 20)]);
    println!("never freed: {} blocks, {} bytes", never_freed.clone().count(), never_freed.sum::<usize>());
    0
}
