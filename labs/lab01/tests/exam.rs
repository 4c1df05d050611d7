//! The graded cases of lab 1. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.

mod oracle;
mod questions;

use heapkit::image::Offset;
use heapkit::memory::{Arena, FRESH, HEAP_ROOM, PAGE};
use heapkit::os::{Call, Refusal};
use heapkit::referee::{Kind, pattern};
use heapkit::workload::Rng;
use oracle::Plan;
use proctor::{Desk, Exam, Finding, System};
use questions::{Block, Question, Request, Source};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

const EXAM: Exam = Exam::new("lab01", cfg!(feature = "solution"));

/// Every block starts at a multiple of this.
const ALIGNMENT: usize = 16;
/// The first request of a few bytes moves the break by so much: 33 pages.
const FIRST_GROWTH: usize = 135_168;

/// How far the break can move, where a case doesn't need more.
const ROOM: usize = 256 << 20;

/// A system whose break other code has moved to `end` already, and can move by `room`. Its memory has no chunks to draw.
fn system_with_break_at(desk: &Desk, room: usize, end: usize) -> Rc<System> {
    let system = desk.os(room);
    desk.draws_no_heap();
    if end > 0 {
        desk.act(format!("other code has moved the break to {}", Offset(end)), || {
            system.foreign_sbrk(end.cast_signed());
        });
    }
    system
}

// ---- the observer, on scripted allocations ----

/// A scripted `malloc`: the break moves by each of `moves`, then a block is returned, with `word` in front of it.
#[derive(Clone, Debug)]
struct Script {
    moves: Vec<isize>,
    block: Block,
    word: usize,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a malloc that ")?;
        for delta in &self.moves {
            write!(f, "moves the break by {delta:+}, ")?;
        }
        match self.block {
            Block::Null => f.write_str("returns null"),
            _ => write!(f, "returns {} with the size word {:#x}", self.block, self.word),
        }
    }
}

/// Where a script's block is, for any observer.
#[derive(Clone, Copy)]
enum Spot {
    Null,
    /// So far after the heap's start.
    Heap(isize),
    Mapping,
    FarAway,
}

/// What an observer saw of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    payload: usize,
    moved: isize,
    inside: bool,
    mapped: bool,
}

/// The candidate's observer, and the system that it watches.
struct Watch<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    /// Where the heap starts.
    start: usize,
    /// Where a mapping starts.
    mapping: usize,
    /// The address of the block that is far away.
    far_away: usize,
}

impl<'a> Watch<'a> {
    /// An observer that is made when the break is at `start`; then the heap gets `heap` bytes.
    fn new(desk: &'a Desk, start: usize, heap: usize) -> Self {
        let system = desk.os(HEAP_ROOM);
        desk.draws_no_heap();
        system.sbrk(start.cast_signed());
        let mapping = system.mmap(PAGE).unwrap_or_default();
        let far_away = desk.order(&Question::NewObserver);
        let watch = Watch { desk, system, start, mapping, far_away };
        watch.other_code_moves(heap.cast_signed());
        watch
    }

    /// Not during a call, but between two.
    fn other_code_moves(&self, delta: isize) {
        if delta != 0 {
            self.desk.act(format!("other code moves the break by {delta:+}"), || {
                self.system.sbrk(delta);
            });
        }
    }

    fn address(&self, block: &Block) -> usize {
        match block {
            Block::Null => 0,
            Block::Heap { at } | Block::Mapping { at } => self.system.arena().base() + at,
            Block::FarAway => self.far_away,
        }
    }

    fn block(&self, spot: Spot) -> Block {
        match spot {
            Spot::Null => Block::Null,
            Spot::Heap(distance) => Block::Heap { at: self.start.wrapping_add_signed(distance) },
            Spot::Mapping => Block::Mapping { at: self.mapping + PAGE / 2 },
            Spot::FarAway => Block::FarAway,
        }
    }

    fn watch(&self, script: &Script) -> Seen {
        let Script { moves, block, word } = script.clone();
        self.desk.act(script, || {});
        let show = |(_, (moved, inside, mapped)): &(usize, (isize, bool, bool))| {
            let inside = if *inside { "inside" } else { "outside" };
            format!("moved {moved:+}, {inside}, {}", if *mapped { "mapped" } else { "not mapped" })
        };
        let (payload, (moved, inside, mapped)) = self.desk.ask_and_show(&Question::Watch { moves, block, word }, show);
        Seen { payload, moved, inside, mapped }
    }

    /// What has to be seen.
    fn expected(&self, script: &Script) -> Seen {
        let now = self.system.end();
        let (payload, base) = (self.address(&script.block), self.system.arena().base());
        Seen {
            payload,
            moved: script.moves.iter().sum(),
            inside: (base + self.start..base + now).contains(&payload),
            mapped: script.block != Block::Null && script.word & 2 != 0,
        }
    }

    /// Plays the script; of what was seen, `part` has to be right.
    fn check<T: PartialEq + std::fmt::Debug>(&self, script: &Script, what: &str, part: impl Fn(Seen) -> T) {
        let seen = self.watch(script);
        self.desk.expect(what, part(self.expected(script)), part(seen));
    }

