//! Runs lab 3 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, Candidate, Memory};
use heapkit::referee::{Call, Fit};
use lab02::{Chunk, Header};
use lab03::{FreeList, ListHeap};
use questions::Question;

candidate::main!(Lab03);

struct Lab03 {
    memory: Memory,
    list: FreeList,
    heap: Option<ListHeap>,
}

impl Lab03 {
    /// The chunk whose header the examiner wrote at `at`.
    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: the examiner has written a header there, in a heap that stays.
        unsafe { Chunk::from_header(self.memory.at(at).cast::<Header>()) }
    }

    fn place(&self, chunk: &Chunk) -> usize {
        self.memory.offset_of(chunk.header().as_ptr())
    }

    fn head(&self) -> usize {
        self.list.head().addr()
    }
}

impl Candidate for Lab03 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab03 { memory, list: FreeList::new(), heap: None }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::NewList => {
                self.list = FreeList::new();
                Answer::done()
            }
            Question::Push { at } => {
                let chunk = self.chunk(at);
                // SAFETY: the examiner pushes free chunks that are in no list, and leaves their links alone.
                unsafe { self.list.push(chunk) };
                Answer::say(self.head())
            }
            Question::PushAll { chunks } => {
                for at in chunks {
                    let chunk = self.chunk(at);
                    // SAFETY: the same for each of them.
                    unsafe { self.list.push(chunk) };
                }
                Answer::say(self.head())
            }
            Question::Pop => {
                let popped = self.list.pop().map(|chunk| self.place(&chunk));
                Answer::say((popped, self.head()))
            }
            Question::Unlink { at } => {
                let chunk = self.chunk(at);
                // SAFETY: the chunk was pushed, and every link that the examiner writes can be read as a header.
                let unlinked = unsafe { self.list.unlink(&chunk) }.is_ok();
                Answer::say((unlinked, self.head()))
            }
            Question::Find { fit, size } => Answer::say(self.list.find(own(fit), size).map(|chunk| self.place(&chunk))),
            Question::Iter { most } => {
                Answer::say(self.list.iter().take(most).map(|chunk| self.place(&chunk)).collect::<Vec<usize>>())
            }
            Question::NewHeap { len, fit } => {
                // SAFETY: the examiner has opened these whole pages, and uses them only through questions.
                self.heap = Some(unsafe { ListHeap::new(self.memory.region(len), own(fit)) });
                Answer::done()
            }
            Question::Call { call } => {
                let Some(heap) = &mut self.heap else { return Answer::done() };
                let payload = self.memory.carry_out(call, |call, old| match (call, old) {
                    (Call::Malloc { request }, _) => heap.malloc(request),
                    (Call::Free { .. }, Some(payload)) => {
                        // SAFETY: the examiner frees blocks that it was given, once.
                        unsafe { heap.free(payload) };
                        None
                    }
                    _ => None,
                });
                Answer::say((payload, vec![heap.free_list().head().addr()]))
            }
        }
    }
}

/// The lab's word for it.
fn own(fit: Fit) -> lab03::Fit {
    match fit {
        Fit::First => lab03::Fit::First,
        Fit::Best => lab03::Fit::Best,
        Fit::Worst => lab03::Fit::Worst,
    }
}
