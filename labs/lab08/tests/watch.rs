//! Watches threads that share a malloc: after each step, which words of memory have changed, and who may change them.
//!
//! It knows nothing of the malloc's locks but what the examiner has seen: the flags that a thread has set. Words of an arena may change
//! only while some flag is set by the thread that changes them, the same flag each time; and a thread has to know of the changes
//! before its own.

use crate::oracle::Caches;
use crate::questions::Question;
use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA, SIZE_WORD};
use heapkit::image::{Image, Offset, Raw, State};
use heapkit::memory::{ARENA, Arena, HEAP_ROOM};
use heapkit::os::Refusal;
use heapkit::referee::{Call, pattern};
use heapkit::snapshot::Snapshot;
use heapkit::workload::{self, Op};
use proctor::{Desk, Finding, Moment, Next, Plan, Step, System, Threads};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// How many arenas the page says there are, and how long a region is.
pub const ARENAS: usize = 8;
pub const REGION: usize = 4 << 20;

/// What one thread does: an operation on a block that all know by its number.
pub type Job = (usize, Op);

/// What comes of a call: what was found, and where the block is.
pub type Outcome = (String, Option<usize>);

/// `1m0:100 2f0`: thread 1 calls malloc, and then thread 2 frees the block.
pub fn jobs(text: &str) -> Vec<Job> {
    let job = |word: &str| {
        let (thread, op) = word.split_at(1);
        (thread.parse().expect("a thread"), op.parse::<Op>().expect("an operation"))
    };
    text.split_whitespace().map(job).collect()
}

/// A block that the program has.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub at: usize,
    pub request: usize,
    /// The bytes after its address that are the program's alone.
    pub usable: usize,
}

impl Block {
    fn bytes(&self) -> Range<usize> {
        self.at..self.at + self.usable
    }
}

/// Who has changed words of an arena.
#[derive(Default)]
struct Changes {
    /// The flags that were set by the thread each time.
    flags: Option<Vec<usize>>,
    last: Option<Moment>,
}

/// The threads, and all that is known of their blocks.
pub struct Watch<'a> {
    pub desk: &'a Desk,
    pub system: Rc<System>,
    pub threads: Threads<'a>,
    pub blocks: BTreeMap<usize, Block>,
    pub caches: Caches,
    /// The arena of each thread, once it is known.
    pub arenas: Vec<Option<usize>>,
    /// Whether the system refuses something, so that a request may fail or be served by the main arena.
    pub may_fail: bool,
    seen: Snapshot,
    changes: BTreeMap<usize, Changes>,
    /// Words that a thread has changed in its present job while it had no flag.
    loose: Vec<Vec<usize>>,
    /// The job of each thread.
    doing: Vec<Option<Op>>,
    /// Steps of the present job of each thread that were about flags.
    flag_steps: Vec<usize>,
}

impl<'a> Watch<'a> {
    /// A new malloc, and so many threads.
    pub fn new(desk: &'a Desk, threads: usize) -> Self {
        Self::with_refusal(desk, threads, Refusal::Nothing)
    }

    /// The same, on a system that refuses something.
    pub fn with_refusal(desk: &'a Desk, threads: usize, refusal: Refusal) -> Self {
        let system = desk.os(HEAP_ROOM);
        system.refuse(refusal);
        let () = desk.put(&Question::Threads { count: 9 });
        let () = desk.put(&Question::NewMalloc);
        desk.new_story();
        let seen = system.arena().snapshot(0..ARENA);
        Watch {
            desk,
            threads: Threads::new(desk, threads),
            blocks: BTreeMap::new(),
            caches: Caches::new(threads),
            arenas: vec![None; threads + 1],
            may_fail: refusal != Refusal::Nothing,
            seen,
            system,
            changes: BTreeMap::new(),
            loose: vec![Vec::new(); threads + 1],
            doing: vec![None; threads + 1],
            flag_steps: vec![0; threads + 1],
        }
    }

    /// Does these jobs, each thread its own in their order, and no job before the block that it is about is there.
    pub fn play(&mut self, jobs: &[Job], plan: &mut Plan) {
        let mut left: Vec<Job> = jobs.to_vec();
        loop {
            for thread in 1..self.doing.len() {
                if self.threads.rests(thread) && self.doing[thread].is_none() {
                    self.next_job(thread, &mut left);
                }
            }
            let Some(thread) = self.threads.choose(plan) else { break };
            self.step(thread);
        }
        self.expect_heaps_in_order();
    }

