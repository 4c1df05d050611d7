//! The graded cases of lab 8. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.
//!
//! Stories of threads are written as `1m0:100 2f0`: thread 1 calls `a = malloc(100)`, then thread 2 calls `free(a)`. `c` is calloc,
//! `a1:64:100` is aligned(64, 100), `r` is realloc. Which thread goes on after each step, a plan says.

mod oracle;
mod questions;
mod watch;

use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Arena, HEAP_ROOM, PAGE};
use heapkit::os::{self, Refusal};
use heapkit::referee::Call;
use heapkit::workload::{Op, Rng};
use proctor::{Desk, Exam, Finding, Moment, Next, Plan, System, Threads};
use questions::{CFunction, Question, ROOM};
use std::collections::BTreeSet;
use std::rc::Rc;
use watch::{ARENAS, Job, Outcome, REGION, Watch, jobs, region_of};

const EXAM: Exam = Exam::new("lab08", cfg!(feature = "solution"));

/// So many threads a candidate has.
const THREADS: usize = 9;

// ---- a lock ----

/// What a thread says inside, and when it is about to leave.
const ENTERS: u64 = 0;
const LEAVES: u64 = 1;

/// Threads that use one lock: so many times each.
struct Lockers<'a> {
    desk: &'a Desk,
    threads: Threads<'a>,
    left: Vec<usize>,
    /// What the counter was, for each that has been inside.
    counted: Vec<usize>,
    inside: Option<usize>,
    last: Option<Moment>,
    question: Question,
}

impl<'a> Lockers<'a> {
    fn new(desk: &'a Desk, threads: usize, times: usize, question: Question) -> Self {
        desk.heap(PAGE);
        desk.draws_no_heap();
        let () = desk.put(&Question::Threads { count: THREADS });
        let () = desk.put(&Question::NewLock { counter: 0 });
        desk.new_story();
        Lockers {
            desk,
            threads: Threads::new(desk, threads),
            left: vec![times; threads + 1],
            counted: Vec::new(),
            inside: None,
            last: None,
            question,
        }
    }

    fn play(&mut self, plan: &mut Plan) {
        loop {
            for thread in 1..self.left.len() {
                if self.threads.rests(thread) && self.left[thread] > 0 {
                    self.left[thread] -= 1;
                    self.threads.begin(thread, &self.question);
                }
            }
            let Some(thread) = self.threads.choose(plan) else { break };
            self.step(thread);
        }
        if self.question == Question::With {
            self.counted.sort_unstable();
            let all: Vec<usize> = (0..self.counted.len()).collect();
            self.desk.expect("Each thread counts one further than the one before it.", all, self.counted.clone());
        }
    }

    fn step(&mut self, thread: usize) {
        let step = self.threads.step(thread);
        if step.did == Next::Mark(LEAVES) {
            self.last = Some(self.threads.now(thread));
            self.inside = None;
        }
        if *self.threads.next(thread) == Next::Mark(ENTERS) {
            if let Some(other) = self.inside.replace(thread) {
                self.desk.fail(Finding::new(format!(
                    "Thread {thread} has taken the lock, but thread {other} has not given it back yet: both use the value."
                )));
            }
            if let Some(last) = self.last.filter(|last| !self.threads.knows(thread, *last)) {
                self.desk.fail(Finding::new(format!(
                    "Thread {thread} has taken the lock, but need not see what thread {} has done with the value: no Release and Acquire \
                     lead from one to the other.",
                    last.thread
                )));
            }
        }
        if self.threads.rests(thread) {
            if self.question == Question::With {
                let was: usize = self.threads.answer(thread);
                self.threads.show(thread, format!("the counter was {was}"));
                self.counted.push(was);
            }
            let held = self.threads.held_by(thread);
            self.desk.expect(format!("How many flags thread {thread} has set when it is back."), 0, held.len());
        }
    }
}

/// Every way in which two threads can be switched once or twice, and drawn ones for more threads.
fn plans_for_locks(desk: &Desk) -> Vec<(usize, Plan)> {
    let mut rng = desk.rng();
    let mut plans: Vec<(usize, Plan)> =
        (0..=2).flat_map(|count| Plan::all(count, &[8, 8])).map(|plan| (2, plan)).collect();
    for round in 0..60 {
        let threads = 2 + round % 3;
        plans.push((threads, Plan::drawn(&mut rng, threads, 60, [2, 3, 6][round % 3])));
    }
    plans
}

// ANCHOR: lockers
fn use_a_lock(desk: &Desk, question: &Question) {
    let plans = plans_for_locks(desk);
    desk.explore(plans.into_iter().map(|(threads, plan)| (vec![(); threads], plan)), |threads, plan| {
        Lockers::new(desk, threads.len().max(1), 2, question.clone()).play(plan);
    });
}
// ANCHOR_END: lockers

#[test]
fn one_thread_at_a_time_is_inside() {
    EXAM.case("lock", |desk| use_a_lock(desk, &Question::With));
}

#[test]
fn acquire_and_release_are_a_pair() {
    EXAM.case("lock", |desk| use_a_lock(desk, &Question::AcquireAndRelease));
}

#[test]
fn a_waiting_thread_lets_others_go_on() {
    EXAM.case("lock", |desk| {
        let mut lockers = Lockers::new(desk, 3, 1, Question::With);
        for thread in 1..=3 {
            lockers.threads.begin(thread, &Question::With);
            // The first one until it is inside, the others until they pause.
            while lockers.threads.can_go(thread) && *lockers.threads.next(thread) != Next::Mark(ENTERS) {
                lockers.step(thread);
            }
        }
        for thread in 1..=3 {
            while !lockers.threads.rests(thread) {
                lockers.step(thread);
            }
        }
        desk.expect("In which order they were inside.", vec![0, 1, 2], lockers.counted.clone());
    });
}

// ---- regions ----

/// A break that one `ArenaOs` has, and its region.
struct Breaks<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    arena: usize,
}

impl<'a> Breaks<'a> {
    fn new(desk: &'a Desk, arena: usize) -> Self {
        let system = desk.os(HEAP_ROOM);
        desk.draws_no_heap();
        let () = desk.order(&Question::NewArenaOs { arena });
        Breaks { desk, system, arena }
    }

    fn sbrk(&self, delta: isize) -> Option<Offset> {
        self.desk.ask::<Option<Offset>>(&Question::Sbrk { delta })
    }

    /// Where the break is, as an address.
    fn at(&self) -> usize {
        self.desk.put(&Question::Break)
    }

    fn address(&self, at: usize) -> usize {
        self.system.arena().base() + at
    }

    /// The first region in the newest mapping.
    fn newest_region(&self) -> usize {
        let Some((_, mapping)) = self.system.mappings().pop() else {
            self.desk.fail(Finding::new("The arena has asked for no mapping."))
        };
        self.desk.expect("A mapping of twice the size of a region.", 2 * REGION, mapping.len);
        self.address(mapping.start).next_multiple_of(REGION) - self.system.arena().base()
    }

    fn expect_break(&self, at: usize) {
        self.desk.expect("The break, as an address.", format!("{:#x}", self.address(at)), format!("{:#x}", self.at()));
    }

    fn expect_number(&self, region: usize) {
        let what = "The first word of a region is the number of its arena.";
        self.desk.expect(what, self.arena, self.system.arena().word(region));
    }
}

fn other_arena(rng: &mut Rng) -> usize {
    1 + rng.below(ARENAS - 1)
}

#[test]
fn the_main_arena_has_the_systems_break() {
    EXAM.case("regions", |desk| {
        let breaks = Breaks::new(desk, 0);
        breaks.expect_break(0);
        for (delta, old) in [(1000, 0), (500, 1000), (-700, 1500), (5 << 20, 800)] {
            desk.expect("Where the break was.", Some(Offset(old)), breaks.sbrk(delta));
            breaks.expect_break(old.wrapping_add_signed(delta));
        }
        let asked: Vec<String> = desk.calls().iter().map(ToString::to_string).collect();
        desk.expect("Calls of the system.", "sbrk(+1000), sbrk(+500), sbrk(-700), sbrk(+5242880)", &asked.join(", "));
    });
}

#[test]
fn another_arena_has_a_break_in_a_region() {
    EXAM.case("regions", |desk| {
        let mut rng = desk.rng();
        for arena in [1, ARENAS - 1, other_arena(&mut rng)] {
            let breaks = Breaks::new(desk, arena);
            desk.expect("The break, before there is a region.", 16, breaks.at());
            let len = 16 * rng.within(&(1..=9000));
            let old = breaks.sbrk(len.cast_signed());
            let region = breaks.newest_region();
            desk.expect("The first bytes are 16 bytes after the region's start.", Some(Offset(region + 16)), old);
            breaks.expect_number(region);
            breaks.expect_break(region + 16 + len);
            desk.expect("Where the break was.", Some(Offset(region + 16 + len)), breaks.sbrk(4096));
            desk.expect("Where the break was.", Some(Offset(region + 16 + len + 4096)), breaks.sbrk(-4096));
            breaks.expect_break(region + 16 + len);
            breaks.expect_number(region);
            desk.expect("How often the system was asked for a mapping.", 1, desk.calls().len());
        }
    });
}

#[test]
fn every_region_starts_at_a_multiple_of_its_size() {
    EXAM.case("regions", |desk| {
        let mut rng = desk.rng();
        let breaks = Breaks::new(desk, other_arena(&mut rng));
        for _ in 0..5 {
            // Somebody else's mapping, so that the next one starts elsewhere.
            desk.act("other code asks for a mapping", || {
                breaks.system.mmap(PAGE * rng.within(&(1..=700)));
            });
            desk.expect("There is a new region.", true, desk.ask::<bool>(&Question::Enter));
            let region = breaks.newest_region();
            breaks.expect_number(region);
            breaks.expect_break(region + 16);
        }
    });
}

