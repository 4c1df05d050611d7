//! The chapter's `size_based_strategy.c`, block by block: where does each one come from, the first time and after all were freed?
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{free, is_mapped, malloc};
use listings::process::program_break;
use listings::waiting::{Bin, Heap, Place, fill};

// ANCHOR: strategies
/// What the chapter asks for.
const REQUESTS: [usize; 12] = [32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 1024, 1 << 20];
// ANCHOR_END: strategies

/// Where a block came from.
#[derive(Clone, Copy)]
enum Source {
    /// It waited there, since it was freed.
    Free(Place),
    /// It was cut from the top chunk, for which the break may have moved.
    Top { break_moved: bool },
    /// It is a mapping of its own.
    Mapping,
    /// None of these.
    Unknown,
}

/// A block for each request, and where it came from; `freed` are blocks that were freed.
fn ask(heap: Heap, freed: &[*mut u8]) -> [(*mut u8, Source); 12] {
    REQUESTS.map(|request| {
        // Before each request: where does each freed block wait, and where does the top chunk begin?
        let mut waiting = [Place::Elsewhere; 12];
        waiting.iter_mut().zip(freed).for_each(|(place, &block)| *place = heap.place(block));
        let (top, end) = (heap.top(), program_break());
        // ANCHOR: came_from
        let block = malloc(request);
        let source = match freed.iter().position(|&old| old == block).map(|index| waiting[index]) {
            Some(place @ (Place::Cache | Place::FastBin | Place::Bin { .. })) => Source::Free(place),
            // SAFETY: a live block of glibc.
            _ if unsafe { is_mapped(block) } => Source::Mapping,
            _ if block == top => Source::Top { break_moved: program_break() != end },
            _ => Source::Unknown,
        };
        // ANCHOR_END: came_from
        (block, source)
    })
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // Something has used the heap before: in the chapter's program it is printf.
    let first = malloc(24);
    // SAFETY: the first block of this program, which has one thread.
    let heap = unsafe { Heap::from(first) };
    let once = ask(heap, &[]);
    malloc(24); // stays in use: nothing that is freed joins the top chunk
    let freed = once.map(|(block, _)| block);
    for (index, block) in freed.into_iter().enumerate() {
        // SAFETY: a live block, freed once. Of a mapping nothing is left to look at afterwards.
        unsafe {
            if index < 11 {
                fill(block);
            }
            free(block);
        }
    }
    // Nothing was sorted since: a chunk that waits in a bin is in the unsorted one.
    let unsorted = match heap.place(freed[10]) {
        Place::Bin { head, .. } => head,
        _ => 0,
    };
    let again = ask(heap, &freed);

    let name = |source: Source| match source {
        Source::Free(Place::Cache) => "the thread's cache".to_owned(),
        Source::Free(Place::FastBin) => "a fast bin".to_owned(),
        Source::Free(Place::Bin { head, .. }) => Bin::with_head(head, unsorted).to_string(),
        Source::Free(_) | Source::Unknown => "somewhere else".to_owned(),
        Source::Top { break_moved: false } => "the top chunk".to_owned(),
        Source::Top { break_moved: true } => "the top chunk; the break moved".to_owned(),
        Source::Mapping => "a mapping".to_owned(),
    };
    println!("                  the first time   again, after all were freed");
    for ((request, (_, once)), (_, again)) in REQUESTS.iter().zip(once).zip(again) {
        println!("{:<15}   {:<15}  {}", format!("malloc({request})"), name(once), name(again));
    }
    println!("if nothing were freed: {} blocks, {} bytes", REQUESTS.len(), REQUESTS.iter().sum::<usize>());
    0
}
