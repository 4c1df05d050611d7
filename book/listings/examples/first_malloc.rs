//! What a program's first malloc does to the heap, and how often the heap has to grow after that.
//!
//! `no_main`: Rust's runtime would have used the heap before the program. And nothing is printed before all is measured, since
//! printing uses the heap too.
#![no_main]

use listings::block::{chunk_size, malloc, offset, size_after};
use listings::process::program_break;
use listings::yes;

/// After so many calls of malloc(100), the moves of the break are counted.
const CALLS: [usize; 3] = [1, 1000, 10_000];

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: first
    let start = program_break();
    let block = malloc(100);
    let end = program_break();
    // SAFETY: a live block of glibc, the first one cut from the top chunk.
    let (size, top) = unsafe { (chunk_size(block), size_after(block)) };
    // ANCHOR_END: first

    let (mut done, mut moves, mut before) = (1, usize::from(end != start), end);
    let moves = CALLS.map(|calls| {
        while done < calls {
            malloc(100);
            done += 1;
            moves += usize::from(program_break() != before);
            before = program_break();
        }
        moves
    });

    if let Ok(setting) = std::env::var("GLIBC_TUNABLES") {
        println!("{setting:<28} the break moved {:>+8} bytes", offset(end, start));
        return 0;
    }
    let header = block.wrapping_byte_sub(16);
    println!("malloc(100)");
    let grown = offset(end, start);
    println!("  the break moved       {grown:>+8} bytes: {} pages, {} KiB", grown / 4096, grown / 1024);
    println!("  in front of the chunk {:>8} bytes", offset(header, start));
    println!("  its chunk             {size:>8} bytes");
    println!("  the top chunk         {top:>8} bytes");
    println!("  and there the heap ends {:>6}", yes(header.wrapping_byte_add(size + top) == end));
    for (calls, moves) in CALLS.iter().zip(moves) {
        println!("in {calls:>6} times malloc(100), the break moved {moves:>2} times");
    }
    0
}
