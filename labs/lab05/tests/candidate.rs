//! Runs lab 5 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, AskedOs, Blocks, Candidate, Memory, play_on_linux};
use heapkit::image::ListHead;
use heapkit::os::{LinuxOs, Os};
use heapkit::referee::{Allocator, Call, NoSuchOperation};
use lab05::Malloc;
use questions::Question;
use std::ptr::{self, NonNull};

candidate::main!(Lab05);

struct Lab05 {
    memory: Memory,
    malloc: Option<Malloc<AskedOs>>,
    /// Of the questions in which many operations come at once.
    blocks: Blocks,
}

impl Candidate for Lab05 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab05 { memory, malloc: None, blocks: Blocks::default() }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::New => {
                self.malloc = Some(Malloc::new(AskedOs::new(self.memory)));
                self.blocks = Blocks::default();
                Answer::done()
            }
            Question::Call { call } => {
                let Some(malloc) = &mut self.malloc else { return Answer::done() };
                // SAFETY: the examiner names blocks that it was given and has not freed, and uses them no more.
                let payload = self.memory.carry_out(call, |call, old| unsafe { make(malloc, call, old) });
                Answer::say((payload, vec![malloc.free_chunks().head().addr()]))
            }
            Question::Play { ops } => {
                let Some(malloc) = &mut self.malloc else { return Answer::done() };
                let play = |op| {
                    // SAFETY: as above.
                    self.blocks.play(self.memory, op, |call, old| unsafe { make(malloc, call, old) })
                };
                let places: Vec<Option<usize>> = ops.into_iter().map(play).collect();
                Answer::say((places, vec![malloc.free_chunks().head().addr()]))
            }
            Question::Linux { seed, steps, most } => {
                Answer::say(play_on_linux(&mut OnLinux(Malloc::new(LinuxOs)), seed, steps, most))
            }
        }
    }
}

/// Makes one call; `old` is the block that it names, if it names one.
///
/// # Safety
/// `old` is a block of `malloc`'s that has not been freed, and nobody uses its old place afterwards.
unsafe fn make<O: Os>(malloc: &mut Malloc<O>, call: Call, old: Option<NonNull<u8>>) -> Option<NonNull<u8>> {
    match (call, old) {
        (Call::Malloc { request }, _) => malloc.malloc(request),
        (Call::Calloc { count, size }, _) => malloc.calloc(count, size),
        (Call::Aligned { align, request }, _) => malloc.aligned(align, request),
        // SAFETY: a block that has not been freed, as this function's own rule says.
        (Call::Realloc { request, .. }, Some(old)) => unsafe { malloc.realloc(old, request) },
        (Call::Free { .. }, Some(old)) => {
            // SAFETY: the same.
            unsafe { malloc.free(old) };
            None
        }
        (Call::Realloc { .. } | Call::Free { .. }, None) => None,
    }
}

/// A malloc on Linux, whose blocks are known by their addresses.
struct OnLinux(Malloc<LinuxOs>);

impl Allocator for OnLinux {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let old = match call {
            Call::Realloc { payload, .. } | Call::Free { payload } => {
                NonNull::new(ptr::with_exposed_provenance_mut(payload))
            }
            Call::Malloc { .. } | Call::Calloc { .. } | Call::Aligned { .. } => None,
        };
        // SAFETY: `Payloads` names the blocks that it was given and has not freed.
        let payload = unsafe { make(&mut self.0, call, old) };
        Ok(payload.map(|payload| payload.as_ptr().expose_provenance()))
    }

    fn lists(&mut self) -> Vec<ListHead> {
        Vec::new()
    }
}