    /// The main heap and each region can be read from end to end, and each block of the program is a chunk in use there.
    fn expect_heaps_in_order(&self) {
        let arena = self.system.arena();
        let mut heaps = vec![(0, self.desk.image())];
        for (_, mapping) in self.system.mappings().into_iter().filter(|(_, mapping)| mapping.len == 2 * REGION) {
            let region = region_of(&self.system, mapping.start + REGION - 1);
            let start = region + 16;
            let mut end = start;
            while end < region + REGION - SIZE_WORD && arena.word(end + SIZE_WORD) & !7 != 0 {
                end = end.saturating_add(arena.word(end + SIZE_WORD) & !7);
            }
            let end = end.min(region + REGION);
            let bytes = Snapshot::new(arena.base() + start, 0, arena.snapshot(start..end).bytes(start..end));
            heaps.push((start, Image::decode(&Raw::new(&bytes), &[])));
        }
        for (start, image) in &heaps {
            if let Some(defect) = image.defects.first() {
                let finding = Finding::new(format!("A heap can't be read from end to end: {}.", defect.what));
                self.desk.fail(finding.expected("a chunk after the other", self.in_words(start + defect.at)));
            }
        }
        for (id, block) in &self.blocks {
            let heap = heaps.iter().rev().find(|(start, _)| *start <= block.at);
            let is_mapped = self.arena_at(block.at).is_none();
            let chunk = heap.and_then(|(start, image)| image.block((block.at - start).checked_sub(16)?));
            if !is_mapped && !chunk.is_some_and(|chunk| chunk.state == State::Used) {
                let name = workload::name(*id);
                self.fail(format!("{name} is in use, but no chunk in use starts in front of its bytes."), block.at);
            }
        }
    }

    /// Does one job, while all other threads stand still.
    pub fn now(&mut self, thread: usize, op: Op) {
        self.begin(thread, op);
        while self.doing[thread].is_some() {
            self.step(thread);
        }
    }

    fn next_job(&mut self, thread: usize, left: &mut Vec<Job>) {
        let Some(at) = left.iter().position(|job| job.0 == thread) else { return };
        let op = left[at].1;
        let is_of = |other: &Option<Op>| other.is_some_and(|other| other.id() == op.id());
        // Somebody has still to do something with the same block.
        if left[..at].iter().any(|job| job.1.id() == op.id()) || self.doing.iter().any(is_of) {
            return;
        }
        left.remove(at);
        // A shorter story may have lost the block.
        let is_there = op.id().is_some_and(|id| self.blocks.contains_key(&id));
        let makes = matches!(op, Op::Malloc { .. } | Op::Calloc { .. } | Op::Aligned { .. });
        if is_there != makes {
            self.begin(thread, op);
        } else {
            self.next_job(thread, left);
        }
    }

    /// A thread is about to do a job.
    pub fn begin(&mut self, thread: usize, op: Op) {
        let Some((_, call)) = Call::of(op, |id| self.blocks.get(&id).map(|block| block.at)) else { return };
        self.threads.begin_as(thread, &Question::Call { call }, &op.in_words());
        self.doing[thread] = Some(op);
        self.flag_steps[thread] = 0;
        self.loose[thread].clear();
    }

    /// Lets a thread do one step, and looks at what it has done.
    pub fn step(&mut self, thread: usize) -> Step {
        let (end, mappings) = (self.system.end(), self.system.mappings());
        let step = self.threads.step(thread);
        self.flag_steps[thread] += usize::from(step.did.flag().is_some());
        if let Some(misuse) = self.system.misuse() {
            self.desk.fail(Finding::new(misuse));
        }
        let now = self.system.arena().snapshot(0..ARENA);
        let before = std::mem::replace(&mut self.seen, now);
        let (end, after) = (end.min(self.system.end()), self.system.mappings());
        let was_there =
            |at: usize| at < end || mappings.iter().any(|known| known.1.range().contains(&at) && after.contains(known));
        // What was discarded is nobody's any more.
        let words: Vec<usize> = if matches!(step.did, Next::System(..)) && before.end() > 0 {
            Vec::new()
        } else {
            let mut words: Vec<usize> = before
                .differences(&self.seen)
                .filter(|at| was_there(*at))
                .map(|at| at / SIZE_WORD * SIZE_WORD)
                .collect();
            words.dedup();
            words
        };
        for word in words {
            self.changed(thread, word);
        }
        if self.threads.rests(thread)
            && let Some(op) = self.doing[thread].take()
        {
            self.done(thread, op);
            self.look_again();
        }
        step
    }

    /// What has happened that was not watched: from here on it is.
    pub fn look_again(&mut self) {
        self.seen = self.system.arena().snapshot(0..ARENA);
    }

