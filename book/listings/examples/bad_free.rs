//! Frees an address inside a block. glibc notices, and ends the program.

use listings::block::{free, malloc};

fn main() {
    let block = malloc(64);
    // SAFETY: none: malloc never returned this address, and that is what this listing is about. glibc finds out at once.
    unsafe { free(block.wrapping_add(8)) }
    println!("nobody noticed");
}