#[test]
fn a_full_region_is_followed_by_another() {
    EXAM.case("regions", |desk| {
        let mut rng = desk.rng();
        for too_much in [16, 16 * rng.within(&(2..=200_000))] {
            let breaks = Breaks::new(desk, other_arena(&mut rng));
            let len = 16 * rng.within(&(1..=9000));
            breaks.sbrk(len.cast_signed());
            let first = breaks.newest_region();
            let left = REGION - 16 - len;
            // What fits exactly stays here, and what doesn't, doesn't begin here.
            desk.expect("All that is left.", Some(Offset(first + 16 + len)), breaks.sbrk((left - 1024).cast_signed()));
            let old = breaks.sbrk((1024 + too_much).cast_signed());
            let second = breaks.newest_region();
            if second == first {
                desk.fail(Finding::new("The break has moved past the end of its region."));
            }
            desk.expect("The new bytes are in a new region, all of them.", Some(Offset(second + 16)), old);
            breaks.expect_number(second);
            breaks.expect_break(second + 16 + 1024 + too_much);
            let left = REGION - 16 - 1024 - too_much;
            let all = breaks.sbrk(left.cast_signed());
            desk.expect("What fits exactly stays in its region.", Some(Offset(second + 1040 + too_much)), all);
        }
    });
}

#[test]
fn what_no_region_can_have_is_refused() {
    EXAM.case("regions", |desk| {
        let mut rng = desk.rng();
        let breaks = Breaks::new(desk, other_arena(&mut rng));
        for delta in [REGION - 15, REGION, 1 << 40, isize::MAX as usize] {
            desk.expect("No region is so long.", None, breaks.sbrk(delta.cast_signed()));
        }
        desk.expect("Calls of the system.", 0, desk.calls().len());
        desk.act("the system refuses all mappings from here on", || breaks.system.refuse(Refusal::Mappings));
        desk.expect("There is no region.", None, breaks.sbrk(64));
        desk.expect("There is no region.", false, desk.ask::<bool>(&Question::Enter));
        desk.expect("The break is where it was.", 16, breaks.at());
        desk.act("the system refuses nothing any more", || breaks.system.refuse(Refusal::Nothing));
        let all = breaks.sbrk((REGION - 16).cast_signed());
        let region = breaks.newest_region();
        desk.expect("A whole region.", Some(Offset(region + 16)), all);
        desk.act("the system refuses all mappings from here on", || breaks.system.refuse(Refusal::Mappings));
        desk.expect("There is no region.", None, breaks.sbrk(16));
        breaks.expect_break(region + REGION);
    });
}

#[test]
fn what_the_break_moves_down_over_is_discarded() {
    EXAM.case("regions", |desk| {
        let mut rng = desk.rng();
        let breaks = Breaks::new(desk, other_arena(&mut rng));
        let (keeps, gives) = (rng.within(&(3..=9)) * PAGE, rng.within(&(3..=9)) * PAGE);
        breaks.sbrk((keeps + gives - 16).cast_signed());
        let region = breaks.newest_region();
        let arena = breaks.system.arena();
        desk.act("the program writes to all of it", || arena.write(region + 16, &vec![7; keeps + gives - 16]));
        breaks.sbrk(-gives.cast_signed());
        let touched = |from: usize, to: usize| arena.touched(region + from..region + to) * PAGE;
        desk.expect("Bytes of memory that are given back and still take some.", 0, touched(keeps, keeps + gives));
        desk.expect("Bytes of memory that are still the arena's.", keeps, touched(0, keeps));
        breaks.expect_break(region + keeps);
        desk.expect(
            "The bytes below the break.",
            vec![7; 64],
            arena.snapshot(region + keeps - 64..region + keeps).bytes(region + keeps - 64..region + keeps),
        );
        // A part of a page stays, and so do the bytes that are still handed out there.
        breaks.sbrk(-100);
        desk.expect("Bytes of memory that are still the arena's.", keeps, touched(0, keeps));
        breaks.expect_number(region);
    });
}

// ---- which arena ----

/// Chunks in use that the examiner writes: in the heap, or in a region of its own.
fn chunks(desk: &Desk, start: usize, system: &System, sizes: &[usize], flags: usize) -> Vec<usize> {
    let mut at = start;
    let mut chunks = Vec::new();
    for size in sizes {
        system.arena().set_header(at, 0, size | PREV_INUSE | flags);
        chunks.push(at);
        at += size;
    }
    system.arena().set_header(at, 0, 64 | PREV_INUSE);
    system.arena().set_header(at + 64, 0, 64 | PREV_INUSE);
    desk.lists_are(Vec::new());
    chunks
}

/// A region of an arena, made by the examiner.
fn region(system: &System, arena: usize) -> usize {
    let mapping = system.mmap(2 * REGION).expect("the system has memory");
    let region = region_of(system, mapping + REGION - 1);
    system.arena().set_word(region, arena);
    region
}

#[test]
fn a_block_says_to_which_arena_it_belongs() {
    EXAM.case("arena-of", |desk| {
        let mut rng = desk.rng();
        let system = desk.os(HEAP_ROOM);
        desk.draws_no_heap();
        system.sbrk(64 * PAGE as isize);
        let sizes: Vec<usize> = (0..20).map(|_| 16 * rng.within(&(2..=200))).collect();
        for at in chunks(desk, 0, &system, &sizes, 0) {
            desk.expect(
                "A block without A belongs to the main arena.",
                0_usize,
                desk.ask(&Question::ArenaOf { payload: at + 16 }),
            );
        }
        for arena in [1, ARENAS - 1, other_arena(&mut rng)] {
            let start = region(&system, arena);
            // The first chunk of a region, some more, and one that ends where the region does.
            let mut all = chunks(desk, start + 16, &system, &sizes, NON_MAIN_ARENA);
            let last = start + REGION - 4096;
            system.arena().set_word(last + 8, 4096 | PREV_INUSE | NON_MAIN_ARENA);
            all.push(last);
            for at in all {
                let what = "A block with A belongs to the arena that its region names.";
                desk.expect(what, arena, desk.ask(&Question::ArenaOf { payload: at + 16 }));
            }
        }
    });
}

#[test]
fn a_size_word_is_read_without_p() {
    EXAM.case("arena-of", |desk| {
        let mut rng = desk.rng();
        let system = desk.heap(4 * PAGE);
        desk.draws_no_heap();
        for flags in [0, IS_MMAPPED, NON_MAIN_ARENA] {
            for p in [0, PREV_INUSE] {
                let size = 16 * rng.within(&(2..=1 << 40));
                system.arena().set_header(64, 7, size | flags | p);
                let before = desk.bytes();
                let seen: (usize, bool, bool) = desk.ask(&Question::SizeWordOf { payload: 80 });
                let expected = (size, flags == IS_MMAPPED, flags == NON_MAIN_ARENA);
                desk.expect("The size, and whether M and A are set.", expected, seen);
                desk.expect_untouched("size_word_of", &before, |_| false);
            }
        }
    });
}

#[test]
fn a_label_changes_one_flag() {
    EXAM.case("arena-of", |desk| {
        let mut rng = desk.rng();
        let system = desk.heap(4 * PAGE);
        for p in [0, PREV_INUSE] {
            for flags in [0, NON_MAIN_ARENA] {
                for arena in [0, other_arena(&mut rng)] {
                    let sizes: Vec<usize> = (0..3).map(|_| 16 * rng.within(&(2..=40))).collect();
                    let at = chunks(desk, 0, &system, &sizes, 0)[1];
                    let word = sizes[1] | flags | p;
                    system.arena().set_header(at, 0x1234, word);
                    let before = desk.bytes();
                    let () = desk.order(&Question::Label { at, arena });
                    let label = if arena == 0 { 0 } else { NON_MAIN_ARENA };
                    let expected = sizes[1] | p | label;
                    let show = |word: usize| heapkit::draw::size_word_in_words(word);
                    desk.expect_word("A says whether it is another arena than the main one.", at + 8, expected, show);
                    desk.expect_untouched("label", &before, |byte| (at + 8..at + 16).contains(&byte));
                }
            }
        }
        let at = chunks(desk, 0, &system, &[64, 4096, 64], 0)[1];
        system.arena().set_word(at + 8, 4096 | IS_MMAPPED);
        let before = desk.bytes();
        let () = desk.order(&Question::Label { at, arena: 3 });
        desk.expect_untouched("label of a mapping", &before, |_| false);
    });
}

// ---- a cache ----

/// What the second word of a cached block says.
const KEY: usize = 0x6b65_7074_2062_7920;

/// A cache of the main thread, and blocks for it.
struct Kept<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    /// Where the payloads are, and the sizes of the chunks.
    blocks: Vec<(usize, usize)>,
    oracle: oracle::Caches,
}

impl<'a> Kept<'a> {
    fn new(desk: &'a Desk, sizes: &[usize]) -> Self {
        let len = sizes.iter().sum::<usize>() + 128;
        let system = desk.heap(len.next_multiple_of(PAGE));
        let at = chunks(desk, 0, &system, sizes, 0);
        let end = at.last().map_or(0, |at| at + sizes[sizes.len() - 1]);
        system.arena().set_header(end, 0, (system.end() - end) | PREV_INUSE);
        let blocks = at.into_iter().map(|at| at + 16).zip(sizes.iter().copied()).collect();
        let () = desk.order(&Question::NewCache);
        Kept { desk, system, blocks, oracle: oracle::Caches::new(1) }
    }

    fn address(&self, at: usize) -> usize {
        self.system.arena().base() + at
    }