    /// A script with all that it can have, for the break as it is now.
    fn drawn(&self, rng: &mut Rng) -> Script {
        let end = self.system.end();
        let to = match rng.below(8) {
            0..=2 => end,
            3 => end + FIRST_GROWTH,
            4 => end + rng.below(100_000),
            5 => end - rng.below(end.min(3 * PAGE)),
            6 => rng.below(end),
            _ => end + (4 << 30) + rng.below(1 << 30),
        };
        let delta = mid_page(to).cast_signed() - end.cast_signed();
        let moves = match (delta, rng.below(4)) {
            (0, _) => vec![],
            // Up and down in one call, or up twice.
            (_, 0) => vec![8192, delta - 8192],
            _ => vec![delta],
        };
        let now = end.wrapping_add_signed(delta);
        // Around each block some words can be read, so that code which reads the wrong one sees it.
        let near = |at: usize, rng: &mut Rng| (at / 16 * 16 + 16 * rng.below(4)).saturating_sub(32).clamp(80, now + 64);
        let block = match rng.below(8) {
            0 => Block::Null,
            1 => self.block(Spot::Mapping),
            2 => Block::FarAway,
            3 => Block::Heap { at: near(self.start, rng) / 16 * 16 },
            4 | 5 => Block::Heap { at: near(now, rng) / 16 * 16 },
            6 => Block::Heap { at: near(end, rng) / 16 * 16 },
            _ => Block::Heap { at: near(rng.below(now), rng) / 16 * 16 },
        };
        let word = (32 + 16 * rng.below(1 << 16)) | rng.below(8);
        Script { moves, block, word }
    }
}

/// A place near `at` that is not near the end of a page.
fn mid_page(at: usize) -> usize {
    const MARGIN: usize = 128;
    at / PAGE * PAGE + MARGIN + at % (PAGE - 2 * MARGIN)
}

/// Observers of every kind of heap, and calls of every kind: `part` of what they see has to be right.
fn watch_drawn_calls<T: PartialEq + std::fmt::Debug>(desk: &Desk, what: &str, part: impl Fn(Seen) -> T) {
    let mut rng = desk.rng();
    for _ in 0..40 {
        let start = mid_page([0, 64, 4096, 16 * rng.below(500), rng.below(10_000), 5 << 30][rng.below(6)]);
        let heap = mid_page(start + [0, PAGE, rng.below(20_000), 6 << 30][rng.below(4)]).max(start) - start;
        let watch = Watch::new(desk, start, heap);
        for _ in 0..3 {
            watch.check(&watch.drawn(&mut rng), what, &part);
            let end = watch.system.end();
            if end < 20 << 30 && rng.below(3) == 0 {
                watch.other_code_moves(mid_page(end + rng.below(9000)).cast_signed() - end.cast_signed());
            }
        }
    }
}

/// A block of glibc's with 100 bytes has this size word.
const SMALL: usize = 113;
/// A block of 1 MiB in a mapping has this one.
const MAPPED: usize = 1_052_674;

const MOVED: &str = "moved is how far the break is from where it was right before the call.";
const INSIDE: &str =
    "inside says whether the block starts in the heap: at its start or after it, and below the break after the call.";
const FLAG: &str = "mapped says what bit 1 of the word in front of the block says, and false where there is no block.";

#[test]
fn the_distance_that_the_break_moved_is_measured() {
    EXAM.case("moved", |desk| {
        for delta in [0, 135_168, 16, -4096] {
            let watch = Watch::new(desk, 4048, 2 * PAGE);
            let moves = if delta == 0 { vec![] } else { vec![delta] };
            let script = Script { moves, block: watch.block(Spot::Heap(16)), word: SMALL };
            watch.check(&script, MOVED, |seen| seen.moved);
        }
        watch_drawn_calls(desk, MOVED, |seen| seen.moved);
        let payload = "payload is the address that malloc returned.";
        watch_drawn_calls(desk, payload, |seen| format!("{:#x}", seen.payload));
    });
}

#[test]
fn each_call_is_measured_by_itself() {
    EXAM.case("moved", |desk| {
        let mut rng = desk.rng();
        let watch = Watch::new(desk, 0, 0);
        for delta in [4096, 0, 8192, -4096] {
            let moves = if delta == 0 { vec![] } else { vec![delta] };
            watch.check(&Script { moves, block: Block::Null, word: 0 }, MOVED, |seen| seen.moved);
        }
        for _ in 0..20 {
            let watch = Watch::new(desk, rng.below(10_000), 100_000);
            for _ in 0..4 {
                watch.other_code_moves(rng.below(20_000).cast_signed() - 10_000);
                let moves = vec![rng.below(20_000).cast_signed() - 9_999];
                watch.check(&Script { moves, block: Block::Null, word: 0 }, MOVED, |seen| seen.moved);
            }
        }
    });
}

#[test]
fn a_block_between_the_start_and_the_break_is_inside() {
    EXAM.case("inside", |desk| {
        const HEAP: isize = 2 * PAGE as isize;
        let cases = [
            ("A block at the heap's very start is inside.", Spot::Heap(0), 0),
            ("A block below the heap's start is not inside.", Spot::Heap(-16), 0),
            ("The last 16 bytes below the break are inside.", Spot::Heap(HEAP - 16), 0),
            ("A block in memory that the call itself has added is inside.", Spot::Heap(HEAP + 16), 4096),
            ("A block that the break has just moved below is not inside any more.", Spot::Heap(HEAP - 16), -2048),
            ("A mapping is not inside the heap.", Spot::Mapping, 0),
            ("A mapping is not inside the heap, even if the break moves meanwhile.", Spot::Mapping, 135_168),
            ("A block far away is not inside the heap.", Spot::FarAway, 0),
            ("Where there is no block, nothing is inside.", Spot::Null, 0),
        ];
        for (what, spot, delta) in cases {
            let watch = Watch::new(desk, 4048, HEAP.unsigned_abs());
            let moves = if delta == 0 { vec![] } else { vec![delta] };
            let script = Script { moves, block: watch.block(spot), word: SMALL };
            watch.check(&script, what, |seen| seen.inside);
        }
        watch_drawn_calls(desk, INSIDE, |seen| seen.inside);
    });
}

#[test]
fn the_break_itself_is_outside() {
    EXAM.case("inside", |desk| {
        let what =
            "A block that starts exactly at the break is not inside: the break is the first address after the heap.";
        let pages = 2 + desk.rng().below(50);
        for (start, heap) in [(4048, 2 * PAGE), (4096, 16), (0, pages * PAGE), (64, 0)] {
            let watch = Watch::new(desk, start, heap);
            let block = watch.block(Spot::Heap(heap.cast_signed()));
            watch.check(&Script { moves: vec![], block, word: SMALL }, what, |seen| seen.inside);
        }
    });
}

