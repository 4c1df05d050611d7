//! What `calloc` and `aligned_alloc` add to `malloc`.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, is_mapped, malloc};
use listings::process::resident_pages;
use listings::yes;
use std::hint::black_box;

/// `count` times `size` bytes of zeros, or null.
fn calloc(count: usize, size: usize) -> *mut u8 {
    // SAFETY: calloc takes any two numbers.
    black_box(unsafe { libc::calloc(black_box(count), size) }).cast()
}

/// How many of the block's first `count` bytes aren't zero.
fn not_zero(block: *mut u8, count: usize) -> usize {
    // SAFETY: the block is live and has so many bytes. Volatile, since the compiler knows what malloc and calloc promise.
    (0..count).filter(|&i| unsafe { block.add(i).read_volatile() } != 0).count()
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    const BYTES: usize = 3000;
    const LINKS: usize = 64;
    let used = malloc(BYTES);
    malloc(24);
    // SAFETY: a live block and its own bytes, freed once.
    unsafe {
        used.write_bytes(0xaa, BYTES);
        free(used);
    }
    let again = malloc(BYTES);
    // glibc keeps links in the first bytes of a free chunk, and a byte of an address may happen to be zero.
    // SAFETY: inside the block.
    let dirty = not_zero(unsafe { again.byte_add(LINKS) }, BYTES - LINKS);
    // SAFETY: a live block, freed once.
    unsafe { free(again) };
    let zeroed = calloc(BYTES, 1);
    let clean = not_zero(zeroed, BYTES);

    let large = calloc(10 << 20, 1);
    let resident = resident_pages(large, 10 << 20).unwrap_or(0);
    // SAFETY: a live block of glibc.
    let mapped = unsafe { is_mapped(large) };

    let product = 1_usize << 33;
    let overflow = calloc(product, product);

    // SAFETY: the alignment is a power of two. The blocks are live ones of glibc.
    let (aligned, size) = unsafe {
        let aligned = black_box(libc::aligned_alloc(4096, 8192)).cast::<u8>();
        (aligned, chunk_size(aligned))
    };

    println!(
        "malloc({BYTES}), filled, freed, asked for again: {dirty} of the last {} bytes are not zero",
        BYTES - LINKS
    );
    println!("calloc({BYTES}) in the same place ({}): {clean} bytes are not zero", yes(zeroed == used));
    println!("calloc(10 MiB): a mapping: {}; most of its pages are in memory: {}", yes(mapped), yes(resident > 1280));
    println!("calloc({product}, {product}), whose product has no room in a word: null: {}", yes(overflow.is_null()));
    println!(
        "aligned_alloc(4096, 8192): at a multiple of {}, in a chunk of {size} bytes",
        1 << aligned.addr().trailing_zeros().min(12)
    );
    0
}
