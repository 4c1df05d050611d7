//! Five things about unsafe Rust, on four numbers and a header.

use listings::yes;
use std::ptr::{self, NonNull};

/// The four words of a chunk's header: the page "Chunks" is about them.
#[repr(C)]
struct Header {
    prev_size: usize,
    size_word: usize,
    fd: *mut Header,
    bk: *mut Header,
}

// ANCHOR: twice
/// Twice the number at `at`.
///
/// # Safety
/// There is a number at `at`, and it may be read.
unsafe fn twice(at: *const u64) -> u64 {
    // SAFETY: there is a number that may be read (see `# Safety`).
    let number = unsafe { at.read() };
    2 * number
}
// ANCHOR_END: twice

fn main() {
    // ANCHOR: raw
    let mut numbers: [u64; 4] = [11, 22, 33, 44];
    let first: *mut u64 = numbers.as_mut_ptr();
    let nowhere: *mut u64 = ptr::null_mut();

    // SAFETY: `first` points to the first of four numbers.
    let read = unsafe { first.read() };
    // ANCHOR_END: raw
    println!("read through first                   {read:>3}");
    println!("NonNull::new(first) is some          {:>3}", yes(NonNull::new(first).is_some()));
    println!("NonNull::new(nowhere) is some        {:>3}", yes(NonNull::new(nowhere).is_some()));

    // ANCHOR: steps
    // SAFETY: both steps stay inside the four numbers.
    let (by_one, by_a_byte) = unsafe { (first.add(1), first.byte_add(1)) };
    // SAFETY: 16 bytes on, there is a number.
    let sixteen_on = unsafe { first.byte_add(16).read() };
    // ANCHOR_END: steps
    println!("first.add(1)         steps over      {:>3} bytes", by_one.addr() - first.addr());
    println!("first.byte_add(1)    steps over      {:>3} bytes", by_a_byte.addr() - first.addr());
    println!("16 bytes after first                 {sixteen_on:>3}");

    // ANCHOR: field
    let none = ptr::null_mut();
    let mut chunk = Header { prev_size: 0, size_word: 0x51, fd: none, bk: none };
    let header: *mut Header = &raw mut chunk;

    // SAFETY: `header` points to a header; this reads one word of it.
    let size_word = unsafe { (&raw const (*header).size_word).read() };
    // SAFETY: as above; this only makes a pointer to one word.
    let fd = unsafe { &raw const (*header).fd };
    // ANCHOR_END: field
    println!("the size word                       {size_word:#x}");
    println!("fd comes after                       {:>3} bytes", fd.addr() - header.addr());

    // ANCHOR: provenance
    // SAFETY: the step stays inside the four numbers.
    let third = unsafe { first.add(2) };

    // SAFETY: 8 bytes before the third number there is the second.
    let stepped = unsafe { third.byte_sub(8) };
    let made_up: *mut u64 = ptr::without_provenance_mut(third.addr() - 8);
    // ANCHOR_END: provenance
    println!("both have the same address           {:>3}", yes(stepped.addr() == made_up.addr()));
    // SAFETY: there is the second number.
    println!("read through stepped                 {:>3}", unsafe { stepped.read() });

    // ANCHOR: call
    // SAFETY: …
    let last = unsafe { twice(first.add(3)) };
    // ANCHOR_END: call
    println!("twice the number at first.add(3)     {last:>3}");
    // The other fields of the header are never looked at.
    let _ = (chunk.prev_size, chunk.bk);
}