    /// The cache's lists have to be those of the oracle, in memory and in the cache.
    fn expect_lists(&self) {
        let (heads, room): (Vec<usize>, Vec<usize>) = self.desk.put(&Question::Cache);
        self.desk.expect("A list for each size below 1024.", (64, 64), (heads.len(), room.len()));
        for bin in 0..64 {
            let of_size: Vec<usize> =
                self.oracle.of(1).iter().filter(|(_, size)| *size == 16 * bin).map(|(at, _)| *at).collect();
            let what = format!("The first block of the list for {} bytes.", 16 * bin);
            let show = |address: usize| {
                let in_heap = address.checked_sub(self.address(0)).filter(|at| *at < self.system.end());
                in_heap.map_or_else(|| format!("{address:#x}"), |at| Offset(at).to_string())
            };
            let head = of_size.last().map_or(0, |at| self.address(*at));
            self.desk.expect(what, show(head), show(heads[bin]));
            let what = format!("The room for chunks of {} bytes, in bytes.", 16 * bin);
            self.desk.expect(what, self.oracle.room(1, 16 * bin), room[bin]);
            for (below, at) in [None].into_iter().chain(of_size.iter().map(Some)).zip(&of_size) {
                let link = below.map_or(0, |below| self.address(*below)) ^ (self.address(*at) / PAGE);
                let show = |word: usize| show(word ^ (self.address(*at) / PAGE));
                let what = "The link to the next block, unmasked: to its payload, and null for the last one.";
                self.desk.expect_word(what, *at, link, show);
                self.desk.expect_word("The key.", at + 8, KEY, |word| format!("{word:#x}"));
            }
        }
    }

    fn push(&mut self, (payload, size): (usize, usize)) {
        let before = self.desk.bytes();
        let seen: bool = self.desk.ask(&Question::Push { payload, size });
        let takes = self.oracle.free(1, payload, size);
        self.desk.expect("Whether the cache takes the block.", takes, seen);
        self.desk.expect_untouched("push", &before, |at| takes && (payload..payload + 16).contains(&at));
    }

    fn pop(&mut self, size: usize) {
        let before = self.desk.bytes();
        let (found, at) = ask(self.desk, &Question::Pop { size });
        let expected = self.oracle.take(1, size - 8);
        self.desk.expect("What is found.", said(""), said(&found));
        self.desk.expect("The newest block of this size.", expected.map(Offset), at.map(Offset));
        if let Some(at) = expected {
            for (what, word) in [("link", at), ("key", at + 8)] {
                let what = format!("The {what} of a block that leaves is cleared.");
                self.desk.expect_word(what, word, 0, |word| format!("{word:#x}"));
            }
        }
        let is_its = |byte: usize| expected.is_some_and(|at| (at..at + 16).contains(&byte));
        self.desk.expect_untouched("pop", &before, is_its);
    }

    fn holds(&self, (payload, size): (usize, usize)) -> (String, bool) {
        let (found, at) = ask(self.desk, &Question::Holds { payload, size });
        (found, at.is_some())
    }
}

/// The name of what was found, if there is one.
fn said(name: &str) -> &str {
    if name.is_empty() { "nothing" } else { name }
}

/// Asks, as a step of the story.
fn ask(desk: &Desk, question: &Question) -> Outcome {
    desk.ask_and_show(question, |(found, at): &Outcome| {
        if !found.is_empty() {
            return format!("Err({found})");
        }
        at.map_or("None".into(), |at| if at < HEAP_ROOM { Offset(at).to_string() } else { format!("{at:#x}") })
    })
}

#[test]
fn a_link_is_masked_with_its_place() {
    EXAM.case("cache", |desk| {
        desk.draws_no_heap();
        let mut rng = desk.rng();
        let mut drawn = || 16 * rng.below(1 << 43);
        let mut pairs = vec![(0x2000_0000_9010, 0), (0x1000, 0x2000), (0xfff0, 0xfff0)];
        pairs.extend((0..20).map(|_| (drawn(), drawn())));
        for (place, link) in pairs {
            let masked: usize = desk.ask_and_show(&Question::Mask { place, link }, |masked| format!("{masked:#x}"));
            let what = "The link, XOR the address of its place divided by 4096.";
            desk.expect(what, format!("{:#x}", link ^ (place >> 12)), format!("{masked:#x}"));
        }
    });
}

#[test]
fn a_cache_is_a_stack_for_each_size() {
    EXAM.case("cache", |desk| {
        let mut rng = desk.rng();
        for sizes in [vec![64, 64, 64, 32, 1008, 32, 64], (0..40).map(|_| 16 * rng.within(&(2..=8))).collect()] {
            let mut kept = Kept::new(desk, &sizes);
            for block in kept.blocks.clone() {
                kept.push(block);
                kept.expect_lists();
            }
            for size in sizes.iter().rev().chain(&sizes) {
                kept.pop(*size);
                kept.expect_lists();
            }
            // What has left can be put in again.
            kept.push(kept.blocks[0]);
            kept.push(kept.blocks[2]);
            kept.pop(sizes[2]);
            kept.expect_lists();
        }
    });
}

#[test]
fn a_cache_takes_so_many_of_each_size() {
    EXAM.case("cache", |desk| {
        // With the first size the room is used up exactly; 16 bytes can be left with the second one; the third one is drawn.
        for size in [64, 144, 16 * desk.rng().within(&(3..=60))] {
            let count = ROOM / size;
            let mut sizes = vec![size; count + 2];
            sizes.extend([size - 16, 1008, 1024, 1040, 65536, 128 * 1024]);
            let mut kept = Kept::new(desk, &sizes);
            for block in kept.blocks.clone() {
                kept.push(block);
            }
            kept.expect_lists();
            kept.pop(size);
            kept.push(kept.blocks[count]);
            kept.push(kept.blocks[count + 1]);
            kept.expect_lists();
        }
        for size in [1024, 1040, 65536, 16 * 64 * 64] {
            desk.expect("No block of this size is kept.", None, ask(desk, &Question::Pop { size }).1);
        }
    });
}

#[test]
fn a_cache_finds_what_it_holds() {
    EXAM.case("cache", |desk| {
        let count = ROOM / 64;
        let mut kept = Kept::new(desk, &vec![64; count + 2]);
        let blocks = kept.blocks.clone();
        for block in &blocks[..count] {
            kept.push(*block);
        }
        let sound = |holds| (String::new(), holds);
        for block in &blocks[..count] {
            desk.expect("A block that is here.", sound(true), kept.holds(*block));
        }
        let (other, size) = blocks[count];
        desk.expect("A block that is not here.", sound(false), kept.holds((other, size)));
        desk.act("a program keeps the key in its own second word, by chance", || {
            kept.system.arena().set_word(other + 8, KEY);
        });
        desk.expect("A block that is not here.", sound(false), kept.holds((other, size)));
        kept.pop(64);
        desk.expect("A block that has left.", sound(false), kept.holds(blocks[count - 1]));
        let (last, middle) = (blocks[0].0, blocks[3].0);
        desk.act("a stray write makes the list lead back into itself", || {
            let link = kept.address(middle) ^ (kept.address(last) / PAGE);
            kept.system.arena().set_word(last, link);
        });
        desk.expect("The search ends all the same.", sound(false), kept.holds((other, size)));
        let () = desk.order(&Question::NewCache);
        desk.expect("Nothing is in a new cache.", sound(false), kept.holds((other, size)));
    });
}

#[test]
fn only_a_block_with_the_key_is_looked_for() {
    EXAM.case("cache", |desk| {
        // Each block on pages of its own.
        let mut kept = Kept::new(desk, &[64, 2 * PAGE, 64, 2 * PAGE, 64]);
        let blocks = kept.blocks.clone();
        kept.push(blocks[0]);
        kept.push(blocks[2]);
        let page = blocks[4].0 / PAGE * PAGE;
        desk.act("the exam closes the pages of the blocks in the cache", || {
            desk.opens_only(std::slice::from_ref(&(page..page + PAGE)));
        });
        desk.expect("A block without the key.", (String::new(), false), kept.holds(blocks[4]));
    });
}

#[test]
fn a_link_to_where_no_block_is_is_found() {
    EXAM.case("cache", |desk| {
        let mut rng = desk.rng();
        for count in [2, 5] {
            let mut kept = Kept::new(desk, &[80; 6]);
            let blocks = kept.blocks.clone();
            for block in &blocks[..count] {
                kept.push(*block);
            }
            let (top, size) = blocks[count - 1];
            let stray = kept.system.arena().word(top) ^ (1 + rng.below(15));
            desk.act("a program writes to a block that it has freed", || kept.system.arena().set_word(top, stray));
            let before = desk.bytes();
            let lists: (Vec<usize>, Vec<usize>) = desk.put(&Question::Cache);
            desk.expect("What is found.", said("UnalignedInCache"), said(&ask(desk, &Question::Pop { size }).0));
            desk.expect_untouched("pop", &before, |_| false);
            desk.expect("The lists are as they were.", &lists, &desk.put(&Question::Cache));
            let seen = kept.holds(blocks[0]);
            desk.expect("What is found on the way to the last block.", said("UnalignedInCache"), said(&seen.0));
        }
    });
}

// ---- an arena ----

/// One arena, asked by the main thread.
struct OneArena<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    number: usize,
}

impl<'a> OneArena<'a> {
    fn new(desk: &'a Desk, number: usize) -> Self {
        let system = desk.os(HEAP_ROOM);
        let () = desk.order(&Question::NewArena { number });
        if number != 0 {
            desk.draws_no_heap();
        }
        OneArena { desk, system, number }
    }

    fn try_call(&self, call: Call) -> Outcome {
        ask(self.desk, &Question::OfArena { call })
    }

    fn call(&self, call: Call) -> Option<usize> {
        let (found, at) = self.try_call(call);
        self.desk.expect("What is found in a heap that is in order.", said(""), said(&found));
        at
    }

    fn take(&self, request: usize) -> usize {
        let at = self.call(Call::Malloc { request });
        let at =
            at.unwrap_or_else(|| self.desk.fail(Finding::new("There is no block, although the system has memory.")));
        let is_mapped = |at| self.system.mapping_of(at).is_some();
        if !at.is_multiple_of(16) || at < 16 || !(at + request <= self.system.end() || is_mapped(at)) {
            self.desk.fail(
                Finding::new("No block of this arena can begin there.").expected("its memory", Offset(at).to_string()),
            );
        }
        at
    }

    fn free(&self, payload: usize) {
        self.call(Call::Free { payload });
    }

    fn check(&self, payload: usize) -> String {
        ask(self.desk, &Question::Check { at: payload - 16 }).0
    }

    fn word(&self, payload: usize) -> usize {
        self.system.arena().word(payload - 8)
    }