    /// A thread has changed a word that was there before.
    fn changed(&mut self, thread: usize, at: usize) {
        let job = self.doing[thread].and_then(|op| op.id());
        if let Some((id, _)) = self.blocks.iter().find(|(_, block)| block.bytes().contains(&at)) {
            if Some(*id) == job {
                return;
            }
            let name = workload::name(*id);
            self.fail(format!("Thread {thread} changes the bytes of {name}, which the program still uses."), at);
        }
        if let Some(owner) = self.caches.owner_of(at, |payload| self.usable(payload)) {
            if owner == thread {
                return;
            }
            self.fail(format!("Thread {thread} changes a block that is in the cache of thread {owner}."), at);
        }
        let Some(arena) = self.arena_at(at) else { return };
        let flags = self.threads.held_by(thread);
        if flags.is_empty() {
            // It may be a block that the thread has been given, and is about to return.
            self.loose[thread].push(at);
            return;
        }
        let now = self.threads.now(thread);
        let changes = self.changes.entry(arena).or_default();
        let known = changes.flags.get_or_insert_with(|| flags.clone());
        known.retain(|flag| flags.contains(flag));
        let is_locked = !known.is_empty();
        let last = changes.last.replace(now);
        if !is_locked {
            let what = format!(
                "Thread {thread} changes memory of arena {arena}, and no flag is set that was set each time this memory changed before."
            );
            self.fail(what, at);
        }
        if let Some(last) = last.filter(|last| !self.threads.knows(thread, *last)) {
            let what = format!(
                "Thread {thread} changes memory of arena {arena} and need not see what thread {} has written there before: no Release \
                 and Acquire lead from one to the other.",
                last.thread
            );
            self.fail(what, at);
        }
    }

    /// A thread has come back from a job.
    fn done(&mut self, thread: usize, op: Op) {
        let (found, at): Outcome = self.threads.answer(thread);
        if let Some(flag) = self.threads.held_by(thread).first() {
            let what = format!("Thread {thread} is back from {}, and flag {flag} is still set.", op.in_words());
            self.desk.fail(Finding::new(what));
        }
        if !found.is_empty() {
            self.desk.fail(Finding::new(format!("The heap is in order, but `report` is told {found}.")));
        }
        let id = op.id().unwrap_or_default();
        let old = self.blocks.get(&id).copied();
        match (op, at) {
            (Op::Free { .. }, _) => {
                if let Some(block) = self.blocks.remove(&id) {
                    self.caches.free(thread, block.at, block.usable + SIZE_WORD);
                }
            }
            (_, Some(at)) => {
                self.threads.show(thread, self.in_words(at));
                self.made(thread, op, id, at, old);
            }
            (_, None) if self.may_fail => self.threads.show(thread, "None".into()),
            (_, None) => {
                self.threads.show(thread, "None".into());
                self.desk.fail(Finding::new("There is no block, although the system has memory."));
            }
        }
        let mine = self.blocks.get(&id).copied();
        let loose = std::mem::take(&mut self.loose[thread]);
        let known = [mine, old];
        if let Some(at) = loose.into_iter().find(|at| !known.iter().flatten().any(|block| block.bytes().contains(at))) {
            let arena = self.arena_at(at).unwrap_or_default();
            self.fail(format!("Thread {thread} changes memory of arena {arena} while it has set no flag at all."), at);
        }
    }

    /// Checks a block that a thread was given.
    fn made(&mut self, thread: usize, op: Op, id: usize, at: usize, old: Option<Block>) {
        let (request, align) = match op {
            Op::Malloc { size, .. } | Op::Calloc { size, .. } | Op::Realloc { size, .. } => (size, 16),
            Op::Aligned { size, align, .. } => (size, align.max(16)),
            Op::Free { .. } | Op::Foreign { .. } => (0, 16),
        };
        let name = workload::name(id);
        let address = self.system.arena().base().wrapping_add(at);
        self.desk.expect(format!("{name} starts at a multiple of {align}."), 0, address % align);
        let end = at.saturating_add(request.max(1));
        let is_granted = at >= 16 && end <= self.system.end()
            || self.system.mapping_of(at).is_some_and(|(_, it)| end <= it.range().end);
        if !is_granted {
            self.desk.fail(Finding::new(format!("{name} is in memory that the system has not granted.")));
        }
        let overlaps = |other: &Block| at < other.at + other.request.max(1) && other.at < end;
        if let Some((other, _)) = self.blocks.iter().find(|(other, block)| **other != id && overlaps(block)) {
            let other = workload::name(*other);
            self.desk.fail(Finding::new(format!("{name} has bytes that still belong to {other}.")).mark(at, name));
        }
        let size = self.size_word(at) & !7;
        let is_cached = self.cached(thread, op, at);
        let usable = self.usable(at);
        if usable < request {
            let what = format!("{name}'s chunk is too small for its {request} bytes.");
            self.desk.fail(Finding::new(what).expected(format!("{} bytes or more", request + 8), size.to_string()));
        }
        let arena = self.labelled(&name, at);
        let before = old.and_then(|old| self.arena_at(old.at));
        if let Some(arena) = arena.filter(|_| !is_cached && !self.may_fail) {
            let wanted = before.unwrap_or_else(|| *self.arenas[thread].get_or_insert(arena));
            self.desk.expect(format!("The arena that serves thread {thread}."), wanted, arena);
        }
        let arena = self.system.arena();
        let read = |i: usize, into: &mut [u8]| arena.read(at + i, into);
        if matches!(op, Op::Calloc { .. })
            && let Some((i, seen)) = pattern::first_not_zero(request, read)
        {
            let finding = Finding::new("calloc returns bytes that are not zero.");
            self.desk.fail(finding.expected("0 everywhere", format!("{seen:#04x} at byte {i}")));
        }
        if let Some(old) = old
            && pattern::first_changed(id, old.request, old.request.min(request), read).is_some()
        {
            self.desk.fail(Finding::new(format!("realloc loses the bytes of {name}.")));
        }
        pattern::fill(id, request, |i, bytes| arena.write(at + i, bytes));
        self.blocks.insert(id, Block { at, request, usable });
    }

