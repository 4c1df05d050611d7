//! How long a parser's trees take on a pool and on a region, beside the C library's malloc, or whichever is preloaded.
//!
//! ```console
//! $ cargo run --release -p listings --features reference --bin pools_race
//! $ LD_PRELOAD=libjemalloc.so.2 target/release/pools_race
//! ```
//!
//! Times differ from machine to machine and from run to run, so this prints ratios: the pool's time is 1.

use heapkit::os::LinuxOs;
use lab07::{Mappings, Pool, Region, pool_scope};
use listings::parser::{NoMemory, in_a_pool, in_a_region, in_blocks, texts, tokens};
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// Each way is timed so often, and the shortest time counts.
const ROUNDS: usize = 30;

/// The malloc that this program is linked with.
struct CLibrary;

impl in_blocks::Blocks for CLibrary {
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: malloc takes any size.
        NonNull::new(unsafe { libc::malloc(request) }.cast())
    }

    unsafe fn free(&mut self, block: NonNull<u8>) {
        // SAFETY: a live block of malloc's, as the trait's rule says.
        unsafe { libc::free(block.as_ptr().cast()) }
    }
}

fn fastest(mut once: impl FnMut() -> Result<(), NoMemory>) -> Result<Duration, NoMemory> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        once()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn main() -> Result<(), NoMemory> {
    let texts = texts(60);
    let malloc = fastest(|| {
        texts.iter().try_for_each(|text| {
            let tree = in_blocks::parse(&mut tokens(text), &mut CLibrary)?;
            // SAFETY: the tree was parsed with the same malloc, and is used no more.
            unsafe { in_blocks::free(black_box(tree), &mut CLibrary) };
            Ok(())
        })
    })?;
    let pool = pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        fastest(|| {
            texts.iter().try_for_each(|text| {
                let tree = in_a_pool::parse(&mut tokens(text), &mut pool)?;
                in_a_pool::free(black_box(tree), &mut pool);
                Ok(())
            })
        })
    })?;
    let mut mappings = Mappings::new(LinuxOs);
    let region = fastest(|| {
        texts.iter().try_for_each(|text| {
            let mut region = Region::new(&mut mappings);
            black_box(in_a_region::parse(&mut tokens(text), &mut region)?);
            Ok(())
        })
    })?;
    // What reading the texts takes, without a tree.
    let reading = fastest(|| {
        texts.iter().for_each(|text| {
            black_box(tokens(text).count());
        });
        Ok(())
    })?;
    for (name, time) in [("malloc", malloc), ("pool", pool), ("region", region), ("reading alone", reading)] {
        println!("{name:<14} {:.2} times as long as the pool", time.as_secs_f64() / pool.as_secs_f64());
    }
    Ok(())
}
