//! In which order freed blocks come back.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, malloc};

/// Frees the blocks in order and asks for as many again: for each new block, the number of the old one in its place.
///
/// `keepers`: a block in use comes after each, so that no two free ones are neighbours. `sorted`: a larger request comes in
/// between. It finds nothing, but it sorts what it meets into the bins.
fn reuse<const N: usize>(request: usize, keepers: bool, sorted: bool) -> [Option<usize>; N] {
    let blocks = [(); N].map(|()| {
        let block = malloc(request);
        if keepers {
            malloc(24);
        }
        block
    });
    malloc(24);
    for block in blocks {
        // SAFETY: a live block, freed once.
        unsafe { free(block) }
    }
    if sorted {
        malloc(100_000);
    }
    [(); N].map(|()| malloc(request)).map(|new| blocks.iter().position(|&old| old == new))
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let small = reuse::<12>(40, false, false);
    let side_by_side = reuse::<4>(2000, false, false);
    let apart = reuse::<4>(3000, true, false);
    // A freed mapping of 1 MiB: from now on, blocks of 200,000 bytes come from the heap.
    // SAFETY: a live block, freed once.
    unsafe { free(malloc(1 << 20)) };
    let large = reuse::<4>(200_000, true, false);
    let in_bins = reuse::<12>(40, true, true);

    let show = |order: &[Option<usize>]| -> String {
        order.iter().map(|number| number.map_or("  new".into(), |number| format!("{number:>5}"))).collect()
    };
    println!("Blocks 0, 1, 2, … are freed in this order. Then as many are asked for again.");
    println!("12 blocks of     40 bytes, side by side{}", show(&small));
    println!(" 4 blocks of   2000 bytes, side by side{}", show(&side_by_side));
    println!(" 4 blocks of   3000 bytes, kept apart  {}", show(&apart));
    println!(" 4 blocks of 200000 bytes, kept apart  {}", show(&large));
    println!("12 blocks of     40 bytes, in bins     {}", show(&in_bins));
    0
}
