//! Threads of this process on the processor's own flags, on Linux. Nobody outside can see this memory: here alone the exam takes this
//! process's word.

use heapkit::image::ListHead;
use heapkit::memory::ThisProcess;
use heapkit::os::LinuxOs;
use heapkit::referee::{Allocator, Call, NoSuchOperation, Payloads};
use heapkit::workload;
use lab08::{Cache, Corruption, SharedMalloc};
use std::ptr::{self, NonNull};

fn report(found: Corruption) -> ! {
    panic!("report was told {found:?}, but the heap is in order")
}

static MALLOC: SharedMalloc<LinuxOs> = SharedMalloc::new(LinuxOs, report);

/// Plays so many operations of every kind on each thread. What a program notices.
pub fn play(seed: u64, threads: usize, steps: usize) -> Option<String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads as u64).map(|thread| scope.spawn(move || on_one(seed ^ (thread << 32), steps))).collect();
        // A thread that panics has noted why.
        threads.into_iter().find_map(|thread| thread.join().unwrap_or_else(|_| std::process::exit(1)))
    })
}

fn on_one(seed: u64, steps: usize) -> Option<String> {
    // SAFETY: `Payloads` looks only at blocks that the malloc has handed out, and this thread is the one that uses them.
    let memory = unsafe { ThisProcess::new() };
    let (mut program, mut own) = (Payloads::new(&memory), Own(Cache::new()));
    for op in workload::random_of_all_kinds(seed, steps, 1..=5000, 40) {
        if let Err(violation) = program.play(&mut own, op) {
            return Some(violation.what);
        }
    }
    let end = program.free_all(&mut own).err().map(|violation| violation.what);
    MALLOC.retire(&mut own.0);
    end
}

/// The malloc, for one thread.
struct Own(Cache);

impl Allocator for Own {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let cache = &mut self.0;
        let block = |payload: usize| NonNull::new(ptr::with_exposed_provenance_mut::<u8>(payload));
        let payload = match call {
            Call::Malloc { request } => MALLOC.malloc(cache, request),
            Call::Calloc { count, size } => MALLOC.calloc(cache, count, size),
            Call::Aligned { align, request } => MALLOC.aligned(cache, align, request),
            Call::Realloc { payload, request } => {
                // SAFETY: `Payloads` names the blocks that it was given and has not freed.
                block(payload).and_then(|old| unsafe { MALLOC.realloc(cache, old, request) })
            }
            Call::Free { payload } => {
                if let Some(old) = block(payload) {
                    // SAFETY: the same.
                    unsafe { MALLOC.free(cache, old) };
                }
                None
            }
        };
        Ok(payload.map(|payload| payload.as_ptr().expose_provenance()))
    }

    fn lists(&mut self) -> Vec<ListHead> {
        Vec::new()
    }
}
