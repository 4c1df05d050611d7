//! Frees a block twice. glibc notices, and ends the program.

use listings::block::{free, malloc};

fn main() {
    let block = malloc(64);
    // SAFETY: none: the second free breaks the rule, and that is what this listing is about. glibc finds out at once.
    unsafe {
        free(block);
        free(block);
    }
    println!("nobody noticed");
}
