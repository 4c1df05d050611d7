//! A block is written to after it has been freed. Nobody notices; somebody else's bytes change.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, malloc};
use listings::yes;

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: story
    let old = malloc(64);
    // SAFETY: a live block, freed once. The write is to its bytes, which belong to
    // another block by then: that is the mistake.
    let (theirs, seen) = unsafe {
        free(old);
        let theirs = malloc(64);
        theirs.write(b'A');
        old.write_volatile(b'Z');
        (theirs, theirs.read_volatile())
    };
    // ANCHOR_END: story
    println!("the new block has the place of the old one: {}", yes(theirs == old));
    println!("its first byte was A, and now is {}", char::from(seen));
    0
}
