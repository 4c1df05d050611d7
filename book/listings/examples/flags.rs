//! The size words of three blocks: an ordinary one, one that another thread asked for, and a large one.

use listings::block::{malloc, size_word};

fn read(request: usize) -> usize {
    // SAFETY: a live block of glibc.
    unsafe { size_word(malloc(request)) }
}

fn main() {
    let words = [
        ("malloc(100)", read(100)),
        ("malloc(100) in a second thread", std::thread::spawn(|| read(100)).join().unwrap_or(0)),
        ("malloc(1 MiB)", read(1 << 20)),
    ];
    println!("{:<32} {:>10} {:>10}   A M P", "", "word", "size");
    for (what, word) in words {
        println!("{what:<32} {word:>#10x} {:>#10x}   {} {} {}", word & !7, word >> 2 & 1, word >> 1 & 1, word & 1);
    }
}
