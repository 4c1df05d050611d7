//! What `realloc` does: in place where it can, elsewhere where it must.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, is_mapped, malloc};
use listings::process::in_a_copy;
use listings::yes;
use std::hint::black_box;

/// Resizes a block that holds the bytes 0, 1, 2, …
///
/// # Safety
/// `block` comes from malloc and is live; afterwards only the returned block is.
unsafe fn resize(block: *mut u8, request: usize) -> *mut u8 {
    // SAFETY: a live block of the C library (see `# Safety`).
    let new = unsafe { libc::realloc(black_box(block).cast(), request) };
    black_box(new.cast())
}

/// A block of `from` bytes, in front of what `after` makes, is resized: a line about what happened.
fn tell(what: &str, from: usize, to: usize, after: impl Fn()) {
    in_a_copy(|| {
        let block = malloc(from);
        after();
        // SAFETY: a live block and its own bytes; after `resize` only the new one is used.
        unsafe {
            (0..from).for_each(|i| block.add(i).write(i as u8));
            let (old_address, size_before) = (block.addr(), chunk_size(block));
            let new = resize(block, to);
            let place = match () {
                () if is_mapped(new) => "as a mapping",
                () if new.addr() == old_address => "in place",
                () => "elsewhere",
            };
            let kept = (0..from.min(to)).all(|i| new.add(i).read() == i as u8);
            println!(
                "{what:<27} {from:>7} → {to:>7}   {place:<12}   {size_before:>7} → {:>7}   {}",
                chunk_size(new),
                yes(kept)
            );
        }
        true
    });
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    in_a_copy(|| {
        println!("after the block                request          served             chunk        bytes kept");
        true
    });
    let in_use = || {
        malloc(24);
    };
    let free_block = || {
        let hole = malloc(3000);
        malloc(24);
        // SAFETY: a live block, freed once.
        unsafe { free(hole) };
    };
    tell("the top chunk", 100, 200, || ());
    tell("a block in use", 100, 200, in_use);
    tell("a free block of 3000 bytes", 2000, 4000, free_block);
    tell("a block in use", 3000, 1000, in_use);
    tell("a block in use", 3000, 2990, in_use);
    tell("(a mapping)", 1 << 20, 2 << 20, || ());
    in_a_copy(|| {
        let block = malloc(100);
        // SAFETY: a live block, which is not used any more.
        let nothing = unsafe { resize(block, 0) }.is_null();
        println!(
            "realloc to 0 bytes returns null: {}; the next malloc(100) gets the place: {}",
            yes(nothing),
            yes(malloc(100) == block)
        );
        true
    });
    0
}
