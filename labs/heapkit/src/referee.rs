//! Plays a workload on an allocator and checks the heap after every step.
//!
//! The referee knows what a `malloc` promises: a request is served by a chunk of the free list, chosen by the fit, or
//! else cut from the top chunk; a freed chunk goes to the head of the list. If it [splits](Promise::splits), what a chunk
//! has too much goes to the head of the list; if it [coalesces](Promise::coalesces), a freed chunk first joins its free
//! neighbours, and the top chunk swallows what borders on it. The referee looks at the raw heap through
//! [`crate::image`], so that no mistake of the allocator can hide behind the allocator.

pub mod payloads;
mod script;
pub mod whole;

use crate::draw::{Mark, size_word_in_words};
use crate::format::{MIN_CHUNK, PAYLOAD, SIZE_WORD, chunk_size};
use crate::image::{Block, Defect, Image, Link, List, Offset, Raw, State};
use crate::journal::Journal;
use crate::memory::Heap;
use crate::workload::{Op, name};
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// What the referee plays on.
pub trait Allocator {
    /// `size` bytes, or `None` where there are none.
    fn malloc(&mut self, size: usize) -> Option<NonNull<u8>>;

    /// Gives a block back.
    ///
    /// # Safety
    /// `payload` comes from [`Allocator::malloc`] and has not been freed since.
    unsafe fn free(&mut self, payload: NonNull<u8>);

    /// The address of the free list's first chunk, 0 for an empty list.
    fn list_head(&self) -> usize;
}

/// Which chunk of the list serves a request. Ties go to the chunk that stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The first that is large enough.
    First,
    /// The smallest that is large enough.
    Best,
    /// The largest.
    Worst,
}

impl Fit {
    /// The chunk that serves a request, among those large enough, in list order.
    pub fn choose<'a>(self, candidates: &[&'a Block]) -> Option<&'a Block> {
        let mut candidates = candidates.iter().copied();
        match self {
            Fit::First => candidates.next(),
            Fit::Best => candidates.min_by_key(|block| block.size),
            // `max_by_key` keeps the last of equals, the list the first.
            Fit::Worst => candidates.reduce(|best, block| if block.size > best.size { block } else { best }),
        }
    }
}

/// What an allocator promises, beyond being a `malloc` at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How it chooses.
    pub fit: Fit,
    /// A chunk from the list is cut to the size of the request, if what is left is a chunk.
    pub splits: bool,
    /// No two neighbours are free.
    pub coalesces: bool,
}

impl From<Fit> for Promise {
    /// A list-only `malloc`: chunks are used whole and stay apart.
    fn from(fit: Fit) -> Self {
        Promise { fit, splits: false, coalesces: false }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong, in one sentence.
    pub what: String,
    /// What should have come out, and what did, where that says more than the sentence.
    pub expected_and_seen: Option<(String, String)>,
    /// Notes to places in the heap.
    pub marks: Vec<Mark>,
    /// Whether the heap *before* the step tells more than the heap after it.
    pub look_before: bool,
}

impl Violation {
    fn new(what: impl Into<String>) -> Self {
        Violation { what: what.into(), expected_and_seen: None, marks: Vec::new(), look_before: false }
    }

    fn mark(mut self, at: usize, note: impl Into<String>) -> Self {
        self.marks.push(Mark { at, note: note.into() });
        self
    }

    fn expected(mut self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        self.expected_and_seen = Some((expected.into(), seen.into()));
        self
    }

    fn look_before(mut self) -> Self {
        self.look_before = true;
        self
    }
}

/// A block the program holds.
struct Live {
    payload: NonNull<u8>,
    at: usize,
    request: usize,
}

/// Watches one allocator over one heap.
pub struct Referee<'a> {
    heap: Heap,
    allocator: &'a mut dyn Allocator,
    promise: Promise,
    journal: &'a Journal,
    live: BTreeMap<usize, Live>,
}

