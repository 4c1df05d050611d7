//! From which size on is a block a mapping of its own? The answer to the byte, while nothing has been freed yet.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, is_mapped, malloc, use_up_the_top};
use listings::process::{first_in, in_a_copy, program_break};
use listings::yes;

/// Whether a block of `request` bytes is a mapping.
fn maps(request: usize) -> bool {
    // SAFETY: a live block of glibc.
    unsafe { is_mapped(malloc(request)) }
}

/// A request and what became of it, in a copy of this process.
fn tell(request: usize) {
    in_a_copy(|| {
        let before = program_break();
        let block = malloc(request);
        // SAFETY: a live block of glibc.
        let (mapped, size) = unsafe { (is_mapped(block), chunk_size(block)) };
        let moved = if program_break() == before { "stays" } else { "moves" };
        println!("  {request:>8}   {size:>8}   {:<9}   {moved}", if mapped { "a mapping" } else { "the heap" });
        true
    });
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    in_a_copy(|| {
        malloc(100);
        println!("malloc(100), then malloc(131072): a mapping: {}", yes(maps(131_072)));
        true
    });
    use_up_the_top();
    in_a_copy(|| {
        println!("once the top chunk is used up");
        println!("   request      chunk   from        the break");
        true
    });
    let first = first_in(1..1 << 20, maps);
    for request in [100, 64 << 10, first - 1, first, (512 << 10) - 1, (512 << 10) + 1, 10 << 20] {
        tell(request);
    }
    0
}