    fn expect_label(&self, payload: usize) {
        let (word, at) = (self.word(payload), payload - 8);
        let label = if self.number == 0 { 0 } else { NON_MAIN_ARENA };
        let wanted = if word & IS_MMAPPED == 0 { word & !NON_MAIN_ARENA | label } else { word & !NON_MAIN_ARENA };
        let show = |word: usize| heapkit::draw::size_word_in_words(word);
        self.desk.expect_word("A block has the label of its arena, and a mapping has none.", at, wanted, show);
    }

    /// Damages a word, as a step of the story.
    fn damage(&self, what: &str, at: usize, word: usize) {
        self.desk.act(what, || self.system.arena().set_word(at, word));
    }

    fn expect_found(&self, payload: usize, found: &str) {
        self.desk.expect("What is found.", said(found), said(&self.check(payload)));
    }
}

#[test]
fn a_block_has_the_label_of_its_arena() {
    EXAM.case("arena", |desk| {
        let mut rng = desk.rng();
        for number in [0, other_arena(&mut rng)] {
            let arena = OneArena::new(desk, number);
            let mut blocks: Vec<usize> = [24, 100, 5000, 200_000].map(|request| arena.take(request)).to_vec();
            blocks.extend(arena.call(Call::Calloc { count: 10, size: 33 }));
            blocks.extend(arena.call(Call::Aligned { align: 256, request: 700 }));
            blocks.iter().for_each(|block| arena.expect_label(*block));
            for (index, request) in [(0, 24), (1, 3000), (2, 100), (3, 300_000)] {
                blocks.extend(arena.call(Call::Realloc { payload: blocks[index], request }));
                arena.expect_label(blocks[blocks.len() - 1]);
            }
            // The system makes the mapping longer, and gets it back.
            let is_remap = |call: &os::Call| matches!(call, os::Call::Mremap { .. });
            let remaps = arena.system.calls().iter().filter(|call| is_remap(call)).count();
            desk.expect("How often a mapping's length has changed.", 1, remaps);
            arena.free(blocks[blocks.len() - 1]);
            let mappings = arena.system.mappings();
            let left = mappings.iter().filter(|(_, mapping)| mapping.len != 2 * REGION).count();
            desk.expect("Mappings of blocks, after the only one was freed.", 0, left);
            // A block that can't grow is as it was.
            let last = blocks[blocks.len() - 3];
            desk.expect(
                "No block has so many bytes.",
                None,
                arena.call(Call::Realloc { payload: last, request: 1 << 60 }),
            );
            arena.expect_label(last);
        }
    });
}

#[test]
fn the_malloc_in_an_arena_knows_no_label() {
    EXAM.case("arena", |desk| {
        let mut rng = desk.rng();
        let arena = OneArena::new(desk, other_arena(&mut rng));
        let blocks: Vec<usize> = [100, 24, 2000, 24, 2000, 3000, 100].map(|request| arena.take(request)).to_vec();
        for freed in [0, 2, 5] {
            arena.free(blocks[freed]);
            let show = |word: usize| heapkit::draw::size_word_in_words(word);
            let word = arena.word(blocks[freed]);
            desk.expect_word("A chunk that was freed has no label.", blocks[freed] - 8, word & !NON_MAIN_ARENA, show);
        }
        // Each serves the next request of its size, with the label.
        for (freed, request) in [(0, 100), (2, 2000), (5, 3000)] {
            let at = arena.take(request);
            desk.expect("The chunk that was freed serves the request.", Offset(blocks[freed]), Offset(at));
            arena.expect_label(at);
        }
    });
}

#[test]
fn an_arena_has_what_lies_in_its_memory() {
    EXAM.case("arena", |desk| {
        let mut rng = desk.rng();
        let number = other_arena(&mut rng);
        for number in [0, number] {
            let arena = OneArena::new(desk, number);
            let start = if number == 0 {
                arena.system.sbrk(64 * PAGE as isize);
                0
            } else {
                region(&arena.system, number)
            };
            let end = if number == 0 { arena.system.end() } else { start + REGION };
            let at = start + 16 * rng.within(&(1..=900));
            let room = end - at;
            for (size, has) in [
                (0, false),
                (8, false),
                (16, true),
                (24, false),
                (32, true),
                (room - 16, true),
                (room, true),
                (room + 16, false),
                (usize::MAX / 16 * 16, false),
            ] {
                arena.system.arena().set_header(at, 0, size | PREV_INUSE);
                desk.expect(
                    format!("A chunk of {size:#x} bytes, where {room:#x} are left."),
                    has,
                    desk.ask(&Question::Has { at }),
                );
            }
        }
    });
}

// ---- checks ----

/// In the main arena and in another one.
fn in_both(desk: &Desk, body: impl Fn(&OneArena<'_>, &mut Rng)) {
    let mut rng = desk.rng();
    for number in [0, other_arena(&mut rng)] {
        body(&OneArena::new(desk, number), &mut rng);
    }
}

#[test]
fn a_heap_in_order_passes_every_check() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let mut live = Vec::new();
            for _ in 0..120 {
                if live.len() > 8 && rng.below(2) == 0 {
                    arena.free(live.swap_remove(rng.below(live.len())));
                } else {
                    let request = if rng.below(2) == 0 { rng.within(&(1..=300)) } else { rng.within(&(1000..=9000)) };
                    live.push(arena.take(request));
                }
                if rng.below(30) == 0 {
                    // A mapping, and more memory than any chunk that is free.
                    live.push(arena.take(300_000));
                }
                let block = live[rng.below(live.len())];
                arena.expect_found(block, "");
            }
        });
    });
}

#[test]
fn a_block_that_ends_outside_of_its_arena() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let blocks = [arena.take(100), arena.take(100), arena.take(100)];
            let p = arena.word(blocks[1]) & 7;
            for size in [64 << 20, 8 << 30, (1 << 62) + 16 * rng.below(1000)] {
                arena.damage("a stray write to a size word", blocks[1] - 8, size | p);
                arena.expect_found(blocks[1], "OutsideArena");
            }
        });
    });
}

#[test]
fn a_next_chunk_that_is_none() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let request = [100, 2000][rng.below(2)];
            let blocks = [arena.take(request), arena.take(request), arena.take(request)];
            for size in [0, 8, 24, 64 << 20, 1 << 62] {
                arena.damage("a write past the end of a block", blocks[2] - 8, size | PREV_INUSE);
                arena.expect_found(blocks[1], "InvalidNextSize");
                arena.expect_found(blocks[0], "");
            }
        });
    });
}

#[test]
fn a_block_that_is_free_already() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, _| {
            // Between two blocks in use, and too large for a fast bin.
            let blocks = [arena.take(2000), arena.take(2000), arena.take(2000)];
            arena.free(blocks[1]);
            arena.expect_found(blocks[1], "DoubleFree");
            let freed_twice = arena.try_call(Call::Free { payload: blocks[1] });
            desk.expect("What is found.", said("DoubleFree"), said(&freed_twice.0));
        });
    });
}

#[test]
fn a_block_that_is_first_in_its_fast_bin() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let request = rng.within(&(24..=900));
            let blocks = [arena.take(request), arena.take(request), arena.take(request)];
            arena.free(blocks[0]);
            arena.free(blocks[1]);
            arena.expect_found(blocks[1], "DoubleFreeInFastBin");
            arena.expect_found(blocks[2], "");
            let freed_twice = arena.try_call(Call::Free { payload: blocks[1] });
            desk.expect("What is found.", said("DoubleFreeInFastBin"), said(&freed_twice.0));
        });
    });
}

#[test]
fn a_prev_size_that_is_not_the_size_before() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let blocks = [arena.take(2000), arena.take(2000), arena.take(2000)];
            arena.free(blocks[0]);
            arena.expect_found(blocks[1], "");
            let free = blocks[1] - 16;
            let right = arena.system.arena().word(free);
            // In the word before, or in the size of the chunk.
            let less = 16 * rng.within(&(1..=40));
            arena.damage("a stray write to prev_size", free, right.wrapping_sub(less));
            arena.expect_found(blocks[1], "SizeAgainstPrevSize");
            arena.damage("the word is as it was", free, right);
            arena.damage("a write past the end of a block", blocks[0] - 8, right.wrapping_sub(16) | PREV_INUSE);
            arena.expect_found(blocks[1], "SizeAgainstPrevSize");
        });
    });
}

#[test]
fn links_that_do_not_lead_back() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, _| {
            // Four free chunks in one list, with blocks in use between them.
            let blocks: Vec<usize> = (0..8).map(|_| arena.take(2000)).collect();
            [0, 2, 4, 6].into_iter().for_each(|freed| arena.free(blocks[freed]));
            arena.expect_found(blocks[5], "");
            let base = arena.system.arena().base();
            let fd = arena.system.arena().word(blocks[4]);
            let bk = arena.system.arena().word(blocks[4] + 8);
            for (at, right) in [(blocks[4], fd), (blocks[4] + 8, bk)] {
                // To another chunk, to the middle of one, and to no chunk at all.
                for wrong in [base + blocks[1] - 16, base + blocks[3] + 160, right ^ 8] {
                    if right != 0 {
                        arena.damage("a write to a chunk that was freed", at, wrong);
                        arena.expect_found(blocks[5], "CorruptedLinks");
                    }
                }
                arena.damage("the link is as it was", at, right);
                arena.expect_found(blocks[5], "");
            }
        });
    });
}

#[test]
fn a_mapping_that_is_not_whole_pages() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let block = arena.take(200_000 + rng.below(100_000));
            let (word, prev_size) = (arena.word(block), arena.system.arena().word(block - 16));
            arena.expect_found(block, "");
            arena.damage("a stray write to the size of a mapping", block - 8, word.wrapping_add(16));
            arena.expect_found(block, "InvalidMapping");
            arena.damage("the word is as it was", block - 8, word);
            arena.damage("a stray write to prev_size", block - 16, prev_size.wrapping_add(16));
            arena.expect_found(block, "InvalidMapping");
            arena.damage("the word is as it was", block - 16, prev_size);
            let aligned = arena.call(Call::Aligned { align: 1 << 14, request: 200_000 });
            arena.expect_found(aligned.unwrap_or_default(), "");
        });
    });
}

