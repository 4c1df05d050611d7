//! Where a process has its heap, its mappings and everything else, and what of that is random. The program runs itself, with the
//! argument `once`.
//!
//! `no_main`: Rust's runtime would have used the heap before the program.
#![no_main]

use listings::block::malloc;
use listings::process::{PAGE, program_break};
use listings::yes;
use std::process::Command;

const RUNS: usize = 5;

/// What is looked at, from low addresses to high ones.
const THINGS: [&str; 8] = [
    "code: the function main",
    "data: a static variable",
    "the end of the data",
    "the start of the heap",
    "a block of 100 bytes",
    "a second block of 10 MiB",
    "a block of 10 MiB",
    "a variable on the stack",
];

/// The addresses of `THINGS` in this process.
fn look() -> [usize; THINGS.len()] {
    unsafe extern "C" {
        /// The linker puts it after the last static variable.
        static _end: u8;
    }
    static mut NUMBER: usize = 7;
    let heap = program_break();
    let (small, large) = (malloc(100), malloc(10 << 20));
    let second = malloc(10 << 20);
    let local = 7;
    [
        main as *const () as usize,
        (&raw const NUMBER).addr(),
        (&raw const _end).addr(),
        heap.addr(),
        small.addr(),
        second.addr(),
        large.addr(),
        (&raw const local).addr(),
    ]
}

/// What [`look`] finds in a new process.
fn look_again() -> [usize; THINGS.len()] {
    let own = std::env::current_exe().expect("Linux knows where a program is");
    let output = Command::new(own).arg("once").output().expect("the program runs a second time");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut addresses = text.split_whitespace().map(|address| address.parse().expect("a number"));
    THINGS.map(|_| addresses.next().expect("an address of everything"))
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let here = look();
    if std::env::args().nth(1).is_some() {
        println!("{}", here.map(|address| address.to_string()).join(" "));
        return 0;
    }
    let runs = [(); RUNS].map(|()| look_again());
    let same = |what: &dyn Fn(&[usize; THINGS.len()]) -> usize| yes(runs.iter().all(|run| what(run) == what(&runs[0])));

    println!("{RUNS} runs                      the same address   the same place in its page");
    for (i, thing) in THINGS.iter().enumerate() {
        println!("{thing:<25}   {:<16}   {}", same(&|run| run[i]), same(&|run| run[i] % PAGE));
    }
    println!("in this order, from low to high: {}", yes(runs.iter().all(|run| run.is_sorted())));
    println!();
    println!("the same distance in each run");
    println!("  from the end of the data to the heap      {}", same(&|run| run[3] - run[2]));
    println!("  from the heap's start to the small block  {}", same(&|run| run[4] - run[3]));
    println!("  from the heap to a large block            {}", same(&|run| run[6] - run[3]));
    println!("  between the two large blocks              {}", same(&|run| run[6] - run[5]));
    println!("the large blocks are {} bytes apart", runs[0][6] - runs[0][5]);
    let nearest = runs.iter().map(|run| run[5] - run[4]).min().unwrap_or(0) >> 20;
    println!("the heap and a large block are more than 40,000,000 MiB apart: {}", yes(nearest > 40_000_000));
    println!(
        "the two addresses in the chapter's output: {} MiB apart",
        (0x7f8a_1234_5000_usize - 0x55f4_a9c2_b310) >> 20
    );
    0
}