impl<'a> Referee<'a> {
    /// What it watches over.
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// Watches `allocator`, which manages all of `heap` and keeps `promise`; steps go to `journal`.
    pub fn new(heap: Heap, allocator: &'a mut dyn Allocator, promise: Promise, journal: &'a Journal) -> Self {
        Referee { heap, allocator, promise, journal, live: BTreeMap::new() }
    }

    /// The heap as it is now, with the allocator's list.
    pub fn image(&self) -> Image {
        let bytes = self.heap.bytes();
        let raw = Raw::new(self.heap.start().addr().get(), &bytes);
        Image::decode(&raw, Some(self.allocator.list_head()))
    }

    /// The payload of the block `id`, if it is alive.
    pub fn payload(&self, id: usize) -> Option<NonNull<u8>> {
        self.live.get(&id).map(|live| live.payload)
    }

    /// Takes one step.
    ///
    /// # Errors
    /// The first promise that it broke.
    pub fn play(&mut self, op: Op) -> Result<(), Violation> {
        let head_before = self.allocator.list_head();
        self.journal.list_starts_at(head_before);
        let before = self.image();
        let result = match op {
            Op::Malloc { id, size } => self.malloc(&before, id, size),
            Op::Free { id } => self.free(&before, id),
            // A workload for an allocator that does more.
            other => Err(Violation::new(format!("This allocator has no operation `{other}`."))),
        };
        // The head that belongs to the heap that will be shown.
        let shown_before = result.as_ref().is_err_and(|violation| violation.look_before);
        self.journal.list_starts_at(if shown_before { head_before } else { self.allocator.list_head() });
        result
    }

    fn malloc(&mut self, before: &Image, id: usize, request: usize) -> Result<(), Violation> {
        let need = chunk_size(request);
        let chosen = need.and_then(|need| self.promise.fit.choose(&before.candidates(need)));
        let from_top = need.and_then(|need| before.top().filter(|top| top.size >= need + MIN_CHUNK));
        let expected = chosen.or(from_top).map(Block::payload);

        self.journal.begin(&format!("{} = malloc({})", name(id), crate::draw::bytes(request)));
        let payload = self.allocator.malloc(request);
        let seen = payload.map(|payload| self.heap.offset_of(payload.as_ptr()));
        self.journal.end(&seen.map_or("null".into(), place));

        let Some((payload, seen)) = payload.zip(seen) else {
            let Some(expected) = expected else {
                return self.check(before.list_order(), before);
            };
            return Err(Violation::new("malloc gives up, but the heap can serve the request.")
                .expected(self.why(before, chosen, expected, need), "null")
                .mark(expected - PAYLOAD, "large enough")
                .look_before());
        };
        let at = usize::try_from(seen)
            .ok()
            .filter(|at| at.checked_add(request).is_some_and(|end| end <= self.heap.len()))
            .ok_or_else(|| {
                Violation::new("malloc returns bytes outside the heap.").expected(
                    expected.map_or("null: nothing is large enough".into(), |at| Offset(at).to_string()),
                    format!("{} for {request} bytes; the heap ends at {}", place(seen), Offset(self.heap.len())),
                )
            })?;
        if !payload.addr().get().is_multiple_of(crate::format::ALIGNMENT) {
            return Err(Violation::new("malloc returns an address that is no multiple of 16.")
                .expected("a multiple of 16", Offset(at).to_string()));
        }
        if let Some((other, live)) =
            self.live.iter().find(|(_, live)| at < live.at + live.request.max(1) && live.at < at + request.max(1))
        {
            let other = name(*other);
            return Err(Violation::new(format!("malloc returns bytes that still belong to {other}."))
                .expected(
                    expected.map_or("null: nothing is large enough".into(), |at| self.why(before, chosen, at, need)),
                    format!("{}, inside or around {other}'s {} bytes at {}", Offset(at), live.request, Offset(live.at)),
                )
                .mark(live.at, format!("{other} is still in use"))
                .look_before());
        }
        if expected != Some(at) {
            let expected_text =
                expected.map_or("null: nothing is large enough".into(), |at| self.why(before, chosen, at, need));
            let what = if expected == Some(at + PAYLOAD) {
                "malloc returns where the chunk's header stands. The payload starts 16 bytes on."
            } else {
                "malloc returns another chunk than the rule says."
            };
            let mut violation = Violation::new(what).expected(expected_text, Offset(at).to_string());
            if let Some(expected) = expected {
                violation = violation.mark(expected - PAYLOAD, "this one serves the request");
            }
            return Err(violation.look_before());
        }
        self.live.insert(id, Live { payload, at, request });
        self.fill(id);
        let rest = chosen.zip(need).map(|(block, need)| (block.at + need, block.size - need));
        let rest = rest.filter(|(_, size)| self.promise.splits && *size >= MIN_CHUNK).map(|(rest, _)| rest);
        let others = before.list_order().iter().copied().filter(|&chunk| chunk + PAYLOAD != at);
        let list: Vec<usize> = rest.into_iter().chain(others).collect();
        self.check(&list, before)
    }