#[test]
fn bit_1_of_the_word_in_front_is_the_flag() {
    EXAM.case("mapped-flag", |desk| {
        let mut rng = desk.rng();
        let drawn: Vec<usize> = (0..20).map(|_| rng.bits() as usize).collect();
        let clear = [SMALL, 1, 0, 4, 5, usize::MAX - 2];
        let set = [MAPPED, 2, 3, 6, 7, usize::MAX];
        let fixed = clear.into_iter().zip(set).flat_map(|(clear, set)| [clear, set]);
        for (count, word) in fixed.chain(drawn).enumerate() {
            let system = system_with_break_at(desk, ROOM, 0);
            system.sbrk(4 * PAGE.cast_signed());
            // Some blocks start where a page does: only the page before it is open then, where the word in front of it is.
            let at = 2 * PAGE + if count < 20 { 16 * (1 + rng.below(250)) } else { 0 };
            // The neighbours say the opposite: only the word in front of the block counts.
            for neighbour in [at - 16, at, at + 8] {
                system.arena().set_word(neighbour, !word);
            }
            desk.act(format!("the word in front of {} is {word:#x}", Offset(at)), || {
                system.arena().set_word(at - 8, word);
            });
            let word_in_front = at - 8..at;
            desk.opens_only(std::slice::from_ref(&word_in_front));
            let before = desk.bytes();
            let seen: bool = desk.ask(&Question::MappedFlag { at });
            let what = format!("Bit 1 of {word:#x}, which has the value 2, is {}.", u8::from(word & 2 != 0));
            desk.expect(what, word & 2 != 0, seen);
            desk.expect_untouched("mapped_flag", &before, |_| false);
        }
    });
}

#[test]
fn the_observer_reads_the_flag_of_a_block() {
    EXAM.case("mapped-flag", |desk| {
        let cases = [
            (Spot::Heap(16), 0, SMALL),
            (Spot::Mapping, 0, MAPPED),
            (Spot::Null, 0, 0),
            (Spot::Heap(16), 0, MAPPED),
            (Spot::Mapping, 135_168, MAPPED),
            (Spot::Mapping, 0, 117),
            (Spot::FarAway, 0, MAPPED),
        ];
        for (spot, delta, word) in cases {
            let watch = Watch::new(desk, 4048, 2 * PAGE);
            let moves = if delta == 0 { vec![] } else { vec![delta] };
            let script = Script { moves, block: watch.block(spot), word };
            watch.check(&script, FLAG, |seen| seen.mapped);
        }
        watch_drawn_calls(desk, FLAG, |seen| seen.mapped);
    });
}

#[test]
fn the_source_follows_from_what_was_seen() {
    EXAM.case("source", |desk| {
        let mut rng = desk.rng();
        let mut moves = vec![0, 135_168, -4096, 1, -1, 1 << 32, -(1 << 32), isize::MAX, isize::MIN];
        moves.extend((0..10).map(|_| rng.bits().cast_signed() as isize));
        let ask = |payload: usize, moved: isize, inside: bool, mapped: bool| {
            let seen: Source = desk.ask(&Question::Source { payload, moved, inside, mapped });
            let expected = oracle::source(payload == 0, moved, inside, mapped);
            let what = match expected {
                Source::Refused => "Where malloc returned null, it refused.",
                Source::Break => "A block inside came with a break that moved up.",
                Source::Heap => "A block inside came from the heap as it was, unless the break moved up.",
                Source::Mapping => "A block that is not inside and has the flag is a mapping, whatever the break did.",
                Source::Elsewhere => "A block that is not inside and has no flag came from elsewhere.",
            };
            desk.expect(what, expected, seen);
            desk.new_story();
        };
        for moved in moves {
            // Where there is no block, nothing is inside and no flag is set.
            ask(0, moved, false, false);
            for (inside, mapped) in [(true, false), (false, true), (false, false), (true, true)] {
                let drawn = (16 + rng.bits() as usize) & !15;
                for payload in [0x1000, drawn.max(16), 16, usize::MAX - 15] {
                    ask(payload, moved, inside, mapped);
                }
            }
        }
    });
}

// ---- the bump allocator, on a simulated system ----

/// The candidate's bump allocator, and the oracle beside it.
struct Ours<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    oracle: oracle::Bump,
    /// Where each block starts, and how many bytes were asked for.
    blocks: Vec<(usize, usize)>,
}

/// What other code keeps in its memory.
const FOREIGN: u8 = 0x0f;

impl<'a> Ours<'a> {
    /// An allocator on a system of its own.
    fn new(desk: &'a Desk) -> Self {
        Self::with_break_at(desk, 0)
    }

    fn with_break_at(desk: &'a Desk, end: usize) -> Self {
        Self::with_room(desk, ROOM, end)
    }

    fn with_room(desk: &'a Desk, room: usize, end: usize) -> Self {
        let system = system_with_break_at(desk, room, end);
        let calls = system.call_count();
        let () = desk.order(&Question::NewBump);
        desk.expect("Bump::new asks the system for nothing.", calls, system.call_count());
        let ours = Ours { desk, system, oracle: oracle::Bump::default(), blocks: Vec::new() };
        ours.other_code_writes();
        ours
    }

    /// Asks for a block. It has to be where the oracle says, and the system has to be asked for what the oracle says.
    fn alloc(&mut self, request: usize) -> Option<Offset> {
        let (end, calls) = (self.system.end(), self.system.call_count());
        let plan = self.oracle.plan(request, end);
        let shown = |block: &Option<usize>| block.map_or("None".into(), |at| Offset(at).to_string());
        let block: Option<usize> = self.desk.ask_and_show(&Question::Alloc { request }, shown);
        if let Some(misuse) = self.system.misuse() {
            self.desk.fail(Finding::new(misuse));
        }
        self.check_memory_of(block, request);
        self.check_calls(&plan, &self.system.calls_after(calls));
        self.check_place(&plan, block);
        if let Some(at) = block {
            self.check_fresh(at, request);
            pattern::fill(self.blocks.len(), request, |i, bytes| self.system.arena().write(at + i, bytes));
            self.blocks.push((at, request));
            let grown = matches!(plan, Plan::Grow { .. }).then(|| self.system.end());
            self.oracle.hand_out(at, request, grown);
        }
        block.map(Offset)
    }

