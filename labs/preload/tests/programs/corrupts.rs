//! Misuses its malloc in the way that its argument names.

use lab08::CACHED_BYTES;
use libc::{c_void, free, malloc};
use std::hint::black_box;

/// So many blocks of 200 bytes fill their list in the cache: their chunks have 208.
const CACHED: usize = CACHED_BYTES / 208;

unsafe fn word(block: *mut c_void, at: isize) -> *mut usize {
    // SAFETY: a word of the block or next to it, as each of the misuses has it.
    unsafe { block.cast::<usize>().offset(at) }
}

/// Two large neighbours and a third one that stays.
unsafe fn neighbours() -> (*mut c_void, *mut c_void) {
    // SAFETY: any request may be made. All the three are cut from the top chunk.
    unsafe {
        let (first, second) = (malloc(50_000), malloc(2_000));
        malloc(2_000);
        assert_eq!(first.addr() + 50_016, second.addr());
        (first, second)
    }
}

/// A block that is freed when the cache is full.
unsafe fn beyond_the_cache() -> (*mut c_void, *mut c_void) {
    // SAFETY: any request may be made, and each block is freed once.
    unsafe {
        let blocks: Vec<_> = (0..CACHED).map(|_| malloc(200)).collect();
        let beyond = (malloc(200), malloc(200));
        malloc(200);
        blocks.into_iter().for_each(|block| free(block));
        beyond
    }
}

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    // SAFETY: none. That is what this program is for.
    unsafe {
        match &*how {
            "a pointer into a block" => free(malloc(100).byte_add(8)),
            "a size that is no chunk's" => {
                let block = malloc(100);
                word(block, -1).write(24);
                free(block);
            }
            "a size beyond the heap" => {
                let block = malloc(100);
                word(block, -1).write(1 << 40 | 1);
                free(block);
            }
            "freed twice in a row" => {
                let block = malloc(100);
                free(block);
                free(black_box(block));
            }
            "freed twice with another one between" => {
                let (one, two) = (malloc(100), malloc(100));
                free(one);
                free(two);
                free(black_box(one));
            }
            "a link in the cache" => {
                let (one, two) = (malloc(100), malloc(100));
                free(one);
                free(two);
                *word(two, 0) ^= 1;
                malloc(100);
            }
            "freed twice into a fast bin" => {
                let (block, _) = beyond_the_cache();
                free(block);
                free(black_box(block));
            }
            "a link in a fast bin" => {
                let (one, two) = beyond_the_cache();
                free(one);
                free(two);
                word(two, 0).write(one.addr() + 32);
                for _ in 0..CACHED + 2 {
                    malloc(200);
                }
            }
            "freed twice, and large" => {
                let (_, second) = neighbours();
                free(second);
                free(black_box(second));
            }
            "the next chunk's size" => {
                let (first, _) = neighbours();
                word(first, 50_008 / 8).write(usize::MAX << 4 | 1);
                free(first);
            }
            "the boundary tag" => {
                let (first, second) = neighbours();
                free(first);
                word(second, -2).write(0x50);
                free(second);
            }
            "a link in a bin" => {
                let (first, second) = neighbours();
                free(first);
                word(first, 0).write(second.addr() - 16);
                free(second);
            }
            "the top chunk's size" => {
                let last = malloc(60_000);
                word(last, 60_008 / 8).write(usize::MAX << 4 | 1);
                malloc(50_000);
            }
            "a mapping's start" => {
                let block = malloc(1 << 20);
                word(block, -2).write(8);
                free(block);
            }
            other => println!("no way to misuse it: {other:?}"),
        }
    }
}
