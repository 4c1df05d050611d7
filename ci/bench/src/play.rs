//! Plays operations on a malloc, and takes the time.

use heapkit::trace::NULL;
use heapkit::workload::Op;
use std::ffi::CStr;
use std::ptr;
use std::time::{Duration, Instant};

/// A malloc in its own words.
///
/// # Safety
/// As in C: what is resized or freed is a block of this malloc, with the size and the alignment that it was last asked for.
pub trait Subject {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8;
    unsafe fn calloc(&mut self, size: usize) -> *mut u8;
    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8;
    unsafe fn realloc(&mut self, block: *mut u8, align: usize, old: usize, size: usize) -> *mut u8;
    unsafe fn free(&mut self, block: *mut u8, align: usize, size: usize);
}

/// Who knows which memory a malloc has from the system.
pub trait Books {
    /// How far into the heap this address is, if it is there.
    fn in_heap(&self, at: *const u8) -> Option<usize>;
    /// How long the heap is.
    fn heap(&self) -> usize;
    /// How many bytes are in mappings of single blocks.
    fn mapped(&self) -> usize;
}

/// The most memory that a malloc had at once.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Mappings, and the heap.
    pub taken: usize,
    /// Mappings, and the heap up to the end of the last block that ever was in it: what is beyond it, only waits.
    pub used: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    block: *mut u8,
    size: usize,
    align: usize,
}

const EMPTY: Slot = Slot { block: ptr::null_mut(), size: 0, align: 16 };

/// So long, and at least so many rounds.
const TIME: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;

/// Plays the operations round by round on the same malloc; each round ends with everything freed.
pub fn nanoseconds(mut subject: impl Subject, ops: &[Op]) -> f64 {
    let mut slots = slots(ops);
    let (start, mut fastest, mut rounds) = (Instant::now(), Duration::MAX, 0);
    while rounds < ROUNDS || start.elapsed() < TIME {
        let round = Instant::now();
        for &op in ops {
            step(&mut subject, &mut slots, op);
        }
        free_all(&mut subject, &mut slots);
        fastest = fastest.min(round.elapsed());
        rounds += 1;
    }
    fastest.as_nanos() as f64 / ops.len() as f64
}

/// The memory that it takes to play the operations once.
pub fn memory(mut subject: impl Subject, books: &impl Books, ops: &[Op]) -> Memory {
    let mut slots = slots(ops);
    let (mut reached, mut most) = (0, Memory { taken: 0, used: 0 });
    for &op in ops {
        step(&mut subject, &mut slots, op);
        let end = op.id().and_then(|id| slots.get(id)).and_then(|slot| Some(books.in_heap(slot.block)? + slot.size));
        reached = reached.max(end.unwrap_or(0));
        most.taken = most.taken.max(books.heap() + books.mapped());
        most.used = most.used.max(reached + books.mapped());
    }
    most
}

fn slots(ops: &[Op]) -> Vec<Slot> {
    let ids = ops.iter().filter_map(|op| op.id()).filter(|id| *id != NULL);
    vec![EMPTY; ids.max().map_or(0, |id| id + 1)]
}

fn free_all(subject: &mut impl Subject, slots: &mut [Slot]) {
    for slot in slots.iter_mut().filter(|slot| !slot.block.is_null()) {
        // SAFETY: the slot's block, as it was last asked for.
        unsafe { subject.free(slot.block, slot.align, slot.size) };
        *slot = EMPTY;
    }
}

#[inline(always)]
fn step(subject: &mut impl Subject, slots: &mut [Slot], op: Op) {
    // SAFETY: each slot has a block of this malloc, with what it was last asked for, or none.
    unsafe {
        match op {
            Op::Malloc { id, size } => slots[id] = written(Slot { block: subject.malloc(size), size, align: 16 }),
            Op::Calloc { id, size } => slots[id] = written(Slot { block: subject.calloc(size), size, align: 16 }),
            Op::Aligned { id, align, size } => {
                slots[id] = written(Slot { block: subject.aligned(align, size), size, align });
            }
            Op::Realloc { id, size } => {
                let old = slots[id];
                let block = if old.block.is_null() {
                    subject.malloc(size)
                } else {
                    subject.realloc(old.block, old.align, old.size, size)
                };
                slots[id] = written(Slot { block, size, align: old.align });
            }
            Op::Free { id } => {
                if let Some(slot) = slots.get_mut(id).filter(|slot| !slot.block.is_null()) {
                    subject.free(slot.block, slot.align, slot.size);
                    *slot = EMPTY;
                }
            }
            Op::Foreign { .. } => {}
        }
    }
}

/// A program writes to its blocks: here their first byte and their last one.
#[inline(always)]
fn written(slot: Slot) -> Slot {
    assert!(!slot.block.is_null(), "a malloc gave up");
    if slot.size > 0 {
        // SAFETY: a block of `size` bytes.
        unsafe {
            slot.block.write(1);
            slot.block.add(slot.size - 1).write(1);
        }
    }
    slot
}

/// Measures in a process of its own, so that no malloc meets what another one left. The process has a name for `perf`. `None` if
/// that fails.
pub fn in_a_child<const N: usize>(name: &CStr, measure: impl FnOnce() -> [f64; N]) -> Option<[f64; N]> {
    let mut pipe = [0; 2];
    // SAFETY: `pipe` takes the two descriptors. The child of this single thread may do as it likes, and leaves without cleaning up.
    unsafe {
        if libc::pipe(pipe.as_mut_ptr()) != 0 {
            return None;
        }
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            let figures = measure();
            libc::write(pipe[1], figures.as_ptr().cast(), size_of_val(&figures));
            libc::_exit(0);
        }
        libc::close(pipe[1]);
        let mut figures = [0.0; N];
        let read = libc::read(pipe[0], figures.as_mut_ptr().cast(), size_of_val(&figures));
        libc::close(pipe[0]);
        libc::waitpid(child, ptr::null_mut(), 0);
        (read == size_of_val(&figures).cast_signed()).then_some(figures)
    }
}