    /// All of a block has to lie in memory that the system has granted and that nobody else uses.
    fn check_memory_of(&self, block: Option<usize>, request: usize) {
        let Some(at) = block else { return };
        let wrong = |kind, what: &str| Finding { kind: Some(kind), ..Finding::new(what) };
        let (end, layout) = (self.system.end(), self.system.layout());
        let block_end = at.saturating_add(request.max(1));
        let seen = format!("a block from {} to {}", Offset(at), Offset(block_end));
        if block_end > end && !layout.mappings.iter().any(|mapping| mapping.range().contains(&at)) {
            let finding =
                wrong(Kind::OutsideMemory, "A block has to lie below the break: past it, there is no memory.");
            self.desk.fail(finding.expected(format!("an end at {} at the most", Offset(end)), seen));
        }
        if let Some(taken) = layout.foreign.iter().find(|taken| at < taken.end && taken.start < block_end) {
            let whose = format!("other code's memory from {} to {}", Offset(taken.start), Offset(taken.end));
            let finding =
                wrong(Kind::Overlap, "alloc hands out bytes that belong to other code, which has moved the break too.");
            self.desk.fail(finding.expected(format!("no byte of {whose}"), seen));
        }
        let held = |&&(other, bytes): &&(usize, usize)| at < other + oracle::size(bytes) && other < block_end;
        if let Some(&(other, bytes)) = self.blocks.iter().find(held) {
            let finding = wrong(Kind::Overlap, "alloc hands out bytes that still belong to another block.");
            let whose = format!("the block of {bytes} bytes at {}, which takes {}", Offset(other), oracle::size(bytes));
            self.desk.fail(finding.expected(format!("no byte of {whose}"), seen));
        }
    }

    fn check_calls(&self, plan: &Plan, calls: &[Call]) {
        const SHOWN: usize = 3;
        let mut seen: Vec<String> = calls.iter().take(SHOWN).map(Call::to_string).collect();
        if calls.len() > SHOWN {
            seen.push(format!("{} more", calls.len() - SHOWN));
        }
        let seen = if seen.is_empty() { "no call".into() } else { seen.join(", then ") };
        let wrong = |what: &str| Finding { kind: Some(Kind::WrongCall), ..Finding::new(what) };
        match plan {
            Plan::Serve(_) if calls.is_empty() => {}
            Plan::Serve(_) => {
                let left = self.oracle.left().len();
                let finding = wrong("Enough is left for this request, but the system is asked for something.");
                self.desk.fail(finding.expected(format!("no call: {left} bytes are left"), seen));
            }
            // Whether it asks at all, is its own business.
            Plan::Hopeless if calls.iter().all(|call| call.is_refused()) => {}
            Plan::Hopeless => {
                let finding = wrong("No system has as much memory as this request needs.");
                self.desk.fail(finding.expected("no call, or one that is refused", seen));
            }
            Plan::Grow { delta, missing, joins, .. } => {
                if let [Call::Sbrk { delta: seen, .. }] = calls
                    && *seen == delta.cast_signed()
                {
                    return;
                }
                let asks_for_a_mapping = calls.iter().any(|call| matches!(call, Call::Mmap { .. }));
                let what = match calls {
                    [first, _, ..] if first.is_refused() => {
                        "The system has refused, and then it is asked for something else."
                    }
                    [first, second, ..] if first == second => "The system is asked again and again for one request.",
                    _ if asks_for_a_mapping => "The system is asked for a mapping, but this allocator moves the break.",
                    _ => "The system is asked for something else than the rule says.",
                };
                let left = match (joins, self.oracle.left().len()) {
                    (true, left) => format!("{left} bytes are left, so {missing} are missing"),
                    (false, 0) => format!("nothing is left, so {missing} are missing"),
                    (false, left) => {
                        format!(
                            "the {left} bytes that are left don't border on the new memory, so {missing} are missing"
                        )
                    }
                };
                let finding = wrong(what);
                let expected = format!("sbrk({delta:+}): {left}; with 131072 more, rounded up to whole pages");
                self.desk.fail(finding.expected(expected, seen));
            }
        }
    }

    fn check_place(&self, plan: &Plan, block: Option<usize>) {
        let is_refused = self.system.calls().last().is_some_and(|call| call.is_refused());
        let after = if self.blocks.is_empty() { "" } else { ", right after the block before" };
        let (place, why) = match plan {
            Plan::Serve(place) => (Some(*place), format!("{after}: {} bytes are left", self.oracle.left().len())),
            Plan::Grow { .. } if is_refused => (None, ": the system has refused".into()),
            Plan::Grow { place, joins: true, .. } => {
                (Some(*place), format!("{after}: what was left and the new memory are one piece"))
            }
            Plan::Grow { place, .. } => (Some(*place), ", the first multiple of 16 in the new memory".into()),
            Plan::Hopeless => (None, ": no block can be that large".into()),
        };
        if block != place {
            let spoken = |block: Option<usize>| block.map_or("None".into(), |at| Offset(at).to_string());
            let (kind, what) = match (block, place) {
                (None, _) => (Kind::GaveUp, "alloc gives up, but the request can be served."),
                (_, None) => (Kind::WrongPlace, "alloc returns a block, but it has no memory for one."),
                _ => (Kind::WrongPlace, "The block has another place than the rule says."),
            };
            let finding = Finding { kind: Some(kind), ..Finding::new(what) };
            self.desk.fail(finding.expected(format!("{}{why}", spoken(place)), spoken(block)));
        }
    }

