//! Where freed blocks wait: the chapter's `free_list_visualization.c`, every conclusion computed.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc, offset, size_word, word};

/// The place that a link in a freed block leads to. Since 2.32, glibc stores it XORed with the link's own place, shifted.
fn link(block: *mut u8) -> usize {
    // SAFETY: the block's bytes belong to glibc's heap. They are the C library's now, so this only looks.
    unsafe { word(block, 0) ^ (block.addr() >> 12) }
}

/// Whether the header after the block says that the block is in use.
fn looks_in_use(block: *mut u8) -> bool {
    // SAFETY: in glibc, a header lies before each block, and another one after it.
    unsafe { size_word(block.wrapping_byte_add(chunk_size(block))) & 1 == 1 }
}

/// What the story has shown, to be printed when it is over: println! allocates too.
struct Seen {
    blocks: [*mut u8; 4],
    after_c: usize,
    after_b: usize,
    headers_say: [bool; 4],
    e: *mut u8,
    f: *mut u8,
}

// ANCHOR: story
fn story() -> Seen {
    // Step 1: four blocks of 64 bytes.
    let blocks = [64; 4].map(malloc);
    let [_a, b, c, _d] = blocks;

    // Step 2: B and C are freed.
    // SAFETY: each is a live block, freed once.
    unsafe {
        free(b);
        free(c);
    }
    let (after_c, after_b) = (link(c), link(b));
    let headers_say = blocks.map(looks_in_use);

    // Step 3: 64 bytes again.
    let e = malloc(64);

    // Step 4: 32 bytes.
    let f = malloc(32);

    Seen { blocks, after_c, after_b, headers_say, e, f }
}
// ANCHOR_END: story

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let Seen { blocks, after_c, after_b, headers_say, e, f } = story();
    let [a, b, c, d] = blocks;
    let name = |address: usize| match "ABCD".chars().zip(blocks).find(|(_, block)| block.addr() == address) {
        Some((letter, _)) => letter.to_string(),
        None if address == 0 => "the end".into(),
        None => "something else".into(),
    };
    let place = |block: *mut u8| format!("+{:#06x}", offset(block, a));
    println!("Step 1: four blocks of 64 bytes");
    println!("  A {}   B {}   C {}   D {}", place(a), place(b), place(c), place(d));
    println!("Step 2: B and C are freed");
    println!("  the link in C leads to {}, the link in B to {}", name(after_c), name(after_b));
    let shown = "ABCD".chars().zip(headers_say);
    let shown: String = shown.map(|(letter, used)| if used { format!("[{letter}]") } else { "[ ]".into() }).collect();
    println!("  in use, if you ask the header after each block:  {shown}");
    println!("Step 3: 64 bytes again");
    println!("  E {}: the place of {}", place(e), name(e.addr()));
    println!("Step 4: 32 bytes");
    let in_b = (b.addr()..c.addr()).contains(&f.addr());
    println!("  F {}, {} bytes after D; cut out of B: {}", place(f), offset(f, d), if in_b { "yes" } else { "no" });
    0
}