    fn free(&mut self, before: &Image, id: usize) -> Result<(), Violation> {
        let Some(live) = self.live.remove(&id) else {
            return Ok(());
        };
        self.journal.begin(&format!("free({})", name(id)));
        // SAFETY: the payload came from `malloc`, and `live` held it, so it has not been freed since.
        unsafe { self.allocator.free(live.payload) };
        self.journal.end("");
        let (joined, gone) = self.joined(before, live.at - PAYLOAD);
        let others = before.list_order().iter().copied().filter(|chunk| !gone.contains(chunk));
        let list: Vec<usize> = joined.into_iter().chain(others).collect();
        self.check(&list, before)
    }

    /// Where the chunk starts that `freed` becomes a part of (`None`: the top chunk), and which chunks leave the list.
    fn joined(&self, before: &Image, freed: usize) -> (Option<usize>, Vec<usize>) {
        if !self.promise.coalesces {
            return (Some(freed), Vec::new());
        }
        let Some(index) = before.blocks.iter().position(|block| block.at == freed) else {
            return (Some(freed), Vec::new());
        };
        let previous =
            index.checked_sub(1).map(|index| &before.blocks[index]).filter(|block| block.state == State::Free);
        let next = before.blocks.get(index + 1);
        let gone =
            previous.into_iter().chain(next.filter(|block| block.state == State::Free)).map(|block| block.at).collect();
        let borders_top = next.is_some_and(|block| block.state == State::Top);
        let start = previous.map_or(freed, |block| block.at);
        ((!borders_top).then_some(start), gone)
    }

    /// Why the chunk with this payload is the one.
    fn why(&self, before: &Image, chosen: Option<&Block>, payload: usize, need: Option<usize>) -> String {
        let (at, need) = (Offset(payload), need.unwrap_or(0));
        match (chosen, self.promise.fit) {
            (None, _) if before.free().next().is_some() => {
                format!("{at}, from the top chunk: no free chunk has the {need} bytes it takes")
            }
            (None, _) => format!("{at}, from the top chunk: the list is empty"),
            (Some(block), Fit::First) => {
                format!("{at}, the first in the list with at least {need} bytes ({})", block.size)
            }
            (Some(block), Fit::Best) => format!("{at}, the smallest with at least {need} bytes ({})", block.size),
            (Some(block), Fit::Worst) => format!("{at}, the largest ({})", block.size),
        }
    }

    /// Checks everything that holds between two steps; `list` is what the free list should be.
    fn check(&self, list: &[usize], before: &Image) -> Result<(), Violation> {
        let image = self.image();
        if let Some(defect) = image.defects.first() {
            return Err(self.unreadable(defect, before));
        }
        let bytes = self.heap.bytes();
        for (id, live) in &self.live {
            self.check_live(&image, &bytes, *id, live)?;
        }
        let Some(seen) = &image.list else {
            return Ok(());
        };
        if let Some(defect) = seen.defects(&image).first() {
            return Err(Violation::new("The free list and the heap disagree.").mark(defect.at, defect.what.clone()));
        }
        if seen.chunks != list {
            let show = |chunks: &[usize]| {
                let list = List { chunks: chunks.to_vec(), last: Link::End };
                crate::draw::list(&list)
            };
            return Err(Violation::new("The free list has another order than the rule says.")
                .expected(show(list), show(&seen.chunks)));
        }
        Ok(())
    }