#[test]
fn a_fast_bin_whose_first_chunk_is_none() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let request = rng.within(&(100..=900));
            let blocks = [arena.take(request), arena.take(request), arena.take(24)];
            arena.free(blocks[0]);
            arena.free(blocks[1]);
            let word = arena.word(blocks[1]);
            let call = Call::Malloc { request };
            arena.damage("a write past the end of a block", blocks[1] - 8, (word & 7) | (word & !7).wrapping_add(16));
            desk.expect("What is found.", said("CorruptedFastBin"), said(&arena.try_call(call).0));
            arena.damage("the word is as it was", blocks[1] - 8, word);
            // The link of the first one leads where no chunk is aligned.
            let link = arena.system.arena().word(blocks[1]);
            arena.damage("a write to a block that was freed", blocks[1], link.wrapping_add(8));
            desk.expect("The first one is in order.", Offset(blocks[1]), Offset(arena.take(request)));
            desk.expect("What is found.", said("CorruptedFastBin"), said(&arena.try_call(call).0));
        });
    });
}

#[test]
fn a_top_chunk_that_can_be_none() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, rng| {
            let last = arena.take(100);
            // The next chunk is the top chunk.
            let size = arena.word(last) & !7;
            desk.expect("The size of the last block's chunk.", 112, size);
            let top = last - 16 + size;
            let word = arena.system.arena().word(top + 8);
            for size in [1 << 40, 0, 8, (word & !7) + 8] {
                arena.damage("a write past the end of the last block", top + 8, size | PREV_INUSE);
                let before = desk.bytes();
                for call in [
                    Call::Malloc { request: rng.within(&(1..=9000)) },
                    Call::Calloc { count: 1, size: 2000 },
                    Call::Aligned { align: 64, request: 2000 },
                ] {
                    desk.expect("What is found.", said("CorruptedTopSize"), said(&arena.try_call(call).0));
                }
                desk.expect_untouched("take", &before, |_| false);
            }
            arena.damage("the word is as it was", top + 8, word);
            arena.take(2000);
        });
    });
}

#[test]
fn what_is_checked_and_found_changes_nothing() {
    EXAM.case("checks", |desk| {
        in_both(desk, |arena, _| {
            let blocks = [arena.take(2000), arena.take(2000), arena.take(2000)];
            arena.damage("a write past the end of a block", blocks[2] - 8, 8 | PREV_INUSE);
            let copy = || arena.system.arena().snapshot(blocks[0] - 16..blocks[2] + 4096);
            let before = copy();
            for call in [Call::Free { payload: blocks[1] }, Call::Realloc { payload: blocks[1], request: 5000 }] {
                desk.expect("What is found.", said("InvalidNextSize"), said(&arena.try_call(call).0));
                desk.expect("The first byte that has changed.", None, before.first_difference(&copy()));
            }
        });
    });
}

// ---- a malloc that threads share ----

fn malloc(id: usize, size: usize) -> Op {
    Op::Malloc { id, size }
}

fn free(id: usize) -> Op {
    Op::Free { id }
}

impl Watch<'_> {
    /// Asks a thread, while all others stand still. What it has found ends the case.
    fn ask(&mut self, thread: usize, question: &Question) -> Option<usize> {
        let (found, at) = self.try_ask(thread, question);
        self.desk.expect("What is found in a heap that is in order.", said(""), said(&found));
        at
    }

    fn try_ask(&mut self, thread: usize, question: &Question) -> Outcome {
        let outcome: Outcome = self.threads.ask(thread, question);
        let said = if outcome.0.is_empty() {
            let gives_none = match question {
                Question::Call { call } => !matches!(call, Call::Free { .. }),
                _ => !matches!(question, Question::Retire | Question::BeforeFork | Question::AfterFork),
            };
            let none = if gives_none { "None" } else { "" };
            outcome.1.map_or(none.into(), |at| self.in_words(at))
        } else {
            outcome.0.clone()
        };
        self.threads.show(thread, said);
        self.look_again();
        outcome
    }

    /// A thread asks for a block that the watch does not look after.
    fn take(&mut self, thread: usize, request: usize) -> usize {
        let at = self.ask(thread, &Question::Call { call: Call::Malloc { request } });
        at.unwrap_or_else(|| self.desk.fail(Finding::new("There is no block, although the system has memory.")))
    }

    fn free(&mut self, thread: usize, payload: usize) {
        self.ask(thread, &Question::Call { call: Call::Free { payload } });
    }

    /// Whether a thread has set no flag.
    fn expect_unlocked(&self, thread: usize) {
        let held = self.threads.held_by(thread).len();
        self.desk.expect(format!("How many flags thread {thread} has set when it is back."), 0, held);
    }

    /// The first blocks of a thread's cache, and its room, and its arena.
    fn own_cache(&mut self, thread: usize) -> (Vec<usize>, Vec<usize>, Option<usize>) {
        self.threads.ask(thread, &Question::OwnCache)
    }

    /// Makes a block that other jobs know by its number.
    fn adopt(&mut self, id: usize, thread: usize, request: usize) -> usize {
        self.now(thread, malloc(id, request));
        self.blocks[&id].at
    }
}

/// Operations of one thread, drawn, on blocks with numbers from `first` on.
fn drawn_ops(rng: &mut Rng, first: usize, steps: usize, most: usize) -> Vec<Op> {
    let ops = heapkit::workload::random_of_all_kinds(rng.bits(), steps, 1..=most, 12);
    let renumber = |op: Op| match op {
        Op::Malloc { id, size } => Op::Malloc { id: first + id, size },
        Op::Calloc { id, size } => Op::Calloc { id: first + id, size },
        Op::Aligned { id, align, size } => Op::Aligned { id: first + id, align, size },
        Op::Realloc { id, size } => Op::Realloc { id: first + id, size },
        Op::Free { id } => Op::Free { id: first + id },
        Op::Foreign { .. } => op,
    };
    ops.into_iter().filter(|op| op.id().is_some()).map(renumber).collect()
}

fn explore(desk: &Desk, threads: usize, stories: Vec<(Vec<Job>, Plan)>) {
    desk.explore(stories, |jobs, plan| Watch::new(desk, threads).play(jobs, plan));
}

#[test]
fn the_newest_block_in_the_cache_serves_the_request() {
    EXAM.case("malloc", |desk| {
        let mut rng = desk.rng();
        explore(desk, 2, vec![(jobs("1m0:40 1m1:40 1f0 1f1 1m2:40 2m3:40 1m4:33 2f3 2m5:24"), Plan::default())]);
        // More of one size than the cache takes, and sizes that it does not take at all.
        let mut ops: Vec<Job> = (0..20).map(|id| (1, malloc(id, 200))).collect();
        ops.extend((0..20).map(|id| (1, free(id))));
        ops.extend((20..40).map(|id| (1, malloc(id, 200))));
        explore(desk, 1, vec![(ops, Plan::default())]);
        explore(desk, 1, vec![(jobs("1m0:1015 1m1:1016 1m2:40 1f0 1f1 1m3:1016 1m4:1015"), Plan::default())]);
        for most in [100, 1100] {
            let ops = drawn_ops(&mut rng, 0, 150, most).into_iter().map(|op| (1, op)).collect();
            explore(desk, 1, vec![(ops, Plan::default())]);
        }
    });
}

#[test]
fn threads_get_one_arena_after_the_other() {
    EXAM.case("malloc", |desk| {
        let mut watch = Watch::new(desk, THREADS);
        let order = [3, 1, 2, 4, 9, 5, 6, 7, 8];
        for round in 0..2 {
            for (turn, thread) in order.into_iter().enumerate() {
                let id = 10 * round + turn;
                let at = watch.adopt(id, thread, 2000);
                let what = format!("The arena of thread {thread}, the {} one that asks.", turn + 1);
                desk.expect(what, Some(turn % ARENAS), watch.arena_at(at));
                desk.expect("What the cache says.", Some(turn % ARENAS), watch.own_cache(thread).2);
            }
        }
    });
}

#[test]
fn two_threads_never_get_the_same_turn() {
    EXAM.case("malloc", |desk| {
        let stories = (0..=2).flat_map(|count| Plan::all(count, &[8, 8])).step_by(3);
        desk.explore(stories.map(|plan| (jobs("1m0:2000 2m1:2000"), plan)), |jobs, plan| {
            let mut watch = Watch::new(desk, 2);
            watch.play(jobs, plan);
            let arenas: BTreeSet<Option<usize>> = watch.blocks.values().map(|block| watch.arena_at(block.at)).collect();
            desk.expect("How many arenas the threads have.", watch.blocks.len(), arenas.len());
        });
    });
}

#[test]
fn calloc_is_zero_wherever_it_is_from() {
    EXAM.case("malloc", |desk| {
        // From the cache, in which the block is full of what the program left there; and from an arena.
        explore(desk, 1, vec![(jobs("1m0:600 1f0 1c1:600 1m2:3000 1m3:40 1f2 1c4:3000 1c5:200000"), Plan::default())]);
        let mut watch = Watch::new(desk, 1);
        for (count, size) in [(1 << 33, 1 << 31), (3, usize::MAX / 2), (usize::MAX, 16)] {
            let call = Call::Calloc { count, size };
            desk.expect("No word holds so many bytes.", None, watch.ask(1, &Question::Call { call }));
        }
    });
}

#[test]
fn an_alignment_is_kept() {
    EXAM.case("malloc", |desk| {
        let story = "1a0:64:100 2a1:4096:100 1a2:8:40 1f2 1a3:16:40 2a4:1048576:100 1f0 1m5:100 2f4 1a6:32:1";
        explore(desk, 2, vec![(jobs(story), Plan::default())]);
        let mut watch = Watch::new(desk, 1);
        for align in [0, 3, 24, 48, usize::MAX] {
            let call = Call::Aligned { align, request: 100 };
            desk.expect("This is no power of two.", None, watch.ask(1, &Question::Call { call }));
        }
    });
}

