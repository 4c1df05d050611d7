//! `replay`: does what a recorded program did, on the malloc that this process has: glibc's, or one that is preloaded.

use heapkit::trace::{self, NULL};
use heapkit::workload::{Op, Rng};
use libc::c_void;
use std::process::ExitCode;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "\
    replay TRACE              plays a trace, again and again
    replay --threads THREADS  many short-lived threads that free what others have made

It prints how many nanoseconds a call took in the fastest round.
";

/// At least so long, and so many rounds.
const TIME: Duration = Duration::from_millis(150);
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let took = match words[..] {
        ["--threads", threads] => threads.parse().map(threaded).map_err(|e| format!("{threads}: {e}")),
        [file] if !file.starts_with('-') => {
            trace::read(file).map(|trace| recorded(&trace.ops)).map_err(|e| e.to_string())
        }
        _ => Err(USAGE.to_owned()),
    };
    match took {
        Ok(nanoseconds) => {
            println!("{nanoseconds:.2}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("replay: {line}");
            ExitCode::FAILURE
        }
    }
}

/// How long a call takes in the fastest round.
fn fastest(calls: usize, mut round: impl FnMut()) -> f64 {
    let (start, mut fastest, mut rounds) = (Instant::now(), Duration::MAX, 0);
    while rounds < ROUNDS || start.elapsed() < TIME {
        let begin = Instant::now();
        round();
        fastest = fastest.min(begin.elapsed());
        rounds += 1;
    }
    fastest.as_nanos() as f64 / calls as f64
}

/// A block of C's malloc, or null.
#[derive(Clone, Copy)]
struct Block(*mut c_void);

// SAFETY: only one thread at a time has a block.
unsafe impl Send for Block {}

const NONE: Block = Block(ptr::null_mut());

impl Block {
    /// A new block, of which the first byte and the last one are written, as a program does.
    fn new(start: *mut c_void, size: usize) -> Self {
        assert!(!start.is_null(), "the malloc gave up at {size} bytes");
        if size > 0 {
            // SAFETY: a block of so many bytes.
            unsafe {
                start.cast::<u8>().write(1);
                start.cast::<u8>().add(size - 1).write(1);
            }
        }
        Block(start)
    }

    fn free(&mut self) {
        // SAFETY: a block of C's malloc that has not been freed, or null.
        unsafe { libc::free(std::mem::replace(self, NONE).0) }
    }
}

fn recorded(ops: &[Op]) -> f64 {
    let slots = ops.iter().filter_map(|op| op.id()).filter(|id| *id != NULL).max().map_or(0, |id| id + 1);
    let mut slots = vec![NONE; slots];
    fastest(ops.len(), || {
        for &op in ops {
            // SAFETY: as C's interface asks for it: what is resized is a block that has not been freed, or null.
            unsafe {
                match op {
                    Op::Malloc { id, size } => slots[id] = Block::new(libc::malloc(size), size),
                    Op::Calloc { id, size } => slots[id] = Block::new(libc::calloc(1, size), size),
                    Op::Aligned { id, align, size } => slots[id] = Block::new(libc::memalign(align, size), size),
                    // A size of 0 would free it.
                    Op::Realloc { id, size } => slots[id] = Block::new(libc::realloc(slots[id].0, size.max(1)), size),
                    Op::Free { id } => slots.get_mut(id).into_iter().for_each(Block::free),
                    Op::Foreign { .. } => {}
                }
            }
        }
        slots.iter_mut().for_each(Block::free);
    })
}

/// Each thread has a thousand blocks, and takes new ones for old ones. Then it ends, and another thread goes on with its blocks. The
/// threads work at the same time: a call takes so much of the clock, not of a processor.
fn threaded(threads: usize) -> f64 {
    const BLOCKS: usize = 1_000;
    const STEPS: usize = 30_000;
    let mut all = vec![vec![NONE; BLOCKS]; threads];
    let mut seed = 0;
    let took = fastest(threads * STEPS * 2, || {
        let working: Vec<_> = all
            .drain(..)
            .map(|mut blocks| {
                seed += 1;
                let mut rng = Rng::new(seed);
                thread::spawn(move || {
                    for _ in 0..STEPS {
                        let (place, size) = (rng.below(BLOCKS), 10 + rng.below(500));
                        blocks[place].free();
                        // SAFETY: any request may be made.
                        blocks[place] = Block::new(unsafe { libc::malloc(size) }, size);
                    }
                    blocks
                })
            })
            .collect();
        all.extend(working.into_iter().map(|thread| thread.join().unwrap_or_default()));
        all.rotate_left(1);
    });
    all.iter_mut().flatten().for_each(Block::free);
    took
}
