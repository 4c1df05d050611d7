//! Whose bytes are `prev_size`? Writes every byte of one block, and reads the header behind it.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{malloc, usable_size, word};

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: write
    let [a, b] = [40; 2].map(malloc);
    // SAFETY: `usable` bytes of a live block, and the header of the block behind it.
    let (usable, before, after) = unsafe {
        let usable = usable_size(a);
        let before = word(b, -16);
        a.write_bytes(0x5a, usable);
        (usable, before, word(b, -16))
    };
    println!("a has {usable} usable bytes; b's header stands {} bytes after a's payload", b.addr() - 16 - a.addr());
    println!("b's prev_size before   {before:#x}");
    println!("b's prev_size after    {after:#x}");
    // ANCHOR_END: write
    0
}
