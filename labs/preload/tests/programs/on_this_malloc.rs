//! A program of Rust's own whose global allocator is this malloc: vectors, maps and strings that come and go, in threads that send
//! each other what they made. It ends with a sum, which is the same on every allocator.

use preload::Malloc;
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static GLOBAL: Malloc = Malloc;

/// A block that has to start at a multiple of 256.
#[repr(align(256))]
struct Wide([u8; 256]);

fn churn(seed: usize) -> usize {
    let mut words: HashMap<String, Vec<usize>> = HashMap::new();
    let mut tree: BTreeMap<usize, Box<Wide>> = BTreeMap::new();
    let (mut state, mut sum) = (seed, 0);
    for step in 0..20_000_usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = state >> 33;
        words.entry(format!("word {}", pick % 500)).or_default().push(step);
        if pick.is_multiple_of(7) {
            let gone = words.remove(&format!("word {}", (pick / 7) % 500));
            sum += gone.map_or(0, |steps| steps.iter().sum());
        }
        if pick.is_multiple_of(11) {
            let wide = Box::new(Wide([seed as u8; 256]));
            assert!((&raw const *wide).addr().is_multiple_of(256));
            tree.insert(pick % 100, wide);
        }
    }
    let mut wides: Vec<Wide> = Vec::new();
    for wide in tree.into_values() {
        // This one grows and must stay aligned.
        wides.push(*wide);
        assert!(wides.as_ptr().addr().is_multiple_of(256));
    }
    sum + wides.iter().map(|wide| usize::from(wide.0[255])).sum::<usize>() + words.len()
}

fn main() {
    let (to_the_last, from_all) = mpsc::channel::<Vec<String>>();
    let threads: Vec<_> = (0..6)
        .map(|seed| {
            let to_the_last = to_the_last.clone();
            thread::spawn(move || {
                for round in 0..50 {
                    // What this thread makes, another one frees.
                    let made = (0..100).map(|i| "x".repeat(1 + (i * round + seed) % 2000)).collect();
                    if to_the_last.send(made).is_err() {
                        return 0;
                    }
                }
                churn(seed)
            })
        })
        .collect();
    drop(to_the_last);
    let mut sum: usize = from_all.iter().flatten().map(|made| made.len()).sum();
    for thread in threads {
        sum += thread.join().unwrap_or(0);
    }
    // A hundred threads, one after the other: what their caches held has to come back.
    for seed in 0..100_usize {
        sum += thread::spawn(move || vec![seed; 100 + seed].len()).join().unwrap_or(0);
    }
    println!("{sum}");
}
