//! The chapter's `malloc_journey.c` as it is printed: it reports with `printf` while it measures. Only the addresses are
//! counted from the heap's start.
//!
//! `no_main`: Rust's runtime would have used the heap before the program.
#![no_main]

use libc::printf;
use listings::block::{malloc, offset};
use listings::process::program_break;

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let start = program_break();
    // SAFETY: each format is a C string, and the arguments are what it asks for.
    unsafe {
        // ANCHOR: journey
        printf(c"1. A small request (100 bytes)\n".as_ptr());
        let initial_break = program_break();
        printf(c"   the break           %+#8lx\n".as_ptr(), offset(initial_break, start));
        let small = malloc(100);
        printf(c"   the block           %+#8lx\n".as_ptr(), offset(small, start));
        let new_break = program_break();
        printf(c"   the break now       %+#8lx\n".as_ptr(), offset(new_break, start));
        printf(c"   the heap grew by    %8ld bytes\n".as_ptr(), offset(new_break, initial_break));
        // ANCHOR_END: journey
    }
    0
}
