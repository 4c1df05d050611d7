//! Heaps that the examiner lays out, and what it knows of them without reading them again.

use crate::questions::Question;
use candidate::wire::Words;
use heapkit::format::{NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Arena, PAGE};
use heapkit::workload::Rng;
use proctor::{Desk, Finding, System};
use std::rc::Rc;

/// A chunk in such a heap.
#[derive(Clone, Copy, Debug)]
pub struct Laid {
    /// Where it starts.
    pub at: usize,
    pub size: usize,
    pub is_free: bool,
}

/// A chunk to lay out: its size, its flags but for `PREV_INUSE`, and whether it is free.
pub type Plan = (usize, usize, bool);

/// Chunks side by side; the last one is the top chunk.
pub struct Bench<'a> {
    pub desk: &'a Desk,
    pub system: Rc<System>,
    pub chunks: Vec<Laid>,
}

impl<'a> Bench<'a> {
    /// Lays out these chunks and a top chunk, which reaches to the end of a page.
    pub fn new(desk: &'a Desk, plans: &[Plan]) -> Self {
        const SMALLEST_TOP: usize = 32;
        let used: usize = plans.iter().map(|(size, ..)| size).sum();
        let len = (used + SMALLEST_TOP).next_multiple_of(PAGE);
        let system = desk.heap(len);
        let mut rng = desk.rng();
        let (mut at, mut before, mut chunks, mut headers) = (0, None, Vec::new(), Vec::new());
        for &(size, flags, is_free) in plans.iter().chain([&(len - used, 0, false)]) {
            let free_before = before.filter(|chunk: &Laid| chunk.is_free);
            headers.push(match free_before {
                Some(free) => (at, free.size, size | flags),
                None => (at, payload(&mut rng, before.map_or(0, |chunk| chunk.size)), size | flags | PREV_INUSE),
            });
            let chunk = Laid { at, size, is_free };
            chunks.push(chunk);
            before = Some(chunk);
            at += size;
        }
        system.arena().set_headers(&headers);
        Bench { desk, system, chunks }
    }

    /// Chunks of these sizes, all in use.
    pub fn in_use(desk: &'a Desk, sizes: &[usize]) -> Self {
        Self::new(desk, &sizes.iter().map(|&size| (size, 0, false)).collect::<Vec<_>>())
    }

    /// A heap of `count` drawn chunks, `least` bytes long or up to `more` bytes longer.
    pub fn drawn(desk: &'a Desk, count: usize, least: usize, more: usize) -> Self {
        let mut rng = desk.rng();
        let mut plan = || {
            let size = least + 16 * rng.below(more / 16 + 1);
            (size, if rng.below(4) == 0 { NON_MAIN_ARENA } else { 0 }, rng.below(3) == 0)
        };
        let mut plans: Vec<Plan> = (0..count).map(|_| plan()).collect();
        // Two free chunks, so that every heap has some: one beside the top chunk, one in front of a chunk in use.
        if let [.., free, used, last] = plans.as_mut_slice() {
            (free.2, used.2, last.2) = (true, false, true);
        }
        Self::new(desk, &plans)
    }

    /// Tries heaps of all kinds: a small one first, then drawn ones, some whose chunks are pages apart, and some whose chunks are
    /// longer than 32 bits can count.
    pub fn each(desk: &'a Desk, try_one: impl Fn(&Bench<'a>)) {
        try_one(&Self::new(desk, &[(48, 0, false), (80, 0, true), (64, 0, false)]));
        for round in 0..8 {
            try_one(&Self::drawn(desk, 3 + round, 32, 480));
        }
        for _ in 0..2 {
            try_one(&Self::drawn(desk, 8, 3 * PAGE, 1 << 20));
        }
        try_one(&Self::drawn(desk, 5, (4 << 30) + 32, 1 << 30));
    }

    /// Each chunk and the next one, but for the top chunk, which has none.
    pub fn pairs(&self) -> impl Iterator<Item = (Laid, Laid)> {
        self.chunks.iter().copied().zip(self.chunks.iter().skip(1).copied())
    }

    /// Closes all pages but those with the headers of these chunks.
    pub fn opens_only(&self, chunks: &[Laid]) {
        self.desk.opens_only(&chunks.iter().map(|chunk| chunk.at..chunk.at + 32).collect::<Vec<_>>());
    }

    /// Asks, as a story of one step whose result is shown like this.
    pub fn ask<T: Words>(&self, question: &Question, show: impl FnOnce(&T) -> String) -> T {
        self.desk.new_story();
        self.desk.ask_and_show(question, show)
    }

    /// Ends the case unless the answer is this place.
    pub fn expect_place(&self, what: &str, expected: usize, question: &Question) {
        let seen: usize = self.ask(question, |seen| place(*seen));
        if seen != expected {
            let finding = Finding::new(format!("{question}: {what}"));
            self.desk.fail(
                finding.expected(place(expected), place(seen)).mark(expected, format!("here is {}", place(expected))),
            );
        }
    }
}

/// The last word of a payload: anything at all, also what looks like the size of a chunk.
fn payload(rng: &mut Rng, size_before: usize) -> usize {
    match rng.below(4) {
        0 => size_before,
        1 => 16 * (1 + rng.below(size_before / 16 + 1)),
        2 => 0,
        _ => rng.bits() as usize,
    }
}

/// A place as pictures show it, also one before the heap.
pub fn place(at: usize) -> String {
    match at.cast_signed() {
        before @ ..0 => format!("-{:#06x}", before.unsigned_abs()),
        _ => Offset(at).to_string(),
    }
}

/// The same, if there is one.
pub fn place_or_none(at: Option<usize>) -> String {
    at.map_or("None".to_owned(), |at| format!("Some({})", place(at)))
}