    /// A new block has to be as the system granted it. Of a long one, both ends are looked at; in the middle of much memory, the
    /// system grants zeroes.
    fn check_fresh(&self, at: usize, request: usize) {
        const ENDS: usize = 4096;
        let holds_zeroes = self.system.end() > 8 << 20;
        let is_fresh = |&byte: &u8| byte == FRESH || holds_zeroes && byte == 0;
        for part in [at..at + request.min(ENDS), at + request.saturating_sub(ENDS)..at + request] {
            let mut bytes = vec![0; part.len()];
            self.system.arena().read(part.start, &mut bytes);
            if let Some(index) = bytes.iter().position(|byte| !is_fresh(byte)) {
                let what = "alloc writes into the memory that it hands out.";
                let finding = Finding { kind: Some(Kind::ContentChanged), ..Finding::new(what) };
                let seen = format!("{:#04x} at {}", bytes[index], Offset(part.start + index));
                self.desk.fail(finding.expected(format!("{FRESH:#04x}, as in all fresh memory"), seen));
            }
        }
    }

    /// Whatever blocks and other code hold has to be as it was written.
    fn check_contents(&self) {
        let arena = self.system.arena();
        for (id, &(at, request)) in self.blocks.iter().enumerate() {
            if let Some((index, _)) = pattern::first_changed(id, request, request, |i, into| arena.read(at + i, into)) {
                let finding = Finding::new("A byte of a block has changed while the program held it.");
                let (wanted, seen) = (pattern::byte(id, index), arena.snapshot(at + index..at + index + 1));
                let seen = seen.bytes(at + index..at + index + 1)[0];
                self.desk.fail(finding.expected(
                    format!("{wanted:#04x} at {}, as the program wrote it", Offset(at + index)),
                    format!("{seen:#04x}"),
                ));
            }
        }
        for taken in self.system.layout().foreign {
            let bytes = arena.snapshot(taken.clone()).bytes(taken.clone());
            if let Some(index) = bytes.iter().position(|&byte| byte != FOREIGN) {
                let finding = Finding::new("A byte of other code's memory has changed.");
                let seen = format!("{:#04x}", bytes[index]);
                let at = Offset(taken.start + index);
                self.desk.fail(finding.expected(format!("{FOREIGN:#04x} at {at}"), seen));
            }
        }
    }

    /// Other code moves the break, and uses what it gets.
    fn other_code_moves(&self, delta: isize) {
        self.desk.act(format!("other code moves the break by {delta:+}"), || self.system.foreign_sbrk(delta));
        self.other_code_writes();
    }

    fn other_code_writes(&self) {
        for taken in self.system.layout().foreign {
            self.system.arena().write(taken.start, &vec![FOREIGN; taken.len()]);
        }
    }

    fn system_refuses(&self, refusal: Refusal) {
        let what = refusal.in_words().unwrap_or("from now on, the system grants what it is asked for".into());
        self.desk.act(what, || self.system.refuse(refusal));
    }

    /// How many bytes are left.
    fn left(&self) -> usize {
        self.oracle.left().len()
    }
}

/// Bytes for a request: mostly few, sometimes more than one growth has.
fn drawn_request(rng: &mut Rng) -> usize {
    match rng.below(8) {
        0 => rng.below(3),
        1..=4 => rng.below(400),
        5 => rng.below(20_000),
        6 => 16 * rng.below(10_000),
        _ => rng.below(400_000),
    }
}

#[test]
fn a_first_request_of_100_bytes_moves_the_break_by_135168() {
    EXAM.case("first-growth", |desk| {
        Ours::new(desk).alloc(100);
        desk.snapshot_calls("first_request");
        // All of these end in the same page.
        let mut rng = desk.rng();
        for request in [0, 1, 4096, 1 + rng.below(4096)] {
            Ours::new(desk).alloc(request);
        }
    });
}

#[test]
fn the_second_request_asks_for_nothing() {
    EXAM.case("first-growth", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        ours.alloc(100);
        let mut rng = desk.rng();
        for _ in 0..8 {
            let mut ours = Ours::new(desk);
            ours.alloc(1 + rng.below(4000));
            ours.alloc(1 + rng.below(130_000));
        }
    });
}

#[test]
fn blocks_lie_side_by_side() {
    EXAM.case("side-by-side", |desk| {
        let mut ours = Ours::new(desk);
        for request in [1, 15, 16, 17, 0, 100, 0, 32, 1000] {
            ours.alloc(request);
        }
        ours.check_contents();
        let mut rng = desk.rng();
        let mut ours = Ours::new(desk);
        for _ in 0..100 {
            ours.alloc(rng.below(1000));
        }
        ours.check_contents();
    });
}

#[test]
fn the_first_block_is_aligned_wherever_the_break_is() {
    EXAM.case("side-by-side", |desk| {
        let drawn = 1 + desk.rng().below(100_000);
        for end in [1, 100, 112, 4095, drawn].into_iter().chain(1..=16) {
            let mut ours = Ours::with_break_at(desk, end);
            ours.alloc(24);
            ours.alloc(24);
            // The bytes that were skipped are missing at the end: for this one, the break has to move.
            ours.alloc(ours.left() + 1);
            ours.check_contents();
        }
    });
}

#[test]
fn not_a_byte_is_lost_at_an_odd_break() {
    EXAM.case("side-by-side", |desk| {
        // 15 bytes are skipped; a byte is left when the third block needs 16.
        let drawn = 16 * desk.rng().below(1000) + 1 + desk.rng().below(15);
        for end in [1, drawn] {
            let mut ours = Ours::with_break_at(desk, end);
            ours.alloc(100);
            ours.alloc(ours.left() / 16 * 16);
            ours.alloc(16);
            ours.alloc(100);
            ours.check_contents();
        }
    });
}

