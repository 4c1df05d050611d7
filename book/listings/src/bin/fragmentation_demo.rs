//! A chat server's messages, every second one freed: what becomes of the holes.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc, offset, word};
use listings::process::program_break;

const MESSAGES: usize = 1000;

// ANCHOR: sizes
/// A size between 10 and 1000. The generator is Knuth's MMIX, so that the sizes are the same on every machine.
fn next_size(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    10 + (*state >> 33) as usize % 991
}
// ANCHOR_END: sizes

struct Seen {
    requested: usize,
    in_chunks: usize,
    freed_in_chunks: usize,
    marked_free: usize,
    large_from_start: isize,
    last_message: isize,
    break_moved: bool,
    in_holes: usize,
}

// ANCHOR: demo
fn demonstrate_fragmentation() -> Seen {
    // 1. Messages of all sizes.
    let (mut state, mut requested) = (1, 0);
    let mut messages = [std::ptr::null_mut(); MESSAGES];
    for message in &mut messages {
        let size = next_size(&mut state);
        *message = malloc(size);
        requested += size;
    }
    // SAFETY: live blocks of glibc.
    let sizes = messages.map(|message| unsafe { chunk_size(message) });
    let break_before = program_break();

    // 2. Every second one is freed: the messages 1, 3, 5, …
    for message in messages.iter().skip(1).step_by(2) {
        // SAFETY: a live block, freed once.
        unsafe { free(*message) };
    }
    // Which of them does the next chunk's header call free? The last one has only the top chunk behind it.
    let marked_free = (1..MESSAGES - 1).step_by(2).filter(|&i| {
        // SAFETY: the size word behind a chunk of glibc's heap.
        let next_word = unsafe { word(messages[i], sizes[i] as isize - 8) };
        next_word & 1 == 0
    });
    let marked_free = marked_free.count();

    // 3. A large message.
    let large = malloc(5000);

    // 4. And many small ones.
    let small = [(); 500].map(|()| malloc(100));
    let in_holes = small.iter().filter(|&&block| block < messages[MESSAGES - 1]).count();

    Seen {
        requested,
        in_chunks: sizes.iter().sum(),
        freed_in_chunks: sizes.iter().skip(1).step_by(2).sum(),
        marked_free,
        large_from_start: offset(large, messages[0]),
        last_message: offset(messages[MESSAGES - 1], messages[0]),
        break_moved: program_break() != break_before,
        in_holes,
    }
}
// ANCHOR_END: demo

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let seen = demonstrate_fragmentation();
    println!("1000 messages of 10 to 1000 bytes");
    println!("  asked for                        {:>8} bytes", seen.requested);
    println!("  in chunks                        {:>8} bytes", seen.in_chunks);
    println!("every second one freed");
    println!("  in their chunks                  {:>8} bytes", seen.freed_in_chunks);
    println!("  of the first 499, marked as free {:>8}", seen.marked_free);
    println!("malloc(5000)");
    println!("  from the first message           {:>+8} bytes", seen.large_from_start);
    println!("  the last message, which is freed {:>+8} bytes", seen.last_message);
    println!("500 times malloc(100)");
    println!("  between the messages             {:>8}", seen.in_holes);
    println!("  the break moved                  {:>8}", if seen.break_moved { "yes" } else { "no" });
    0
}
