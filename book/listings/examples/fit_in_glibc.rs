//! Which chunk does glibc choose from the chapter's list? Argument: how many times larger the sizes are.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use libc::c_char;
use listings::block::{free, malloc};

const LIST: [usize; 4] = [100, 50, 200, 80];

/// The block that serves `60 * factor` bytes, when those of `LIST`, times `factor`, are free; `None`: none of them.
fn chosen(factor: usize) -> Option<usize> {
    let blocks = LIST.map(|size| {
        let block = malloc(size * factor);
        malloc(24 * factor); // stays in use, so that no two free blocks are neighbours
        block
    });
    // The chapter's list reads 100, 50, 200, 80: 80 is freed first.
    for &block in blocks.iter().rev() {
        // SAFETY: a live block, freed once.
        unsafe { free(block) }
    }
    let new = malloc(60 * factor);
    let at = LIST
        .iter()
        .zip(blocks)
        .find(|(size, block)| (block.addr()..block.addr() + **size * factor).contains(&new.addr()));
    at.map(|(size, _)| size * factor)
}

#[unsafe(no_mangle)]
extern "C" fn main(arguments: i32, argument: *const *const c_char) -> i32 {
    // SAFETY: the C library hands over this many strings, the program's name first. atoi leaves the heap alone.
    let factor = if arguments > 1 { unsafe { libc::atoi(*argument.add(1)) } } else { 1 } as usize;
    let answer = chosen(factor);
    let list = LIST.map(|size| format!("[{}]", size * factor)).join(" → ");
    let answer = answer.map_or("none of them".into(), |size| format!("the block of {size}"));
    println!("{list}, ask for {}: {answer}", 60 * factor);
    0
}
