//! A chat server's messages, every second one freed: what becomes of the holes.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use heapkit::workload::Rng;
use listings::block::{chunk_size, free, malloc, offset, word};
use listings::process::program_break;

const MESSAGES: usize = 1000;

struct Seen {
    requested: usize,
    in_chunks: usize,
    freed_in_chunks: usize,
    holders: [usize; 4],
    large_from_start: isize,
    last_message: isize,
    in_holes: usize,
    /// By how much the break has moved in each of the steps.
    moves: [isize; 3],
}

fn demonstrate_fragmentation() -> Seen {
    // ANCHOR: demo
    // 1. Messages of all sizes, from the labs' own generator.
    let mut rng = Rng::new(1);
    let requests = [(); MESSAGES].map(|()| rng.within(&(10..=1000)));
    let messages = requests.map(malloc);
    // SAFETY: live blocks of glibc.
    let sizes = messages.map(|message| unsafe { chunk_size(message) });
    let full = program_break();

    // 2. Every second one is freed: the messages 1, 3, 5, …
    for message in messages.iter().skip(1).step_by(2) {
        // SAFETY: a live block, freed once.
        unsafe { free(*message) };
    }
    let holders = holders(&messages, &sizes);
    let freed = program_break();

    // 3. A large message.
    let large = malloc(5000);
    let with_large = program_break();

    // 4. And many small ones.
    let small = [(); 500].map(|()| malloc(100));
    let in_holes = small.iter().filter(|&&block| block < messages[MESSAGES - 1]).count();
    let with_small = program_break();
    // ANCHOR_END: demo

    Seen {
        requested: requests.iter().sum(),
        in_chunks: sizes.iter().sum(),
        freed_in_chunks: sizes.iter().skip(1).step_by(2).sum(),
        holders,
        large_from_start: offset(large, messages[0]),
        last_message: offset(messages[MESSAGES - 1], messages[0]),
        in_holes,
        moves: [offset(freed, full), offset(with_large, freed), offset(with_small, with_large)],
    }
}

/// How many of the freed messages are in the thread's cache, in fast bins, in bins, and in the top chunk.
fn holders(messages: &[*mut u8; MESSAGES], sizes: &[usize; MESSAGES]) -> [usize; 4] {
    let mut counts = [0; 4];
    // The second word of a cached block is the cache's key. The first message freed found the cache empty.
    // SAFETY: a word of glibc's heap, in the payload of a freed block.
    let key = unsafe { word(messages[1], 8) };
    for i in (1..MESSAGES).step_by(2) {
        // SAFETY: words of glibc's heap, too: in front of the payload, in it, and after the chunk.
        let (size_now, second, next) =
            unsafe { (chunk_size(messages[i]), word(messages[i], 8), word(messages[i], sizes[i].cast_signed() - 8)) };
        let holder = if i == MESSAGES - 1 && size_now != sizes[i] {
            3 // its header is the top chunk's now
        } else if next & 1 == 0 {
            2 // the next chunk's header calls it free
        } else {
            usize::from(second != key)
        };
        counts[holder] += 1;
    }
    counts
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let seen = demonstrate_fragmentation();
    let [cache, fast_bins, bins, top] = seen.holders;
    let [by_freeing, by_large, by_small] = seen.moves;
    println!("1000 messages of 10 to 1000 bytes");
    println!("  asked for                        {:>8} bytes", seen.requested);
    println!("  in chunks                        {:>8} bytes", seen.in_chunks);
    println!("every second one freed");
    println!("  in their chunks                  {:>8} bytes", seen.freed_in_chunks);
    println!("  now in the thread's cache        {cache:>8}");
    println!("  in fast bins                     {fast_bins:>8}");
    println!("  in bins, marked as free          {bins:>8}");
    println!("  in the top chunk                 {top:>8}");
    println!("  the break moved                  {by_freeing:>+8} bytes");
    println!("malloc(5000)");
    println!("  from the first message           {:>+8} bytes", seen.large_from_start);
    println!("  the last message, which is freed {:>+8} bytes", seen.last_message);
    println!("  the break moved                  {by_large:>+8} bytes");
    println!("500 times malloc(100)");
    println!("  between the messages             {:>8}", seen.in_holes);
    println!("  the break moved                  {by_small:>+8} bytes");
    0
}