#[test]
fn alloc_writes_nothing() {
    EXAM.case("side-by-side", |desk| {
        let mut rng = desk.rng();
        for _ in 0..4 {
            let mut ours = Ours::with_break_at(desk, rng.below(100));
            for _ in 0..10 {
                ours.alloc(drawn_request(&mut rng).min(50_000));
                ours.check_contents();
                if rng.below(3) == 0 {
                    ours.other_code_moves(1 + rng.below(5000).cast_signed());
                }
            }
        }
    });
}

#[test]
fn what_is_missing_and_the_pad_are_asked_for() {
    EXAM.case("growth", |desk| {
        let mut ours = Ours::new(desk);
        for request in [100, 200_000, 3000, 300_000, 1] {
            ours.alloc(request);
        }
        ours.check_contents();
        desk.snapshot_calls("growth");
        // The bytes that are skipped come out of the pad: these are 33 pages, wherever the break is.
        for end in [1, 2 + desk.rng().below(10_000)] {
            Ours::with_break_at(desk, end).alloc(4096);
        }
    });
}

#[test]
fn a_request_that_takes_all_that_is_left_moves_nothing() {
    EXAM.case("growth", |desk| {
        let mut rng = desk.rng();
        for first in [16, 1 + rng.below(4000)] {
            let mut ours = Ours::new(desk);
            ours.alloc(first);
            ours.alloc(ours.left());
            ours.alloc(1);
            // One byte more than there is, and all but one byte, which takes all.
            ours.alloc(ours.left() + 1);
            ours.alloc(ours.left() - 1);
            ours.alloc(0);
            ours.check_contents();
        }
    });
}

#[test]
fn the_break_moves_no_more_often_than_it_has_to() {
    EXAM.case("growth", |desk| {
        let mut rng = desk.rng();
        // Short stories first: they explain more.
        for steps in [3, 3, 3, 3, 5, 5, 5, 60, 60] {
            let mut ours = Ours::new(desk);
            for _ in 0..steps {
                ours.alloc(drawn_request(&mut rng));
            }
            ours.check_contents();
        }
    });
}

#[test]
fn a_request_may_be_larger_than_32_bits_can_count() {
    EXAM.case("growth", |desk| {
        let mut rng = desk.rng();
        let mut huge = || (4 << 30) + rng.below(3 << 30);
        let requests = [4 << 30, (2 << 30) + 1, 100, huge(), 200_000, huge(), (4 << 30) - 100_000, 1];
        let mut ours = Ours::with_room(desk, HEAP_ROOM, 100);
        // Code that writes into its blocks is found out here, before it fills the machine's memory.
        ours.alloc(100_000);
        for request in requests {
            ours.alloc(request);
        }
        // Of what the system can give, this is all but a few pages.
        ours.alloc(HEAP_ROOM - ours.system.end() - 40 * PAGE);
        ours.alloc(8);
        ours.check_contents();
        let mut ours = Ours::with_room(desk, HEAP_ROOM, 0);
        ours.alloc(30 << 30);
        ours.other_code_moves(4097);
        ours.alloc(1 << 30);
        ours.check_contents();
    });
}

#[test]
fn there_may_be_any_number_of_blocks() {
    EXAM.case("growth", |desk| {
        let mut rng = desk.rng();
        // More blocks than 16 bits can count, and then more growths than 8 bits can.
        let small = (0..70_000).map(|_| rng.below(30)).collect();
        let large = (0..300).map(|_| 100_000 + rng.below(100_000)).collect();
        for requests in [small, large] {
            alloc_all(desk, requests);
        }
    });
}

/// All in one question: the oracle says where each block is.
fn alloc_all(desk: &Desk, requests: Vec<usize>) {
    let ours = Ours::new(desk);
    let (mut oracle, mut end, mut calls) = (oracle::Bump::default(), 0, Vec::new());
    let expected: Vec<usize> = requests
        .iter()
        .map(|&request| {
            let (place, grown) = match oracle.plan(request, end) {
                Plan::Serve(place) => (place, None),
                Plan::Grow { delta, place, .. } => {
                    end += delta;
                    calls.push(Call::Sbrk { delta: delta.cast_signed(), granted: true });
                    (place, Some(end))
                }
                Plan::Hopeless => unreachable!("these requests are small"),
            };
            oracle.hand_out(place, request, grown);
            place
        })
        .collect();
    let question = Question::AllocAll { requests: requests.clone() };
    let seen: Vec<Option<usize>> = desk.ask_and_show(&question, |_| String::new());
    desk.expect("There are as many answers as requests.", expected.len(), seen.len());
    if let Some(wrong) = (0..expected.len()).find(|&i| seen[i] != Some(expected[i])) {
        let what = format!(
            "Block no. {} of many, of {} bytes, has another place than the rule says.",
            wrong + 1,
            requests[wrong]
        );
        let seen = seen[wrong].map_or("None".into(), |at| Offset(at).to_string());
        desk.fail(Finding::new(what).expected(Offset(expected[wrong]).to_string(), seen));
    }
    let seen = ours.system.calls();
    let first = (0..calls.len().max(seen.len())).find(|&i| calls.get(i) != seen.get(i));
    if let Some(wrong) = first {
        let spoken = |call: Option<&Call>| call.map_or("no call".into(), Call::to_string);
        let what = format!("The system's call no. {} is not what the rule says.", wrong + 1);
        desk.fail(Finding::new(what).expected(spoken(calls.get(wrong)), spoken(seen.get(wrong))));
    }
}

// ---- other code ----

#[test]
fn blocks_go_on_after_memory_that_other_code_took() {
    EXAM.case("other-code", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        ours.other_code_moves(100);
        // What is left still serves, but it does not border on the memory that comes next.
        for request in [100, 200_000, 16] {
            ours.alloc(request);
        }
        ours.check_contents();
        desk.snapshot_calls("other_code");
        // By whole pages too, and when nothing is left.
        let mut ours = Ours::new(desk);
        ours.other_code_moves(4096);
        ours.alloc(16);
        ours.other_code_moves(4096);
        ours.alloc(ours.left());
        ours.alloc(16);
        ours.other_code_moves(4096);
        ours.alloc(200_000);
        ours.check_contents();
    });
}

