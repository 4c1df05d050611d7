//! Runs lab 4 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, Candidate, Memory};
use heapkit::referee::{Call, Fit};
use lab02::{Chunk, Header};
use lab03::CorruptedLink;
use lab04::{CoalescingHeap, Fragmentation, FreeChunks, coalesce, join, split};
use questions::Question;

candidate::main!(Lab04);

struct Lab04 {
    memory: Memory,
    heap: Option<CoalescingHeap>,
}

fn place(memory: Memory, chunk: &Chunk) -> usize {
    memory.offset_of(chunk.header().as_ptr())
}

/// A place for free chunks that touches no memory: it notes what is taken out and put in.
struct Shelf {
    memory: Memory,
    /// The chunks that can't be taken out.
    damaged: Vec<usize>,
    removed: Vec<usize>,
    put: Vec<usize>,
}

// SAFETY: `take` hands out nothing.
unsafe impl FreeChunks for Shelf {
    unsafe fn put(&mut self, chunk: Chunk) {
        self.put.push(place(self.memory, &chunk));
    }

    fn take(&mut self, _: usize) -> Option<Chunk> {
        None
    }

    unsafe fn remove(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        let at = place(self.memory, chunk);
        if self.damaged.contains(&at) {
            return Err(CorruptedLink);
        }
        self.removed.push(at);
        Ok(())
    }
}

impl Lab04 {
    /// The chunk whose header the examiner wrote at `at`.
    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: the examiner has written a header there, in a heap that stays.
        unsafe { Chunk::from_header(self.memory.at(at).cast::<Header>()) }
    }

    /// Where the block is that the call returned.
    fn call(&mut self, call: Call) -> Option<usize> {
        let heap = self.heap.as_mut()?;
        self.memory.carry_out(call, |call, old| match (call, old) {
            (Call::Malloc { request }, _) => heap.malloc(request),
            (Call::Free { .. }, Some(payload)) => {
                // SAFETY: the examiner frees blocks that it was given, once.
                unsafe { heap.free(payload) };
                None
            }
            _ => None,
        })
    }

    /// The word that leads to the list.
    fn heads(&self) -> Vec<usize> {
        self.heap.iter().map(|heap| heap.free_list().head().addr()).collect()
    }
}

impl Candidate for Lab04 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab04 { memory, heap: None }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Split { at, size } => {
                let mut chunk = self.chunk(at);
                // SAFETY: the examiner's chunk is in no list and at least that long, and it asks for chunk sizes.
                let rest = unsafe { split(&mut chunk, size) };
                Answer::say((rest.map(|rest| place(self.memory, &rest)), place(self.memory, &chunk)))
            }
            Question::Join { at, after } => {
                let mut chunk = self.chunk(at);
                // SAFETY: the examiner's chunks are neighbours in no list, and nobody uses their bytes.
                unsafe { join(&mut chunk, self.chunk(after)) };
                Answer::say(place(self.memory, &chunk))
            }
            Question::Coalesce { at, damaged, top } => {
                let mut shelf = Shelf { memory: self.memory, damaged, removed: Vec::new(), put: Vec::new() };
                let mut top = self.chunk(top);
                // SAFETY: the examiner's chunk is in use, and each free chunk of its heap but the top chunk is on the shelf.
                unsafe { coalesce(self.chunk(at), &mut shelf, &mut top) };
                Answer::say((shelf.removed, shelf.put, place(self.memory, &top)))
            }
            Question::NewHeap { len, fit } => {
                // SAFETY: the examiner has opened these whole pages, and uses them only through questions.
                self.heap = Some(unsafe { CoalescingHeap::new(self.memory.region(len), own(fit)) });
                Answer::done()
            }
            Question::Call { call } => {
                let payload = self.call(call);
                Answer::say((payload, self.heads()))
            }
            Question::Calls { calls } => {
                let payloads: Vec<Option<usize>> = calls.into_iter().map(|call| self.call(call)).collect();
                Answer::say((payloads, self.heads()))
            }
            Question::Fragmentation => {
                let seen = self.heap.as_ref().map(CoalescingHeap::fragmentation);
                let Some(Fragmentation { in_use, free, holes, largest, top }) = seen else { return Answer::done() };
                Answer::say(questions::Fragmentation { in_use, free, holes, largest, top })
            }
            Question::External { of } => Answer::say(theirs(of).external()),
            Question::Internal { of, requested } => Answer::say(theirs(of).internal(requested)),
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

/// The same.
fn theirs(of: questions::Fragmentation) -> Fragmentation {
    let questions::Fragmentation { in_use, free, holes, largest, top } = of;
    Fragmentation { in_use, free, holes, largest, top }
}
