//! In which of glibc's lists does a freed block wait?
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc};
use listings::waiting::{Bin, Heap, Place, file_at, fill};

/// Blocks of these sizes are freed, eight of each, and each eighth one is watched: seven go to the thread's cache.
const EIGHT_EACH: [usize; 3] = [200, 500, 1000];
/// A block of each of these is freed: no cache takes them.
const LARGE: [usize; 3] = [3016, 3000, 3032];

/// A block of `request` bytes, and one after it that stays in use: no two such blocks are neighbours.
fn malloc_apart(request: usize) -> *mut u8 {
    let block = malloc(request);
    malloc(24);
    block
}

/// # Safety
/// `block` is a live block that nobody else uses.
unsafe fn fill_and_free(block: *mut u8) {
    // SAFETY: a live block (see `# Safety`), freed once.
    unsafe {
        fill(block);
        free(block);
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // ANCHOR: blocks
    let small = [32; 9].map(malloc);
    malloc(24); // stays in use, as do the small blocks between the others
    let eights = EIGHT_EACH.map(|request| [request; 8].map(malloc_apart));
    let large = LARGE.map(malloc_apart);
    // ANCHOR_END: blocks
    // SAFETY: the first block of this program, which has one thread.
    let heap = unsafe { Heap::from(small[0]) };

    // SAFETY: live blocks, each freed once.
    unsafe {
        for &block in small.iter().chain(eights.as_flattened()).chain(&large) {
            fill_and_free(block);
        }
    }
    // Where each block waits; of each eight, the last one.
    let watched = || {
        (
            small.map(|block| heap.place(block)),
            eights.map(|eight| heap.place(eight[7])),
            large.map(|block| heap.place(block)),
        )
    };
    let sizes = (eights.map(|eight| of_chunk(eight[7])), large.map(of_chunk));
    // ANCHOR: look
    let before = watched();
    malloc(4000); // no free chunk is that large
    let after = watched();
    // ANCHOR_END: look

    // All that is looked at is looked at before the first println!, which allocates too.
    let (Place::Bin { head: unsorted, .. }, Place::Bin { head: of_large, .. }) = (before.2[0], after.2[0]) else {
        panic!("a large block is in no bin")
    };
    let mut listed = heap.sizes(of_large);
    let listed = LARGE.map(|_| listed.next().unwrap_or(0));
    let name = |place: Place| match place {
        Place::Cache => "the thread's cache".to_owned(),
        Place::FastBin => "a fast bin".to_owned(),
        Place::Bin { head, .. } => Bin::with_head(head, unsorted).to_string(),
        Place::Top => "the top chunk".to_owned(),
        Place::Elsewhere => "elsewhere".to_owned(),
    };
    println!("                          freed               after malloc(4000)");
    for (nth, (before, after)) in
        ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"].iter().zip(before.0.into_iter().zip(after.0))
    {
        let chunk = match after {
            Place::Bin { size, .. } => format!(", in a chunk of {size}"),
            _ => String::new(),
        };
        println!("  {nth} block of   32 bytes  {:<18}  {}{chunk}", name(before), name(after));
    }
    for (request, (before, after)) in EIGHT_EACH.iter().zip(before.1.into_iter().zip(after.1)) {
        println!("  8th block of {request:>4} bytes  {:<18}  {}", name(before), name(after));
    }
    for (request, (before, after)) in LARGE.iter().zip(before.2.into_iter().zip(after.2)) {
        println!("  a block of   {request:>4} bytes  {:<18}  {}", name(before), name(after));
    }

    println!();
    println!("The unsorted bin's head is in {}. The other heads come after it:", file_at(unsorted).unwrap_or_default());
    for (size, place) in sizes.0.into_iter().chain(sizes.1).zip(after.1.into_iter().chain(after.2)) {
        let Place::Bin { head, .. } = place else { continue };
        let number = Bin::with_head(head, unsorted).number();
        println!(
            "  a chunk of {size:>4}: {:>4} bytes after it, bin {number:>2}; {size:>4} / 16 = {:>3}",
            head - unsorted,
            size / 16
        );
    }
    let number = Bin::with_head(of_large, unsorted).number();
    println!("bin {number}, from its head: {}", listed.map(|size| size.to_string()).join(" → "));
    0
}

fn of_chunk(block: *mut u8) -> usize {
    // SAFETY: a block of glibc, whose header stays where it is.
    unsafe { chunk_size(block) }
}
