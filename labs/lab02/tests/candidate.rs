//! Runs lab 2 and answers questions. It knows no expectation.

mod questions;

use candidate::{Answer, Candidate, Memory};
use lab02::{Chunk, Defect, Header, SizeWord, request_to_chunk_size};
use questions::{Found, Question};
use std::ptr::NonNull;

candidate::main!(Lab02);

struct Lab02 {
    memory: Memory,
}

impl Lab02 {
    /// The chunk whose header the examiner wrote at `at`.
    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: the examiner has written a header there, in a heap that stays.
        unsafe { Chunk::from_header(self.memory.at(at).cast::<Header>()) }
    }

    fn place(&self, chunk: &Chunk) -> usize {
        self.memory.offset_of(chunk.header().as_ptr())
    }
}

impl Candidate for Lab02 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab02 { memory }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::ChunkSize { request } => Answer::say(request_to_chunk_size(request)),
            Question::NewWord { size, flags } => Answer::say(bits(SizeWord::new(size, flags))),
            Question::SizeIn { word } => Answer::say(size_word(word).size()),
            Question::Has { word, flags } => Answer::say(size_word(word).has(flags)),
            Question::WithSize { word, size } => Answer::say(bits(size_word(word).with_size(size))),
            Question::WithPrevInUse { word, in_use } => Answer::say(bits(size_word(word).with_prev_in_use(in_use))),
            Question::Payload { at } => Answer::say(self.memory.offset_of(self.chunk(at).payload().as_ptr())),
            Question::FromPayload { payload } => {
                // SAFETY: the examiner has written a header 16 bytes before it.
                let chunk = unsafe { Chunk::from_payload(self.memory.at(payload)) };
                Answer::say(self.place(&chunk))
            }
            Question::SizeWord { at } => Answer::say(bits(self.chunk(at).size_word())),
            Question::Size { at } => Answer::say(self.chunk(at).size()),
            Question::UsableSize { at } => Answer::say(self.chunk(at).usable_size()),
            Question::Next { at } => {
                // SAFETY: the examiner asks this of chunks that have a next one.
                let next = unsafe { self.chunk(at).next() };
                Answer::say(self.place(&next))
            }
            Question::Prev { at } => {
                // SAFETY: where the chunk's P is clear, the examiner has written the tag.
                let prev = unsafe { self.chunk(at).prev() };
                Answer::say(prev.map(|chunk| self.place(&chunk)))
            }
            Question::IsInUse { at } => {
                // SAFETY: the examiner asks this of chunks that have a next one.
                Answer::say(unsafe { self.chunk(at).is_in_use() })
            }
            Question::MarkInUse { at } => {
                // SAFETY: the examiner marks chunks that have a next one.
                unsafe { self.chunk(at).mark_in_use() };
                Answer::done()
            }
            Question::MarkFree { at } => {
                // SAFETY: the same, and no program uses the payload.
                unsafe { self.chunk(at).mark_free() };
                Answer::done()
            }
            Question::Walk { len, most } => {
                // SAFETY: the examiner asks for walks through well-formed heaps.
                let chunks = unsafe { lab02::walk(self.memory.region(len)) };
                let places = chunks.take(most).map(|chunk| (self.place(&chunk), chunk.size()));
                Answer::say(places.collect::<Vec<_>>())
            }
            Question::Check { start, len } => {
                let heap = NonNull::slice_from_raw_parts(self.memory.at(start), len);
                // SAFETY: these bytes are open, start at a multiple of 16, and are a multiple of 16 long, but not 0.
                Answer::say(unsafe { lab02::check(heap) }.err().map(found))
            }
        }
    }
}

/// The lab's word for these 64 bits.
fn size_word(bits: usize) -> SizeWord {
    // SAFETY: `SizeWord` is `repr(transparent)` over a usize, and no value of it is invalid.
    unsafe { std::mem::transmute(bits) }
}

/// The word itself, without asking the learner's functions.
fn bits(word: SizeWord) -> usize {
    // SAFETY: as in `size_word`.
    unsafe { std::mem::transmute(word) }
}

/// The exam's word for it.
fn found(defect: Defect) -> Found {
    match defect {
        Defect::SizeTooSmall { at, size } => Found::SizeTooSmall { at, size },
        Defect::SizeNotAligned { at, size } => Found::SizeNotAligned { at, size },
        Defect::PastTheEnd { at, size } => Found::PastTheEnd { at, size },
        Defect::NothingBefore => Found::NothingBefore,
        Defect::WrongBoundaryTag { at, prev_size, size } => Found::WrongBoundaryTag { at, prev_size, size },
    }
}
