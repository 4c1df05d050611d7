//! Where a thread's blocks come from.

use listings::block::{malloc, offset, size_word};
use listings::process::program_break;
use listings::yes;
use std::sync::Barrier;
use std::thread;

/// The size of a thread's heap, and what its address is a multiple of.
const HEAP_MAX: usize = 64 << 20;

/// What a thread saw of its malloc(100).
struct Seen {
    word: usize,
    address: usize,
    break_moved: isize,
}

fn look(all: &Barrier) -> Seen {
    // Both threads are there before one of them asks: an arena that nobody uses may be used again.
    all.wait();
    let before = program_break();
    let block = malloc(100);
    // SAFETY: a live block of glibc.
    let word = unsafe { size_word(block) };
    let seen = Seen { word, address: block.addr(), break_moved: offset(program_break(), before) };
    all.wait();
    seen
}

/// The bytes from `start` on that may be read and written, says the system.
fn usable_from(start: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let lines = maps.lines().filter_map(|line| line.split_once(' '));
    let ranges = lines.filter(|(_, rest)| rest.starts_with("rw")).filter_map(|(range, _)| range.split_once('-'));
    let hex = |text| usize::from_str_radix(text, 16).unwrap_or(0);
    ranges.map(|(from, to)| (hex(from), hex(to))).find(|(from, _)| *from == start).map_or(0, |(from, to)| to - from)
}

fn main() {
    // The first thread's block, and the heap that the break ends.
    let first = malloc(100);
    let all = Barrier::new(2);
    let [one, other] = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| look(&all)));
        threads.map(|thread| thread.join().expect("the thread only looks"))
    });
    let heap = |seen: &Seen| seen.address & !(HEAP_MAX - 1);
    let in_the_break = (first.addr()..program_break().addr()).contains(&one.address);

    println!("malloc(100) in a second thread");
    println!("  its size word                        {:#x}: NON_MAIN_ARENA is {}", one.word, one.word >> 2 & 1);
    println!("  the break moved                      {:+} bytes", one.break_moved);
    println!("  between the first thread's block and the break: {}", yes(in_the_break));
    println!("  its heap can be used for             {} bytes so far", usable_from(heap(&one)));
    println!("  and may grow to                      {HEAP_MAX} bytes");
    println!("a third thread, at the same time: in the same heap: {}", yes(heap(&one) == heap(&other)));
}
