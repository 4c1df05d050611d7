//! Whose bytes are `prev_size`? Writes every byte of one block, and reads the header after it.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{malloc, usable_size, word};

// ANCHOR: write
/// Fills a block of 40 bytes: the next block's `prev_size` before, and after.
fn fill_to_the_end() -> (usize, usize) {
    let [a, b] = [40; 2].map(malloc);
    // SAFETY: the usable bytes of a live block, and the header after it.
    unsafe {
        let before = word(b, -16);
        a.write_bytes(0x5a, usable_size(a));
        (before, word(b, -16))
    }
}
// ANCHOR_END: write

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let (before, after) = fill_to_the_end();
    println!("b's prev_size before   {before:#x}");
    println!("b's prev_size after    {after:#x}");
    0
}
