//! Where a thread's blocks come from.

use listings::block::{malloc, offset, size_word};
use listings::process::program_break;
use listings::yes;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;

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

/// A thread's heap, as the system knows it: memory that can be used, and addresses after it that are only reserved.
struct Heap {
    usable: Range<usize>,
    reserved: Range<usize>,
}

fn heap_around(address: usize) -> Heap {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let ranges = || {
        maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let hex = |text| usize::from_str_radix(text, 16).ok();
            Some((hex(from)?..hex(to)?, rest))
        })
    };
    let find = |what: &dyn Fn(&Range<usize>, &str) -> bool| {
        ranges().find(|(range, rest)| what(range, rest)).map_or(0..0, |(range, _)| range)
    };
    let usable = find(&|range, rest| rest.starts_with("rw") && range.contains(&address));
    let reserved = find(&|range, rest| rest.starts_with("---") && range.start == usable.end);
    Heap { usable, reserved }
}

fn main() {
    // The first thread's block, and the heap that the break ends.
    let first = malloc(100);
    let all = Barrier::new(2);
    let [one, other] = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| look(&all)));
        threads.map(|thread| thread.join().expect("the thread only looks"))
    });
    let heap = heap_around(one.address);
    let in_the_break = (first.addr()..program_break().addr()).contains(&one.address);

    println!("malloc(100) in a second thread");
    println!("  its size word                        {:#x}: NON_MAIN_ARENA is {}", one.word, one.word >> 2 & 1);
    println!("  the break moved                      {:+} bytes", one.break_moved);
    println!("  between the first thread's block and the break: {}", yes(in_the_break));
    println!("  its heap can be used for             {} bytes so far", heap.usable.len());
    println!("  and has addresses for                {} bytes", heap.usable.len() + heap.reserved.len());
    println!("a third thread, at the same time: in the same heap: {}", yes(heap.usable.contains(&other.address)));
}