#[test]
fn realloc_stays_in_the_blocks_arena() {
    EXAM.case("malloc", |desk| {
        // Each thread makes the other one's block longer, and shorter.
        let story = "1m0:2000 2m1:2000 1m2:40 2m3:40 1r1:5000 2r0:7000 1r3:300 2r2:20 1r1:100 2r0:200000 1r0:300000 2r0:50 1f1 2f0";
        explore(desk, 2, vec![(jobs(story), Plan::default())]);
    });
}

#[test]
fn a_full_arena_falls_back_to_the_main_one() {
    EXAM.case("refusals", |desk| {
        for refusal in [Refusal::Mappings, Refusal::BreakUp, Refusal::AllMemory] {
            let mut watch = Watch::with_refusal(desk, 2, refusal);
            for (turn, request) in [2000, 200_000, 100].into_iter().enumerate() {
                for (thread, call) in [
                    (1, Op::Malloc { id: 10 * turn, size: request }),
                    (2, Op::Calloc { id: 10 * turn + 1, size: request }),
                    (2, Op::Aligned { id: 10 * turn + 2, align: 64, size: request }),
                ] {
                    let id = call.id().unwrap_or_default();
                    watch.now(thread, call);
                    watch.expect_unlocked(thread);
                    let seen = watch.blocks.get(&id).map(|block| watch.arena_at(block.at));
                    let expected = match refusal {
                        Refusal::AllMemory => None,
                        // A region is a mapping, and the main arena's break is none.
                        Refusal::Mappings => Some(Some(0)),
                        // The main arena has nothing to fall back to, and larger blocks are mappings.
                        _ if request > 100_000 => Some(None),
                        _ if thread == 1 => Some(seen.flatten()),
                        _ => Some(Some(1)),
                    };
                    desk.expect("The arena that serves the request.", expected, seen);
                }
            }
            desk.act("the system refuses nothing any more", || watch.system.refuse(Refusal::Nothing));
            watch.may_fail = false;
            for thread in [1, 2] {
                let at = watch.adopt(100 + thread, thread, 3000);
                desk.expect("Now each thread's own arena serves it.", Some(thread - 1), watch.arena_at(at));
            }
        }
        // Any call of the system may be the one that is refused.
        let mut rng = desk.rng();
        for before in 0..4 {
            for refusal in [Refusal::Once(before), Refusal::From(before)] {
                let ops = drawn_ops(&mut rng, 0, 60, 60_000).into_iter().map(|op| (1 + rng.below(2), op)).collect();
                desk.explore([(ops, Plan::drawn(&mut rng, 2, 100, 5))], |ops: &[Job], plan| {
                    Watch::with_refusal(desk, 2, refusal).play(ops, plan);
                });
            }
        }
    });
}

#[test]
fn a_refused_realloc_leaves_the_block() {
    EXAM.case("refusals", |desk| {
        for request in [5 << 20, 64 << 20, 1 << 50] {
            let mut watch = Watch::new(desk, 2);
            // So the other one has an arena of its own.
            watch.adopt(9, 1, 24);
            let block = watch.adopt(0, 2, 2000);
            let word = watch.size_word(block);
            desk.act("the system refuses all memory from here on", || watch.system.refuse(Refusal::AllMemory));
            watch.may_fail = true;
            for thread in [1, 2] {
                watch.now(thread, Op::Realloc { id: 0, size: request });
                watch.expect_unlocked(thread);
                desk.expect("Where the block is.", Some(block), watch.blocks.get(&0).map(|block| block.at));
                desk.expect("Its size word.", word, watch.size_word(block));
            }
            watch.now(1, free(0));
        }
    });
}

/// Frees a block, or what a program takes for one, and expects that `report` is told something.
fn expect_report(watch: &mut Watch<'_>, thread: usize, call: Call, found: &str) {
    let seen = watch.try_ask(thread, &Question::Call { call });
    watch.desk.expect("What `report` is told.", said(found), said(&seen.0));
    watch.expect_unlocked(thread);
}

#[test]
fn what_is_no_block_is_reported() {
    EXAM.case("reports", |desk| {
        let mut rng = desk.rng();
        for thread in [1, 2] {
            let mut watch = Watch::new(desk, 2);
            watch.take(1, 24);
            let blocks = [watch.take(thread, 2000), watch.take(thread, 2000)];
            let system = watch.system.clone();
            let arena = system.arena();
            for off in [1, 8, 1 + rng.below(15)] {
                let call = Call::Free { payload: blocks[0] + off };
                expect_report(&mut watch, thread, call, "InvalidPointer");
            }
            let word = watch.size_word(blocks[0]);
            for size in [0, 8, 16, 24, 40, 2008, 0x41 << 56, 1 << 48, usize::MAX / 16 * 16] {
                desk.act("a stray write to a size word", || arena.set_word(blocks[0] - 8, size | word & 5));
                expect_report(&mut watch, thread, Call::Free { payload: blocks[0] }, "InvalidSize");
            }
            let up_to_the_end = (1 << 48) - (arena.base() + blocks[0]);
            for (size, found) in [(up_to_the_end, "OutsideArena"), (up_to_the_end + 16, "InvalidSize")] {
                desk.act("a stray write to a size word", || arena.set_word(blocks[0] - 8, size | word & 5));
                expect_report(&mut watch, thread, Call::Free { payload: blocks[0] }, found);
            }
            let (_, large) = watch.try_ask(thread, &Question::Call { call: Call::Malloc { request: 6 << 30 } });
            desk.expect("A block may have six gibibytes.", true, large.is_some());
            expect_report(&mut watch, thread, Call::Free { payload: large.unwrap_or_default() }, "");
            let is_elsewhere = watch.arena_at(blocks[0]).is_some_and(|arena| arena != 0);
            desk.expect("The second thread's block is in another arena than the main one.", thread == 2, is_elsewhere);
            for other in [ARENAS, 1 << 20] {
                // A block whose region belongs to nobody.
                desk.act("a stray write to a size word", || {
                    arena.set_word(blocks[0] - 8, word | NON_MAIN_ARENA);
                    let region = region_of(&system, blocks[0]);
                    if thread == 2 {
                        arena.set_word(region, other);
                    }
                });
                if thread == 2 {
                    expect_report(&mut watch, thread, Call::Free { payload: blocks[0] }, "InvalidPointer");
                }
            }
        }
    });
}

#[test]
fn a_block_that_is_freed_twice_is_reported() {
    EXAM.case("reports", |desk| {
        for thread in [1, 2] {
            let mut watch = Watch::new(desk, 2);
            watch.take(1, 24);
            let blocks: Vec<usize> = (0..20).map(|_| watch.take(thread, 56)).collect();
            for block in &blocks[..10] {
                watch.free(thread, *block);
            }
            for block in [9, 0, 4] {
                expect_report(&mut watch, thread, Call::Free { payload: blocks[block] }, "DoubleFreeInCache");
            }
            desk.act("a program keeps the key in its own second word, by chance", || {
                watch.system.arena().set_word(blocks[15] + 8, KEY);
            });
            watch.free(thread, blocks[15]);
            // From another thread's cache, or where the cache is full (it has room for 16 of these), the arena's own checks are left.
            for block in &blocks[10..15] {
                watch.free(thread, *block);
            }
            watch.free(thread, blocks[16]);
            // A chunk in a fast bin has no label, so the main arena looks at it.
            let found = if thread == 1 { "DoubleFreeInFastBin" } else { "OutsideArena" };
            expect_report(&mut watch, thread, Call::Free { payload: blocks[16] }, found);
        }
    });
}

#[test]
fn a_damaged_cache_is_reported() {
    EXAM.case("reports", |desk| {
        for call in [
            Call::Malloc { request: 100 },
            Call::Calloc { count: 1, size: 100 },
            Call::Aligned { align: 16, request: 100 },
        ] {
            let mut watch = Watch::new(desk, 1);
            let blocks = [watch.take(1, 100), watch.take(1, 100)];
            watch.free(1, blocks[0]);
            watch.free(1, blocks[1]);
            let link = watch.system.arena().word(blocks[1]);
            desk.act("a program writes to a block that it has freed", || {
                watch.system.arena().set_word(blocks[1], link ^ 8)
            });
            expect_report(&mut watch, 1, call, "UnalignedInCache");
        }
        let mut watch = Watch::new(desk, 1);
        let blocks = [watch.take(1, 100), watch.take(1, 100)];
        watch.free(1, blocks[0]);
        watch.free(1, blocks[1]);
        desk.act("a program writes to a block that it has freed", || watch.system.arena().set_word(blocks[1], 8));
        let seen = watch.try_ask(1, &Question::Retire);
        desk.expect("What `report` is told.", said("UnalignedInCache"), said(&seen.0));
    });
}

#[test]
fn a_damaged_heap_is_reported_and_no_arena_stays_locked() {
    EXAM.case("reports", |desk| {
        for thread in [1, 2] {
            for request in [2000, 100] {
                let mut watch = Watch::new(desk, 3);
                watch.take(1, 24);
                let blocks = [watch.take(thread, 2000), watch.take(thread, 2000), watch.take(thread, request)];
                desk.act("a write past the end of a block", || {
                    watch.system.arena().set_word(blocks[1] - 8, 8 | PREV_INUSE)
                });
                expect_report(&mut watch, thread, Call::Free { payload: blocks[0] }, "InvalidNextSize");
                let call = Call::Realloc { payload: blocks[0], request: 4000 };
                expect_report(&mut watch, thread, call, "InvalidNextSize");
                // Another thread may still be on its way to its own end.
                desk.act("the size word is as it was", || {
                    watch
                        .system
                        .arena()
                        .set_word(blocks[1] - 8, 2016 | PREV_INUSE | if thread == 1 { 0 } else { NON_MAIN_ARENA })
                });
                watch.free(3, blocks[0]);
            }
        }
    });
}

// ---- many threads ----

