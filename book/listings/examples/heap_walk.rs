//! Walks glibc's own heap, from header to header, after many mallocs and frees.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc, size_word, word};

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    const BLOCKS: usize = 2000;
    let first = malloc(3000);
    let mut blocks = [std::ptr::null_mut::<u8>(); BLOCKS];
    // Sizes that glibc keeps in its bins, not in a thread's cache: the caches don't mark their chunks free.
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..10 {
        for block in &mut blocks {
            if !block.is_null() && random() % 2 == 0 {
                // SAFETY: a live block, freed once.
                unsafe { free(*block) };
                *block = std::ptr::null_mut();
            }
            if block.is_null() && random() % 2 == 0 {
                *block = malloc(1100 + random() % 2000);
            }
        }
    }
    let last = blocks.into_iter().filter(|block| !block.is_null()).max().unwrap_or(first);

    let (mut chunks, mut free_chunks, mut tags_right, mut neighbours) = (0, 0, 0, 0);
    let mut block = first;
    let mut before_is_free = false;
    while block < last {
        // SAFETY: glibc keeps its chunks side by side, so the sizes lead from `first` to `last`.
        let (size, next) = unsafe { (chunk_size(block), block.wrapping_byte_add(chunk_size(block))) };
        // SAFETY: as above.
        let (is_free, tag) = unsafe { (size_word(next) & 1 == 0, word(next, -16)) };
        chunks += 1;
        free_chunks += usize::from(is_free);
        tags_right += usize::from(is_free && tag == size);
        neighbours += usize::from(is_free && before_is_free);
        before_is_free = is_free;
        block = next;
    }
    println!("chunks                                      {chunks:>5}");
    println!("free, says the next chunk's P               {free_chunks:>5}");
    println!("of these, with the size in next.prev_size   {tags_right:>5}");
    println!("of these, right after another free chunk    {neighbours:>5}");
    0
}