    /// The heap can't be walked to its end any more, or its words contradict each other.
    fn unreadable(&self, defect: &Defect, before: &Image) -> Violation {
        let violation = Violation::new("The heap no longer makes sense from its first chunk to the top chunk.");
        // The picture shows the defect itself. What else is known about that word?
        if let Some(block) = before.blocks.iter().find(|block| block.at + SIZE_WORD == defect.at) {
            let (was, is) = (block.size | block.flags, self.heap.word(defect.at));
            return violation.expected(
                format!("a size word that makes sense at {}; before this step it was {was:#06x}", Offset(defect.at)),
                size_word_in_words(is),
            );
        }
        let written_past = self.live.iter().find(|(_, live)| {
            let end = live.at + live.request;
            (end..end + MIN_CHUNK).contains(&defect.at)
        });
        match written_past {
            Some((id, live)) => {
                let (name, end) = (name(*id), Offset(live.at + live.request));
                let note = format!("{name}'s {} bytes end at {end}: did something write past them?", live.request);
                violation.mark(live.at, note)
            }
            None => violation,
        }
    }

    fn check_live(&self, image: &Image, bytes: &[u8], id: usize, live: &Live) -> Result<(), Violation> {
        let name = name(id);
        let chunk_at = live.at - PAYLOAD;
        let Some(block) = image.block(chunk_at) else {
            return Err(Violation::new(format!("{name} is in use, but no chunk starts in front of its bytes."))
                .mark(live.at, format!("the {} bytes of {name} start here", live.request)));
        };
        if block.state != State::Used {
            let what = if block.state == State::Top { "is part of the top chunk" } else { "is marked free" };
            return Err(Violation::new(format!("{name} is in use, but its chunk {what}.")).mark(
                block.end().min(self.heap.len() - 1),
                format!("P is 0 here: it says that {name}'s chunk is free"),
            ));
        }
        if Some(block.size) < chunk_size(live.request) {
            return Err(Violation::new(format!("{name}'s chunk is too small for its {} bytes.", live.request))
                .expected(
                    format!("a chunk of {} bytes or more", chunk_size(live.request).unwrap_or(0)),
                    format!("{} bytes", block.size),
                ));
        }
        let payload = &bytes[live.at..live.at + live.request];
        if let Some(i) = payload.iter().enumerate().position(|(i, &byte)| byte != pattern(id, i)) {
            return Err(Violation::new(format!("The bytes of {name} changed while the program held them."))
                .expected(
                    format!("{:#04x} at {}, as the program wrote it", pattern(id, i), Offset(live.at + i)),
                    format!("{:#04x}", payload[i]),
                )
                .mark(live.at, format!("byte {i} of {name} was overwritten")));
        }
        Ok(())
    }

    /// Writes the block's pattern over all its bytes, as a program would use them.
    fn fill(&self, id: usize) {
        let live = &self.live[&id];
        for i in 0..live.request {
            // SAFETY: `malloc` checked that these bytes are inside the heap and nobody else's.
            unsafe { live.payload.add(i).write(pattern(id, i)) };
        }
    }
}

impl Image {
    /// The chunks of the free list, first to last.
    pub fn list_order(&self) -> &[usize] {
        self.list.as_ref().map_or(&[], |list| &list.chunks)
    }
}

/// The byte that the program keeps at index `i` of the block `id`.
fn pattern(id: usize, i: usize) -> u8 {
    (id.wrapping_mul(31) ^ i.wrapping_mul(7) ^ 0x5a) as u8
}

/// A place relative to the heap, also outside it.
fn place(offset: isize) -> String {
    match usize::try_from(offset) {
        Ok(offset) => Offset(offset).to_string(),
        Err(_) => format!("{:#x} bytes before the heap", offset.unsigned_abs()),
    }
}
