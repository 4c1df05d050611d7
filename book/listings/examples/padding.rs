//! How much of a chunk is left over, for each request.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, malloc, usable_size};

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // The request, its chunk's size, and the bytes that the program may use.
    let mut rows = [(0, 0, 0); 2001];
    for (request, row) in rows.iter_mut().enumerate() {
        let block = malloc(request);
        // SAFETY: a live block of glibc. None is freed: a reused chunk may be larger than it has to be.
        *row = unsafe { (request, chunk_size(block), usable_size(block)) };
    }

    println!("request   chunk   usable   left over");
    for (request, chunk, usable) in [0, 1, 8, 9, 24, 25, 40, 41, 56, 57, 64, 100].map(|request| rows[request]) {
        println!("{request:>7}   {chunk:>5}   {usable:>6}   {:>9}", usable - request);
    }
    let most =
        |rows: &[(usize, usize, usize)]| rows.iter().map(|(request, _, usable)| usable - request).max().unwrap_or(0);
    println!("left over at most: {} bytes; {} from 9 bytes on", most(&rows), most(&rows[9..]));
    let bits = rows.iter().fold(0, |bits, (_, chunk, _)| bits | chunk);
    println!("the lowest bit that any of the 2001 sizes uses: bit {}", bits.trailing_zeros());
    0
}
