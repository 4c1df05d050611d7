//! What `free` writes: the words in and around a block, before and after.
//!
//! `no_main`: Rust's runtime would have used the heap before the program, and left free blocks behind.
#![no_main]

use listings::block::{chunk_size, free, malloc, size_word, usable_size, word};

/// The size words of a block and of the one after it, and the word between them.
#[derive(Clone, Copy)]
struct Around {
    own_size_word: usize,
    next_prev_size: usize,
    next_size_word: usize,
}

/// # Safety
/// `block` comes from glibc's malloc.
unsafe fn around(block: *mut u8) -> Around {
    // SAFETY: in glibc, a header lies before each block, and another one after it.
    unsafe {
        let next = block.wrapping_byte_add(chunk_size(block));
        Around { own_size_word: size_word(block), next_prev_size: word(next, -16), next_size_word: size_word(next) }
    }
}

/// Two blocks are freed, X first; a block in use comes after each, so that no two free ones are neighbours.
fn report(request: usize) -> impl FnOnce() {
    let [x, _keeper, y, _other_keeper] = [request; 4].map(malloc);
    let freed = [x, y].map(|block| {
        // SAFETY: each block is written while it is live, freed once, and then only looked at.
        unsafe {
            let usable = usable_size(block);
            block.write_bytes(0x41, usable);
            let before = around(block);
            free(block);
            (block, usable, before)
        }
    });
    // SAFETY: as above. The last word that the program may use is the next chunk's prev_size, and counted there.
    let seen = freed.map(|(block, usable, before)| unsafe {
        let words = (0..usable - 8).step_by(8);
        let changed = words.filter(|&at| word(block, at as isize) != 0x4141_4141_4141_4141).count();
        (block, before, around(block), changed, [word(block, 0), word(block, 8)])
    });
    move || {
        println!("malloc({request}), twice; X is freed, then Y");
        let lead = |word: usize, block: *mut u8| {
            let names = [
                ("X's header", x.addr() - 16),
                ("Y's header", y.addr() - 16),
                ("X's payload", x.addr()),
                ("nothing", 0),
            ];
            let find = |word| names.iter().find(|(_, address)| *address == word).map(|(name, _)| *name);
            match (find(word), find(word ^ (block.addr() >> 12))) {
                (Some(name), _) => format!("leads to {name}"),
                (None, Some(name)) => format!("leads to {name}, once its mask is off"),
                (None, None) if word == 0x4141_4141_4141_4141 => "as the program left it".into(),
                (None, None) => "leads to none of these blocks".into(),
            }
        };
        for (name, (block, before, after, changed, words)) in ["X", "Y"].into_iter().zip(seen) {
            println!("  {name}: its own size word      {:#x} → {:#x}", before.own_size_word, after.own_size_word);
            println!("     the next size word     {:#x} → {:#x}", before.next_size_word, after.next_size_word);
            println!("     the next prev_size     {:#x} → {:#x}", before.next_prev_size, after.next_prev_size);
            println!("     payload words changed  {changed}");
            println!("     word 0                 {}", lead(words[0], block));
            println!("     word 1                 {}", lead(words[1], block));
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // Look at both sizes before anything is printed: println! allocates too.
    let (small, large) = (report(64), report(2000));
    small();
    println!();
    large();
    0
}