    /// What a cache has for this request has to come from there, the newest first, and nothing that is in a cache comes from elsewhere.
    fn cached(&mut self, thread: usize, op: Op, at: usize) -> bool {
        let wanted = match op {
            Op::Malloc { size, .. } | Op::Calloc { size, .. } => self.caches.take(thread, size),
            Op::Aligned { size, align, .. } if align <= 16 => self.caches.take(thread, size),
            _ => None,
        };
        if let Some(wanted) = wanted {
            let what = format!("The newest block of this size in thread {thread}'s cache serves the request.");
            self.desk.expect(what, Offset(wanted), Offset(at));
            self.desk.expect("How many steps to a flag a block from the cache needs.", 0, self.flag_steps[thread]);
        }
        if let Some(owner) = self.caches.owner_of(at, |payload| self.usable(payload)) {
            self.fail(format!("A block that is in the cache of thread {owner} is handed out again."), at);
        }
        wanted.is_some()
    }

    /// Whether the block says where it belongs: the number of its arena, if it has one.
    fn labelled(&self, name: &str, at: usize) -> Option<usize> {
        let word = self.size_word(at);
        let arena = self.arena_at(at);
        let (flags, what) = match arena {
            Some(0) => (0, format!("M and A in the size word of {name}, which belongs to the main arena.")),
            Some(arena) => {
                (NON_MAIN_ARENA, format!("M and A in the size word of {name}, which belongs to arena {arena}."))
            }
            None => (IS_MMAPPED, format!("M and A in the size word of {name}, which is a mapping.")),
        };
        self.desk.expect(what, size_flags(flags), size_flags(word & 6));
        arena
    }

    /// The size word of the block at `payload`.
    pub fn size_word(&self, payload: usize) -> usize {
        self.system.arena().word(payload.wrapping_sub(SIZE_WORD))
    }

    /// How many bytes at `payload` are the program's.
    pub fn usable(&self, payload: usize) -> usize {
        let word = self.size_word(payload);
        let overhead = if word & IS_MMAPPED == 0 { SIZE_WORD } else { 2 * SIZE_WORD };
        (word & !7).saturating_sub(overhead)
    }

    /// The arena to which a place belongs: none, if it is in a mapping that is no region.
    pub fn arena_at(&self, at: usize) -> Option<usize> {
        if at < HEAP_ROOM {
            return Some(0);
        }
        let (_, mapping) = self.system.mapping_of(at)?;
        if mapping.len != 2 * REGION {
            return None;
        }
        let region = region_of(&self.system, at);
        mapping.range().contains(&region).then(|| self.system.arena().word(region))
    }

    /// A place, as a story says it.
    pub fn in_words(&self, at: usize) -> String {
        match self.arena_at(at) {
            Some(0) | None => self.system.place(at).to_string(),
            Some(arena) => format!("{} in the region of arena {arena}", Offset(at - region_of(&self.system, at))),
        }
    }

    fn fail(&self, what: String, at: usize) -> ! {
        let finding = Finding::new(what);
        self.desk.fail(if at < self.system.end() {
            finding.mark(at, format!("the word at {}", Offset(at)))
        } else {
            finding.expected("as it was", format!("another word at {}", self.in_words(at)))
        })
    }
}

/// Flags, as a reader names them.
fn size_flags(word: usize) -> String {
    let names = [(IS_MMAPPED, "M"), (NON_MAIN_ARENA, "A")];
    let set: Vec<&str> = names.into_iter().filter(|(flag, _)| word & flag != 0).map(|(_, name)| name).collect();
    if set.is_empty() { "neither".into() } else { set.join(" and ") }
}

/// Where the region starts in which `at` lies: at a multiple of its size, as an address.
pub fn region_of(system: &System, at: usize) -> usize {
    at.wrapping_sub((system.arena().base() + at) % REGION)
}
