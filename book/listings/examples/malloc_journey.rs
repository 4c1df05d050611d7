//! The chapter's `malloc_journey.c`, repaired: it measures first and prints later.
//!
//! `no_main`: Rust's runtime would have used the heap before the program.
#![no_main]

use listings::block::{free, malloc, offset, size_after, size_word};
use listings::process::{PAGE, program_break, resident_pages, signal_in_a_copy};
use listings::yes;

fn how_it_ended(signal: Option<i32>) -> &'static str {
    match signal {
        Some(libc::SIGSEGV) => "SIGSEGV: the kernel kills it",
        Some(_) => "and is killed",
        None => "and goes on",
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: journey
    let start = program_break();

    let small = malloc(100);
    let after_small = program_break();

    // SAFETY: `small` was cut from the top chunk a moment ago, `second` is cut now.
    let top_before = unsafe { size_after(small) };
    let second = malloc(200);
    // SAFETY: as above.
    let top_after = unsafe { size_after(second) };
    let after_second = program_break();

    let large = malloc(10 << 20);
    // SAFETY: a live block of glibc.
    let large_word = unsafe { size_word(large) };
    let after_large = program_break();

    let mapped_before = resident_pages(large, PAGE).is_some();
    for block in [small, second, large] {
        // SAFETY: a live block, freed once.
        unsafe { free(block) }
    }
    let mapped_after = resident_pages(large, PAGE).is_some();
    let after_free = program_break();
    // ANCHOR_END: journey
    let signal = signal_in_a_copy(|| {
        // SAFETY: none can be promised: this is no memory any more. Only a copy of the process takes the harm.
        unsafe { large.read_volatile() };
    });

    println!("1. malloc(100)");
    println!("   the block, from the heap's start   {:>+9}", offset(small, start));
    println!("   the break moved                    {:>+9} bytes", offset(after_small, start));
    println!("2. malloc(200)");
    println!("   after the first block starts       {:>+9} bytes", offset(second, small));
    println!("   the break moved                    {:>+9} bytes", offset(after_second, after_small));
    println!("   the top chunk lost                 {:>9} bytes", top_before - top_after);
    println!("3. malloc(10 MiB)");
    println!("   between the heap's start and break {:>9}", yes((start..after_large).contains(&large)));
    println!("   the break moved                    {:>+9} bytes", offset(after_large, after_second));
    println!("   its size word                      {large_word:>#9x}: a mapping, {}", yes(large_word & 2 != 0));
    println!("   the mapping's length               {:>9} bytes", large_word & !7);
    println!("   the block, from its page's start   {:>+9}", large.addr() % PAGE);
    println!("4. free, three times");
    println!("   the 10 MiB were there before       {:>9}", yes(mapped_before));
    println!("   and are there now                  {:>9}", yes(mapped_after));
    println!("   a copy of the program reads them   {:>9}", how_it_ended(signal));
    println!("   the break moved                    {:>+9} bytes", offset(after_free, after_large));
    0
}