/// By how much other code moves the break, up and down: odd numbers of bytes, whole pages, and back to where it was.
const MOVES: [&[isize]; 10] = [
    &[1],
    &[16],
    &[4096],
    &[131_072],
    &[100, -100],
    &[4096, -4096],
    &[4096, -1],
    &[5000, -4096],
    &[4096, -4080],
    &[135_168, -135_168, 48],
];

#[test]
fn other_code_may_move_the_break_at_any_moment() {
    EXAM.case("other-code", |desk| {
        let mut rng = desk.rng();
        for moves in MOVES {
            let theirs = |ours: &Ours<'_>| moves.iter().for_each(|&delta| ours.other_code_moves(delta));
            let after = |ours: &mut Ours<'_>, rng: &mut Rng| {
                for request in [200_000 + rng.below(1000), 1 + rng.below(100), 300_000] {
                    ours.alloc(request);
                }
                ours.check_contents();
            };
            // Before the first request.
            let mut ours = Ours::with_break_at(desk, [0, rng.below(100)][rng.below(2)]);
            theirs(&ours);
            after(&mut ours, &mut rng);
            // Where something is left: a part of it still serves.
            let mut ours = Ours::new(desk);
            ours.alloc(1 + rng.below(3000));
            theirs(&ours);
            ours.alloc(1 + rng.below(3000));
            after(&mut ours, &mut rng);
            // Where nothing is left.
            let mut ours = Ours::new(desk);
            ours.alloc(FIRST_GROWTH - TOP_PAD);
            ours.alloc(ours.left());
            theirs(&ours);
            after(&mut ours, &mut rng);
        }
    });
}

/// What is asked for beyond what is needed.
const TOP_PAD: usize = 131_072;

#[test]
fn the_break_is_compared_anew_each_time() {
    EXAM.case("other-code", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        ours.other_code_moves(4096);
        ours.alloc(100);
        ours.other_code_moves(-4096);
        // The break is where our memory ends: nobody is there any more.
        ours.alloc(200_000);
        ours.check_contents();
        // The same before the first request: the place where the allocator was made is gone.
        let mut ours = Ours::with_break_at(desk, 5000);
        ours.other_code_moves(-4900);
        ours.alloc(100);
        ours.other_code_moves(3);
        ours.alloc(ours.left() + 1);
        ours.check_contents();
        // Drawn stories, short ones first.
        let mut rng = desk.rng();
        for steps in [4, 4, 6, 6, 8, 40, 40] {
            let mut ours = Ours::with_break_at(desk, rng.below(5000));
            for _ in 0..steps {
                let delta = [1 + rng.below(100), PAGE, rng.below(9000)][rng.below(3)].cast_signed();
                let taken =
                    ours.system.layout().foreign.last().filter(|taken| taken.end == ours.system.end()).map(Range::len);
                match (rng.below(6), taken) {
                    (0 | 1, _) => ours.other_code_moves(delta),
                    (2, Some(taken)) => ours.other_code_moves(-(1 + rng.below(taken).cast_signed())),
                    (3, Some(taken)) => ours.other_code_moves(-taken.cast_signed()),
                    _ => {
                        ours.alloc(drawn_request(&mut rng));
                    }
                }
            }
            ours.check_contents();
        }
    });
}

// ---- refusals ----

#[test]
fn a_refused_request_loses_nothing() {
    EXAM.case("refusal", |desk| {
        let mut ours = Ours::new(desk);
        ours.system_refuses(Refusal::AllMemory);
        ours.alloc(100);
        ours.system_refuses(Refusal::Nothing);
        ours.alloc(100);
        ours.system_refuses(Refusal::AllMemory);
        // Refused; but what was left is still there.
        ours.alloc(200_000);
        ours.alloc(100);
        ours.system_refuses(Refusal::Nothing);
        ours.alloc(200_000);
        ours.other_code_moves(100);
        ours.system_refuses(Refusal::AllMemory);
        ours.alloc(400_000);
        ours.alloc(100);
        ours.check_contents();
    });
}

#[test]
fn each_call_may_be_refused() {
    EXAM.case("refusal", |desk| {
        let mut rng = desk.rng();
        const GROWTHS: usize = 5;
        for (number, from_then_on) in (0..GROWTHS).flat_map(|number| [(number, false), (number, true)]) {
            let mut ours = Ours::with_break_at(desk, rng.below(3) * rng.below(5000));
            ours.system_refuses(if from_then_on { Refusal::From(number) } else { Refusal::Once(number) });
            for step in 0..GROWTHS {
                let request = ours.left() + 1 + rng.below(100_000);
                if ours.alloc(request).is_none() {
                    // All that was left is left.
                    let left = ours.left();
                    if left > 100 {
                        ours.alloc(rng.below(100));
                    }
                    ours.alloc(request);
                }
                if rng.below(3) == 0 {
                    ours.other_code_moves(1 + rng.below(5000).cast_signed());
                }
                if step + 1 == GROWTHS && ours.left() > 0 {
                    ours.alloc(ours.left());
                }
            }
            ours.check_contents();
        }
    });
}

#[test]
fn no_block_can_be_that_large() {
    EXAM.case("refusal", |desk| {
        const MOST: usize = isize::MAX as usize;
        let mut rng = desk.rng();
        let mut requests = vec![usize::MAX, MOST, MOST + 1, 1 << 40, usize::MAX - 15, usize::MAX - 16, HEAP_ROOM];
        for limit in [usize::MAX, MOST] {
            requests.extend([limit - TOP_PAD, limit - TOP_PAD - PAGE, limit - TOP_PAD - 2 * PAGE, limit - PAGE]);
            requests.extend((0..4).map(|_| limit - rng.below(300_000)));
        }
        for request in requests {
            let mut ours = Ours::with_break_at(desk, rng.below(2) * rng.below(100));
            ours.alloc(request);
            ours.alloc(100);
            ours.alloc(request);
            ours.alloc(100);
            ours.other_code_moves(100);
            ours.alloc(request);
            ours.alloc(100);
            ours.check_contents();
        }
    });
}