/// Every way in which two threads can be switched once in a story, some of those with two switches, and drawn ones.
fn plans(desk: &Desk, threads: usize, steps: usize, drawn: usize) -> Vec<Plan> {
    let mut rng = desk.rng();
    let every: Vec<usize> = vec![steps; threads];
    let mut plans = vec![Plan::default()];
    plans.extend(Plan::all(1, &every));
    for round in 0..drawn {
        plans.push(Plan::drawn(&mut rng, threads, 200, [2, 3, 5, 8][round % 4]));
    }
    plans
}

fn explore_all(desk: &Desk, threads: usize, story: &str, steps: usize, drawn: usize) {
    let stories = plans(desk, threads, steps, drawn).into_iter().map(|plan| (jobs(story), plan)).collect();
    explore(desk, threads, stories);
}

#[test]
fn nobody_changes_an_arena_without_its_lock() {
    EXAM.case("threads", |desk| {
        // Both threads free blocks of both arenas, and ask for more.
        explore_all(desk, 2, "1m0:2000 2m1:2000 1m2:2000 2m3:2000 2f0 1f1 1m4:1500 2m5:1500 2f2 1f3", 20, 12);
    });
}

#[test]
fn every_operation_locks_the_arena() {
    EXAM.case("threads", |desk| {
        explore_all(desk, 2, "1c0:2000 2c1:2000 1c2:3000 2f0 1f1 1c3:1200", 12, 6);
        explore_all(desk, 2, "1a0:64:2000 2a1:256:2000 2f0 1a2:64:2000 1f1", 12, 6);
        explore_all(desk, 2, "1m0:2000 2m1:2000 2r0:4000 1r1:4000 1m2:2000 2r0:1200 1r1:1300", 12, 6);
    });
}

#[test]
fn full_caches_lock_the_arena_of_each_block() {
    EXAM.case("threads", |desk| {
        let mut story: Vec<Job> = Vec::new();
        for id in 0..20 {
            story.push((1 + id % 2, malloc(id, 100)));
        }
        // Each thread frees what the other one has asked for, more than a cache takes.
        for thread in [1, 2] {
            story.extend((20..40).map(|id| (thread, malloc(100 * thread + id, 100))));
        }
        for thread in [1, 2] {
            story.extend((20..40).map(|id| (3 - thread, free(100 * thread + id))));
        }
        let mut rng = desk.rng();
        let stories = (0..4).map(|_| (story.clone(), Plan::drawn(&mut rng, 2, 200, 4))).collect();
        explore(desk, 2, stories);
    });
}

#[test]
fn many_threads_do_what_they_like() {
    EXAM.case("threads", |desk| {
        let mut rng = desk.rng();
        for round in 0..6 {
            let threads = [2, 3, THREADS][round % 3];
            let mut story = Vec::new();
            for thread in 1..=threads {
                let ops = drawn_ops(&mut rng, 1000 * thread, 90 / threads + 10, [200, 3000][round % 2]);
                story.push((thread, ops.into_iter()));
            }
            // The threads in turn, so that one may free what another has asked for.
            let mut mixed: Vec<Job> = Vec::new();
            while !story.is_empty() {
                let at = rng.below(story.len());
                match story[at].1.next() {
                    Some(op) => {
                        let thread = if rng.below(4) == 0 { 1 + rng.below(threads) } else { story[at].0 };
                        mixed.push((thread, op));
                    }
                    None => drop(story.swap_remove(at)),
                }
            }
            explore(desk, threads, vec![(mixed, Plan::drawn(&mut rng, threads, 300, [2, 4, 9][round % 3]))]);
        }
    });
}

#[test]
fn a_block_goes_back_to_its_own_arena() {
    EXAM.case("threads", |desk| {
        let mut watch = Watch::new(desk, 2);
        watch.adopt(9, 1, 24);
        // The other thread frees it, and then the arena's own has it again.
        for id in 0..4 {
            let at = watch.adopt(id, 2, 2000);
            watch.now(1, free(id));
            let again = watch.adopt(10 + id, 2, 2000);
            desk.expect("The block that thread 1 has freed serves thread 2.", Offset(at), Offset(again));
            watch.now(2, free(10 + id));
        }
        // A small one stays with the thread that has freed it, until its cache is full.
        for id in 100..117 {
            watch.adopt(id, 2, 100);
        }
        for id in 100..117 {
            watch.now(1, free(id));
        }
        let at = watch.adopt(200, 2, 100);
        desk.expect("One that the cache of thread 1 did not take is in its arena.", Some(1), watch.arena_at(at));
        let cached = watch.adopt(201, 1, 100);
        desk.expect("Those that it took serve thread 1.", Some(1), watch.arena_at(cached));
    });
}

// ---- the end of a thread ----

/// The sizes for which a cache has something in its lists.
fn kept_sizes(of_bins: &[usize]) -> Vec<usize> {
    (0..of_bins.len()).filter(|bin| of_bins[*bin] != 0).map(|bin| 16 * bin).collect()
}

#[test]
fn a_retired_cache_keeps_nothing() {
    EXAM.case("retire", |desk| {
        let mut watch = Watch::new(desk, 2);
        watch.adopt(99, 1, 24);
        for id in 0..12 {
            watch.adopt(id, 1 + id % 2, 40 + 100 * (id % 3));
        }
        for id in 0..12 {
            watch.now(2, free(id));
        }
        let cached = watch.caches.of(2).to_vec();
        watch.ask(2, &Question::Retire);
        watch.caches.retire(2);
        let (heads, room, _) = watch.own_cache(2);
        desk.expect("Sizes of which the cache still has blocks.", Vec::new(), kept_sizes(&heads));
        desk.expect("Sizes for which the cache still has room.", Vec::new(), kept_sizes(&room));
        for (block, size) in cached {
            let word = watch.size_word(block);
            let what = format!("The size word of the block at {}, which its arena has now.", watch.in_words(block));
            desk.expect(what, size | PREV_INUSE, word);
        }
        // From then on, nothing is kept.
        let at = watch.adopt(50, 2, 40);
        watch.now(2, free(50));
        let again = watch.adopt(51, 2, 40);
        desk.expect("The arena serves the block again.", Offset(at), Offset(again));
        let (heads, ..) = watch.own_cache(2);
        desk.expect("Sizes of which the cache has blocks again.", Vec::new(), kept_sizes(&heads));
    });
}

#[test]
fn threads_end_in_any_order_and_nothing_is_lost() {
    EXAM.case("retire", |desk| {
        let mut rng = desk.rng();
        for threads in [2, 3] {
            let mut watch = Watch::new(desk, threads);
            let mut story: Vec<Job> =
                (0..120).map(|id| (1 + id % threads, malloc(id, rng.within(&(100..=400))))).collect();
            story.extend((0..120).map(|id| (1 + (id / 2) % threads, free(id))));
            watch.play(&story, &mut Plan::drawn(&mut rng, threads, 200, 5));
            for thread in 1..=threads {
                watch.ask(thread, &Question::Retire);
                watch.caches.retire(thread);
            }
            // A request that the top chunk can't serve joins all that is free: then there is nothing before the block.
            for thread in 1..=threads {
                let at = watch.adopt(200 + thread, thread, 131_000);
                let first = match watch.arena_at(at) {
                    Some(0) => 0,
                    _ => region_of(&watch.system, at) + 16,
                };
                desk.expect(
                    "The first bytes of the heap are free again.",
                    watch.in_words(first + 16),
                    watch.in_words(at),
                );
            }
        }
    });
}

// ---- fork ----

/// Thread 1 is about to fork, in the middle of whatever the others do.
fn forks(desk: &Desk, plan: &mut Plan, child: bool) {
    let mut watch = Watch::new(desk, 3);
    // The flags of all arenas are known once each was used.
    let all: Vec<usize> = (1..=3).map(|thread| watch.adopt(thread, thread, 2000)).collect();
    watch.threads.begin(1, &Question::BeforeFork);
    for (thread, op) in [(2, Op::Realloc { id: 3, size: 5000 }), (3, malloc(30, 3000))] {
        watch.begin(thread, op);
    }
    while !watch.threads.rests(1) {
        let Some(thread) = watch.threads.choose(plan) else { break };
        watch.step(thread);
    }
    let held = watch.threads.held_by(1).len();
    desk.expect("How many locks the thread has that forks: 8 arenas, and whose turn it is.", ARENAS + 1, held);
    // Nobody gets anywhere meanwhile. What has just come to its end stays so.
    for thread in [2, 3] {
        let (mut left, before) = (200, watch.system.arena().snapshot(0..heapkit::memory::ARENA));
        while !watch.threads.rests(thread) && watch.threads.can_go(thread) && left > 0 {
            watch.step(thread);
            left -= 1;
        }
        desk.expect(
            "Words that change while all locks are taken.",
            None,
            before.first_difference(&watch.system.arena().snapshot(0..heapkit::memory::ARENA)),
        );
        desk.expect("Flags that another thread has set.", 0, watch.threads.held_by(thread).len());
    }
    if child {
        desk.act("from here on this is the child: thread 1 alone is there", || {});
        watch.ask(1, &Question::AfterFork);
        watch.expect_unlocked(1);
        for (index, block) in all.into_iter().enumerate() {
            // The other threads' blocks are there, unless they were about to move.
            if index != 2 {
                watch.free(1, block);
            }
        }
        watch.take(1, 3000);
    } else {
        watch.ask(1, &Question::AfterFork);
        watch.expect_unlocked(1);
        while let Some(thread) = watch.threads.choose(plan) {
            watch.step(thread);
        }
        watch.adopt(40, 2, 2000);
    }
}

fn plans_for_forks(desk: &Desk) -> Vec<(Vec<()>, Plan)> {
    let mut rng = desk.rng();
    let mut plans = Plan::all(1, &[12, 4, 4]);
    plans.extend((0..12).map(|_| Plan::drawn(&mut rng, 3, 30, 3)));
    plans.into_iter().map(|plan| (Vec::new(), plan)).collect()
}

#[test]
fn a_fork_takes_every_lock() {
    EXAM.case("fork", |desk| desk.explore(plans_for_forks(desk), |_, plan| forks(desk, plan, false)));
}

