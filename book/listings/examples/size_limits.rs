//! Which sizes does glibc keep in a cache when they are freed, and from which on are chunks "large"?
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc, size_word, usable_size, word};
use std::env;

/// One request for each chunk size from 32 to 4096: the largest one that the chunk can serve.
const REQUESTS: usize = 255;

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let mut blocks = [std::ptr::null_mut(); REQUESTS];
    let mut request = 24;
    for block in &mut blocks {
        *block = malloc(request);
        malloc(24); // stays in use, so that no two free blocks are neighbours
        request += 16;
    }

    // The largest request whose chunk isn't marked free by `free`, and the smallest one that gets four links.
    let (mut cached, mut large) = (None, None);
    for block in blocks {
        // SAFETY: a live block of glibc, freed once. Its words, and those of the chunk after it, stay where they are.
        unsafe {
            let request = usable_size(block);
            block.write_bytes(0x41, request);
            let next = block.wrapping_add(chunk_size(block));
            free(block);
            if size_word(next) & 1 == 1 {
                cached = Some(request);
            }
            if large.is_none() && request >= 32 && word(block, 16) != usize::from_ne_bytes([0x41; 8]) {
                large = Some(request - 15);
            }
        }
    }
    let show = |size: Option<usize>| size.map_or("none".into(), |size| size.to_string());
    let setting = env::var("GLIBC_TUNABLES");
    println!("{}", setting.as_deref().unwrap_or("glibc as it is"));
    println!("  the largest request whose chunk is kept in a cache  {:>5}", show(cached));
    if setting.is_ok() {
        // With the caches on, the first large chunks are cached, and get no links.
        println!("  the smallest one whose chunk is \"large\"             {:>5}", show(large));
    }
    0
}
