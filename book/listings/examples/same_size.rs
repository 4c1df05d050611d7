//! The chat server's checkerboard once more, with messages of one size: every hole fits every request.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, malloc};
use listings::process::{in_a_copy, program_break};
use listings::yes;

const MESSAGES: usize = 1000;

fn tell(size: usize) {
    in_a_copy(|| {
        let messages = [(); MESSAGES].map(|()| malloc(size));
        let holes = || messages.iter().skip(1).step_by(2);
        for &message in holes() {
            // SAFETY: a live block, freed once.
            unsafe { free(message) };
        }
        let before = program_break();
        let again = [(); MESSAGES / 2].map(|()| malloc(size));
        let in_holes = again.iter().filter(|new| holes().any(|hole| hole == *new)).count();
        let moved = yes(program_break() != before);
        println!(
            "{size:>5} bytes: of {} requests, {in_holes} get a freed place; the break moved: {moved}",
            again.len()
        );
        true
    });
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    for size in [32, 512, 2000] {
        tell(size);
    }
    0
}