#[test]
fn a_child_can_go_on() {
    EXAM.case("fork", |desk| desk.explore(plans_for_forks(desk), |_, plan| forks(desk, plan, true)));
}

#[test]
fn two_threads_fork_at_once() {
    EXAM.case("fork", |desk| {
        let mut rng = desk.rng();
        let mut plans = Plan::all(1, &[12, 12]);
        plans.extend((0..20).map(|_| Plan::drawn(&mut rng, 2, 60, 3)));
        desk.explore(plans.into_iter().map(|plan| (Vec::<()>::new(), plan)), |_, plan| {
            let mut watch = Watch::new(desk, 2);
            watch.threads.begin(1, &Question::BeforeFork);
            watch.threads.begin(2, &Question::BeforeFork);
            let mut forked = [false; 3];
            while let Some(thread) = watch.threads.choose(plan) {
                watch.step(thread);
                if watch.threads.rests(thread) && !std::mem::replace(&mut forked[thread], true) {
                    let held = watch.threads.held_by(thread).len();
                    desk.expect("How many locks the thread has that forks.", ARENAS + 1, held);
                    watch.threads.begin(thread, &Question::AfterFork);
                }
            }
            watch.expect_unlocked(1);
            watch.expect_unlocked(2);
        });
    });
}

// ---- Rust's and C's functions ----

#[test]
fn a_layout_is_served() {
    EXAM.case("global-alloc", |desk| {
        let mut rng = desk.rng();
        let mut watch = Watch::new(desk, 2);
        for round in 0..30 {
            let thread = 1 + round % 2;
            let (align, size) = (1 << rng.below(13), rng.within(&(1..=3000)));
            let zeroed = rng.below(2) == 0;
            let Some(at) = watch.ask(thread, &Question::Allocate { align, size, zeroed }) else {
                desk.fail(Finding::new("There is no block, although the system has memory."))
            };
            let arena = watch.system.arena();
            desk.expect(format!("How far the address is after a multiple of {align}."), 0, (arena.base() + at) % align);
            if watch.usable(at) < size {
                desk.fail(Finding::new("The block's chunk is too small for the layout."));
            }
            let bytes = arena.snapshot(at..at + size).bytes(at..at + size);
            desk.expect("Bytes that are not zero.", None, bytes.iter().find(|byte| zeroed && **byte != 0));
            arena.write(at, &vec![0xee; size]);
            watch.free(thread, at);
        }
    });
}

#[test]
fn a_block_keeps_its_alignment_when_it_moves() {
    EXAM.case("global-alloc", |desk| {
        let mut rng = desk.rng();
        let mut watch = Watch::new(desk, 2);
        for align in [1, 8, 16, 32, 64, 256, 4096] {
            let mut size = rng.within(&(1..=600));
            let mut at = watch.ask(2, &Question::Allocate { align, size, zeroed: false }).unwrap_or_default();
            let keeper = watch.take(2, 24);
            for _ in 0..4 {
                let new_size = rng.within(&(1..=4000));
                let content: Vec<u8> = (0..size).map(|i| (i * 7 + align) as u8).collect();
                watch.system.arena().write(at, &content);
                let question = Question::Reallocate { payload: at, align, size, new_size };
                let Some(new) = watch.ask(2, &question) else {
                    desk.fail(Finding::new("There is no block, although the system has memory."))
                };
                let arena = watch.system.arena();
                desk.expect(
                    format!("How far the address is after a multiple of {align}."),
                    0,
                    (arena.base() + new) % align,
                );
                if watch.usable(new) < new_size {
                    desk.fail(Finding::new("The block's chunk is too small for its bytes."));
                }
                let kept = size.min(new_size);
                let bytes = arena.snapshot(new..new + kept).bytes(new..new + kept);
                desk.expect("The first byte that is lost.", None, (0..kept).find(|i| bytes[*i] != content[*i]));
                (at, size) = (new, new_size);
            }
            watch.free(2, at);
            watch.free(2, keeper);
        }
        // The old place is free again.
        let old = watch.ask(1, &Question::Allocate { align: 64, size: 2000, zeroed: false }).unwrap_or_default();
        watch.ask(1, &Question::Reallocate { payload: old, align: 64, size: 2000, new_size: 9000 });
        let again = watch.take(1, 2000);
        desk.expect("The block's old place serves a request that fits.", true, (old - 64..=old + 64).contains(&again));
    });
}

/// One of C's functions, on thread 1: the error, or whether there is a block that is aligned and large enough.
fn expect_c(watch: &mut Watch<'_>, function: CFunction, expected: Result<(usize, usize), &str>) {
    let (error, at) = watch.try_ask(1, &Question::C { function });
    watch.expect_unlocked(1);
    match expected {
        Err(name) => {
            watch.desk.expect("The error.", said(name), said(&error));
            watch.desk.expect("A block, if there is one.", None, at.map(Offset));
        }
        Ok((align, len)) => {
            watch.desk.expect("The error.", said(""), said(&error));
            let Some(at) = at else {
                watch.desk.fail(Finding::new("There is no block, although the system has memory."))
            };
            let address = watch.system.arena().base() + at;
            watch.desk.expect(format!("How far the address is after a multiple of {align}."), 0, address % align);
            watch.desk.expect(format!("Whether the block has {len} bytes."), true, watch.usable(at) >= len);
        }
    }
}

#[test]
fn c_says_why_there_is_no_aligned_block() {
    EXAM.case("c", |desk| {
        let mut watch = Watch::new(desk, 1);
        const HUGE: usize = 1 << 50;
        for (align, request, expected) in [
            (64, 100, Ok((64, 100))),
            (8, 100, Ok((16, 100))),
            (4096, 5000, Ok((4096, 5000))),
            (0, 100, Err("InvalidArgument")),
            (4, 100, Err("InvalidArgument")),
            (2, 100, Err("InvalidArgument")),
            (24, 100, Err("InvalidArgument")),
            (12, 100, Err("InvalidArgument")),
            (64, HUGE, Err("OutOfMemory")),
        ] {
            expect_c(&mut watch, CFunction::PosixMemalign { align, request }, expected);
        }
        for (align, request, expected) in [
            (64, 100, Ok((64, 100))),
            (1, 10, Ok((16, 10))),
            (4, 10, Ok((16, 10))),
            (0, 10, Err("InvalidArgument")),
            (48, 96, Err("InvalidArgument")),
            (32, HUGE, Err("OutOfMemory")),
        ] {
            expect_c(&mut watch, CFunction::AlignedAlloc { align, request }, expected);
        }
    });
}

#[test]
fn the_old_functions_round_up() {
    EXAM.case("c", |desk| {
        let mut watch = Watch::new(desk, 1);
        for (align, request, expected) in [
            (0, 10, Ok((16, 10))),
            (3, 10, Ok((16, 10))),
            (48, 100, Ok((64, 100))),
            (100, 100, Ok((128, 100))),
            (4097, 10, Ok((8192, 10))),
            ((1 << 63) + 1, 10, Err("InvalidArgument")),
            (64, 1 << 50, Err("OutOfMemory")),
        ] {
            expect_c(&mut watch, CFunction::Memalign { align, request }, expected);
        }
        for (request, expected) in [
            (1, Ok((4096, 4096))),
            (0, Ok((4096, 0))),
            (4096, Ok((4096, 4096))),
            (4097, Ok((4096, 8192))),
            (usize::MAX, Err("OutOfMemory")),
            (1 << 50, Err("OutOfMemory")),
        ] {
            expect_c(&mut watch, CFunction::Pvalloc { request }, expected);
        }
    });
}

#[test]
fn reallocarray_makes_grows_and_frees() {
    EXAM.case("c", |desk| {
        let mut watch = Watch::new(desk, 1);
        let of = |block, count, size| CFunction::Reallocarray { block, count, size };
        expect_c(&mut watch, of(None, 10, 30), Ok((16, 300)));
        expect_c(&mut watch, of(None, 0, 30), Ok((16, 0)));
        let block = watch.take(1, 100);
        watch.system.arena().write(block, &[9; 100]);
        for (count, size) in [(1 << 32, 1 << 32), (usize::MAX, 2), (1, 1 << 50)] {
            expect_c(&mut watch, of(Some(block), count, size), Err("OutOfMemory"));
            let bytes = watch.system.arena().snapshot(block..block + 100).bytes(block..block + 100);
            desk.expect("The old block is as it was.", vec![9; 100], bytes);
        }
        let (error, grown) = watch.try_ask(1, &Question::C { function: of(Some(block), 40, 100) });
        desk.expect("The error.", said(""), said(&error));
        let grown = grown.unwrap_or_default();
        let bytes = watch.system.arena().snapshot(grown..grown + 100).bytes(grown..grown + 100);
        desk.expect("The bytes of the block.", vec![9; 100], bytes);
        desk.expect("Whether the block has 4000 bytes.", true, watch.usable(grown) >= 4000);
        let small = watch.take(1, 200);
        for (count, size) in [(0, 100), (100, 0)] {
            let block = if count == 0 { small } else { watch.take(1, 200) };
            let (error, none) = watch.try_ask(1, &Question::C { function: of(Some(block), count, size) });
            desk.expect("No error, and no block.", ("", None), (error.as_str(), none));
            let again = watch.take(1, 200);
            desk.expect("The block was freed: it is the next one of its size.", Offset(block), Offset(again));
            watch.free(1, again);
        }
    });
}

// ---- everything together ----

#[test]
fn threads_run_on_linux() {
    EXAM.case("workloads", |desk| {
        desk.heap(PAGE);
        desk.draws_no_heap();
        let question = Question::Linux { seed: desk.rng().bits(), threads: 3, steps: 4000 };
        let noticed: Option<String> = desk.order(&question);
        if let Some(what) = noticed {
            desk.fail(Finding::new(format!("On Linux, a thread notices this: {what}")));
        }
    });
}

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let mut watch = Watch::new(desk, 2);
        watch.adopt(0, 1, 100);
        watch.now(2, free(0));
        let at = watch.adopt(1, 2, 100);
        desk.expect("A block of another thread serves this one.", Some(0), watch.arena_at(at));
    });
}