// ---- the C library's malloc, and Linux ----
//
// What glibc and Linux do, no examiner sees from outside: here the candidate reports what the learner's code said and what became of
// the blocks. So these cases rest on its word, and the rule counts little. Without the same code on the simulated system it counts
// nothing.

/// What the rules say holds for pages of [`PAGE`] bytes.
fn needs_pages_of_4096(desk: &Desk) {
    // SAFETY: sysconf only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if usize::try_from(page) != Ok(PAGE) {
        desk.skip(format!("this system's pages have {page} bytes, not {PAGE}"));
    }
}

fn needs_glibc(desk: &Desk) {
    if !cfg!(target_env = "gnu") {
        desk.skip("this C library is not glibc");
    }
    needs_pages_of_4096(desk);
    watches_a_block(desk);
    desk.new_story();
    desk.draws_no_heap();
}

fn watches_a_block(desk: &Desk) {
    let watch = Watch::new(desk, 4048, 2 * PAGE);
    let script = Script { moves: vec![], block: watch.block(Spot::Heap(16)), word: SMALL };
    watch.check(&script, INSIDE, |seen| seen.inside);
}

/// Asks a candidate in which glibc has allocated nothing yet. Of what it says for each request, `part` has to be as expected.
fn watch_glibc<T: PartialEq + std::fmt::Debug>(
    desk: &Desk,
    question: fn(Vec<usize>) -> Question,
    requests: &[usize],
    what: &str,
    expected: impl Fn(usize) -> T,
    part: impl Fn((isize, Source)) -> T,
) {
    desk.new_candidate();
    let seen: Vec<(isize, Source)> = desk.ask_and_show(&question(requests.to_vec()), |_| String::new());
    desk.expect("There are as many answers as requests.", requests.len(), seen.len());
    for (index, (request, seen)) in requests.iter().zip(seen).enumerate() {
        desk.expect(format!("Block no. {}, of {request} bytes: {what}", index + 1), expected(index), part(seen));
    }
}

#[test]
fn glibc_moves_the_break_once_for_many_small_blocks() {
    EXAM.case("real", |desk| {
        needs_glibc(desk);
        let mut rng = desk.rng();
        // Together fewer bytes than the break moves by.
        let drawn: Vec<usize> = (0..20).map(|_| 1 + rng.below(3000)).collect();
        let what = "glibc moves the break for its first small block, and for no other one.";
        let expected = |index| if index == 0 { (135_168, Source::Break) } else { (0, Source::Heap) };
        for requests in [vec![100, 200], drawn] {
            watch_glibc(desk, |requests| Question::WatchGlibc { requests }, &requests, what, expected, |seen| seen);
        }
    });
}

#[test]
fn ten_mebibytes_have_a_mapping_of_their_own() {
    EXAM.case("real", |desk| {
        needs_glibc(desk);
        let mut rng = desk.rng();
        let drawn = (0..5).map(|_| (1 << 20) + rng.below(50 << 20)).collect();
        let what = "glibc gives each large block a mapping of its own.";
        for requests in [vec![10 << 20], drawn] {
            // The first call of malloc may move the break even where the block is mapped: glibc prepares its heap then or later,
            // version by version. Where the block comes from is the same in all.
            let question = |requests| Question::WatchGlibc { requests };
            watch_glibc(desk, question, &requests, what, |_| Source::Mapping, |(_, source)| source);
        }
    });
}

#[test]
fn a_thread_gets_its_blocks_from_elsewhere() {
    EXAM.case("real", |desk| {
        needs_glibc(desk);
        let mut rng = desk.rng();
        let requests: Vec<usize> = [100].into_iter().chain((0..5).map(|_| 1 + rng.below(3000))).collect();
        let what = "in a second thread, glibc takes small blocks from another arena.";
        let question = |requests| Question::WatchThread { requests };
        watch_glibc(desk, question, &requests, what, |_| Source::Elsewhere, |(_, source)| source);
    });
}

#[test]
fn the_same_allocator_runs_on_linux() {
    EXAM.case("real", |desk| {
        needs_pages_of_4096(desk);
        Ours::new(desk).alloc(100);
        desk.new_story();
        desk.draws_no_heap();
        let mut rng = desk.rng();
        let drawn = (0..200).map(|_| match rng.below(4) {
            0 => Request::Malloc { bytes: 1 + rng.below(100_000) },
            _ => Request::Bump { bytes: rng.below(200_000) },
        });
        let requests: Vec<Request> = drawn.collect();
        let question = Question::BumpOnLinux { requests: requests.clone() };
        let answers: Vec<(Option<usize>, bool, bool)> = desk.ask_and_show(&question, |_| String::new());
        desk.expect("There are as many answers as requests.", requests.len(), answers.len());
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for (request, (block, is_below, is_whole)) in requests.iter().zip(answers) {
            let (Request::Bump { bytes } | Request::Malloc { bytes }) = *request;
            let Some(at) = block else {
                desk.fail(Finding::new(format!("Linux has memory for {bytes} bytes, but there is no block.")))
            };
            if matches!(request, Request::Bump { .. }) {
                desk.expect("A block starts at a multiple of 16.", 0, at % ALIGNMENT);
                desk.expect("A block lies below the break.", true, is_below);
            }
            desk.expect(format!("The {bytes} bytes hold what the program wrote there."), true, is_whole);
            blocks.push((at, at.saturating_add(bytes.max(1))));
        }
        blocks.sort_unstable();
        let overlap = blocks.windows(2).any(|pair| pair[0].1 > pair[1].0);
        desk.expect("Some blocks have bytes in common.", false, overlap);
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        watches_a_block(desk);
    });
}
