//! The graded cases of lab 4. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.

mod oracle;
mod questions;

use heapkit::draw::{self, size_word_in_words};
use heapkit::format::{IS_MMAPPED, MIN_CHUNK, NON_MAIN_ARENA, PAYLOAD, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Arena, PAGE};
use heapkit::os::Place;
use heapkit::referee::{Allocator, AnyMalloc, Call, Fit, ListRules, Rules, pattern};
use heapkit::snapshot::Snapshot;
use heapkit::workload::{self, Op, Rng, ops};
use oracle::{Piece, Row, TakenBack, lost, take_back};
use proctor::{Desk, Exam, Finding, Remote, Stage, System, one_list};
use questions::{Fragmentation, Question};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

const EXAM: Exam = Exam::new("lab04", cfg!(feature = "solution"));

/// Every combination of flags, the plainest first.
const FLAGS: [usize; 8] = [
    PREV_INUSE,
    0,
    NON_MAIN_ARENA,
    PREV_INUSE | NON_MAIN_ARENA,
    IS_MMAPPED,
    PREV_INUSE | IS_MMAPPED,
    IS_MMAPPED | NON_MAIN_ARENA,
    PREV_INUSE | IS_MMAPPED | NON_MAIN_ARENA,
];

/// What a call has to write. All other words stay as they were.
struct Change {
    /// What does the writing: `split`.
    name: &'static str,
    /// The words: where, what they have to be, and that as a sentence.
    words: Vec<(usize, usize, String)>,
    /// Bytes that nobody uses any more: what is in them doesn't matter.
    dead: Range<usize>,
}

impl Change {
    fn check(&self, desk: &Desk, before: &Snapshot) {
        for (at, word, what) in &self.words {
            let show = |word| if at % 16 == 8 { size_word_in_words(word) } else { draw::word(word) };
            desk.expect_word(what, *at, *word, show);
        }
        let is_written = |at: usize| self.words.iter().any(|(word, ..)| (*word..word + 8).contains(&at));
        desk.expect_untouched(self.name, before, |at| is_written(at) || self.dead.contains(&at));
    }
}

// ---- one chunk, cut and joined ----

/// Where the first of two chunks starts: after a small one, which is free if the first one's flags say so.
const FIRST: usize = MIN_CHUNK;

/// Two chunks that nobody uses, and the top chunk. The second one may have no size: then the first goes on to the heap's end.
fn two_chunks(desk: &Desk, sizes: [usize; 2], flags: [usize; 2]) -> Snapshot {
    let end = FIRST + sizes[0] + sizes[1];
    let is_last = sizes[1] == 0;
    let len = if is_last { end } else { (end + MIN_CHUNK).next_multiple_of(PAGE) };
    let system = desk.heap(len);
    let arena = system.arena();
    arena.set_word(8, FIRST | PREV_INUSE);
    arena.set_word(FIRST + 8, sizes[0] | flags[0]);
    if flags[0] & PREV_INUSE == 0 {
        arena.set_word(FIRST, FIRST);
    }
    if !is_last {
        arena.set_word(FIRST + sizes[0] + 8, sizes[1] | flags[1]);
        arena.set_word(end + 8, (len - end) | PREV_INUSE);
    }
    desk.bytes()
}

/// `split` has to cut the first of two chunks, or to leave it whole.
fn splits(desk: &Desk, [whole, second]: [usize; 2], flags: usize, size: usize) {
    let before = two_chunks(desk, [whole, second], [flags, PREV_INUSE]);
    // The chunk itself is all that matters.
    desk.opens_only(std::slice::from_ref(&(FIRST..FIRST + whole)));
    let left = whole - size;
    let cut = (left >= MIN_CHUNK).then_some(FIRST + size);
    let show = |(rest, _): &(Option<Offset>, usize)| match rest {
        Some(rest) => format!("a rest at {rest}"),
        None => "None".to_owned(),
    };
    let (rest, front): (Option<Offset>, usize) = desk.ask_and_show(&Question::Split { at: FIRST, size }, show);
    let what = match left {
        0 => "Nothing is left of the chunk: there is no rest.".to_owned(),
        _ if cut.is_none() => format!("Only {left} bytes are left of the {whole}: too few for a chunk."),
        _ => format!("The {left} bytes that are left are a chunk, where the front ends."),
    };
    desk.expect(what, cut.map(Offset), rest);
    desk.expect("The front stays where it is.", Offset(FIRST), Offset(front));
    let words = cut.map(|cut| {
        let front = (FIRST + 8, size | flags, "The front gets the new size and keeps its flags.".to_owned());
        let rest = (cut + 8, left | PREV_INUSE, "The rest gets what is left, and P is its only flag.".to_owned());
        vec![front, rest]
    });
    Change { name: "split", words: words.unwrap_or_default(), dead: 0..0 }.check(desk, &before);
}

/// A chunk size between these.
fn drawn_size(rng: &mut Rng, sizes: Range<usize>) -> usize {
    16 * rng.within(&(sizes.start / 16..=sizes.end / 16))
}

#[test]
fn a_rest_of_32_bytes_is_a_chunk() {
    EXAM.case("split", |desk| {
        for size in [80, 32, 48] {
            for flags in FLAGS {
                splits(desk, [112, 64], flags, size);
            }
        }
        let size = drawn_size(&mut desk.rng(), 32..2048);
        splits(desk, [size + 32, 64], PREV_INUSE, size);
    });
}

#[test]
fn a_rest_that_is_too_small_stays_with_the_front() {
    EXAM.case("split", |desk| {
        for flags in FLAGS {
            splits(desk, [112, 64], flags, 96);
            splits(desk, [112, 64], flags, 112);
        }
        let size = drawn_size(&mut desk.rng(), 32..2048);
        splits(desk, [size + 16, 64], PREV_INUSE, size);
    });
}

#[test]
fn split_writes_two_size_words_and_nothing_else() {
    EXAM.case("split", |desk| {
        let mut rng = desk.rng();
        let gib = 1 << 30;
        for most in [512, 8 * PAGE, 64 << 20, 12 * gib] {
            for _ in 0..4 {
                let whole = drawn_size(&mut rng, most / 2..most);
                let second = drawn_size(&mut rng, 3 * PAGE..4 * PAGE);
                splits(desk, [whole, second], FLAGS[rng.below(8)], drawn_size(&mut rng, 32..whole));
            }
        }
        // Front and rest both longer than 32 bits can say; and the last chunk of a heap, after which there is nothing.
        splits(desk, [10 * gib, 64], PREV_INUSE, 4 * gib + 96);
        splits(desk, [PAGE - FIRST, 0], PREV_INUSE, drawn_size(&mut rng, 32..PAGE - FIRST - 32));
    });
}

/// `join` has to make one of two chunks.
fn joins(desk: &Desk, sizes: [usize; 2], flags: [usize; 2]) {
    let before = two_chunks(desk, sizes, flags);
    let (after, end) = (FIRST + sizes[0], FIRST + sizes[0] + sizes[1]);
    desk.opens_only(std::slice::from_ref(&(FIRST..end)));
    let joined: usize = desk.order(&Question::Join { at: FIRST, after });
    desk.expect("The joined chunk starts where the first one did.", Offset(FIRST), Offset(joined));
    let [first, second] = sizes;
    let what =
        format!("The joined chunk has both sizes together, {first} + {second} bytes, and the first one's flags.");
    let words = vec![(FIRST + 8, (sizes[0] + sizes[1]) | flags[0], what)];
    Change { name: "join", words, dead: 0..0 }.check(desk, &before);
}

#[test]
fn two_neighbours_become_one_chunk() {
    EXAM.case("join", |desk| {
        for first in FLAGS {
            FLAGS.iter().for_each(|second| joins(desk, [112, 64], [first, *second]));
        }
    });
}

#[test]
fn join_writes_one_size_word_and_nothing_else() {
    EXAM.case("join", |desk| {
        let mut rng = desk.rng();
        for most in [512, 8 * PAGE, 64 << 20, 6 << 30] {
            for _ in 0..4 {
                let mut size = || drawn_size(&mut rng, most / 2..most);
                let sizes = [size(), size()];
                joins(desk, sizes, [(); 2].map(|()| FLAGS[rng.below(8)]));
            }
        }
    });
}

// ---- a chunk taken back ----

/// What is beside the chunk that is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Used,
    Free,
    /// The start of the heap, or the top chunk.
    End,
}

use Beside::{End, Free, Used};

/// How long the chunks of a layout are.
#[derive(Clone, Copy)]
enum Scale {
    /// A few hundred bytes.
    Small,
    /// Three pages and more, so that those of uninvolved chunks can be closed.
    Pages,
    /// The three in question have gibibytes.
    Gibibytes,
}

/// A layout in which no two neighbours are free, and the chunk in it that has these beside it.
fn drawn_row(rng: &mut Rng, before: Beside, after: Beside, scale: Scale) -> (Row, usize) {
    // From the chunk outwards: whether each one is free.
    let mut outwards = |nearest: Beside| {
        let mut frees = if nearest == End { Vec::new() } else { vec![nearest == Free] };
        for _ in 0..if nearest == End { 0 } else { 1 + rng.below(3) } {
            let is_free = frees.last() == Some(&false) && rng.below(2) == 0;
            frees.push(is_free);
        }
        if frees.last() == Some(&true) {
            frees.push(false);
        }
        frees
    };
    let (left, right) = (outwards(before), outwards(after));
    let index = left.len();
    let frees: Vec<bool> = left.into_iter().rev().chain([false]).chain(right).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, is_free) in frees.into_iter().enumerate() {
        let size = match scale {
            Scale::Small => drawn_size(rng, 32..320),
            Scale::Gibibytes if at.abs_diff(index) < 2 => drawn_size(rng, 2 << 30..5 << 30),
            _ => drawn_size(rng, 3 * PAGE..5 * PAGE),
        };
        let flags = if rng.below(3) == 0 { NON_MAIN_ARENA } else { 0 };
        pieces.push(Piece { size, is_free, flags });
    }
    let used: usize = pieces.iter().map(|piece| piece.size).sum();
    let size = (used + MIN_CHUNK).next_multiple_of(PAGE) - used;
    pieces.push(Piece { size, is_free: false, flags: 0 });
    (Row(pieces), index)
}

/// Chunks named by their addresses, as a sentence.
fn named(chunks: &[usize]) -> String {
    match chunks {
        [] => "none".to_owned(),
        chunks => chunks.iter().map(|at| Offset(*at).to_string()).collect::<Vec<_>>().join(" and "),
    }
}

/// `coalesce` has to do with the chunk `index` what the oracle says, and to touch nothing else. Chunks that are `damaged` can't be
/// taken out of the list.
fn takes_back(desk: &Desk, row: &Row, index: usize, damaged: &[usize]) {
    let system = desk.heap(row.len());
    row.words().into_iter().for_each(|(at, word)| system.arena().set_word(at, word));
    let before = desk.bytes();
    let (at, top) = (row.at(index), row.0.len() - 1);
    // The chunk, what is free beside it, and the header after that.
    let first = if index > 0 && row.0[index - 1].is_free { index - 1 } else { index };
    let last = row.at((index + 2).min(top)) + MIN_CHUNK;
    desk.opens_only(std::slice::from_ref(&(row.at(first)..last)));

    let TakenBack { joined, row: wanted, removed, put, top } =
        take_back(row, index, |piece| damaged.contains(&row.at(piece)));
    if !damaged.is_empty() {
        desk.act(format!("the links of {} are damaged: remove refuses it", named(damaged)), || {});
    }
    let question = Question::Coalesce { at, damaged: damaged.to_vec(), top: row.at(row.0.len() - 1) };
    let show = |(out, put, _): &(Vec<usize>, Vec<usize>, usize)| format!("removes {}, puts {}", named(out), named(put));
    let (mut out, was_put, now_top): (Vec<usize>, Vec<usize>, usize) = desk.ask_and_show(&question, show);
    out.sort_unstable();
    // What a learner has to hear first about a chunk that can't be taken out.
    let damage = match damaged.first() {
        None => "",
        Some(damaged) if *damaged < at => "The chunk before can't be taken out of the list, so nothing may change. ",
        Some(_) => "The chunk after can't be taken out of the list, so it stays a chunk of its own. ",
    };
    let same = |what: &str, wanted: String, seen: String| {
        if wanted != seen {
            desk.fail(Finding::new(format!("{damage}{what}")).expected(wanted, seen));
        }
    };
    same("Each free chunk that is joined leaves the list, and no other.", named(&removed), named(&out));
    let what = match damaged.first() {
        Some(damaged) if *damaged < at => "Nothing is put into the list, either: the memory is lost.",
        _ => "What became of the chunk is put into the list, unless it is the top chunk.",
    };
    same(what, named(&put), named(&was_put));
    same("The top chunk starts here.", Offset(top).to_string(), Offset(now_top).to_string());
    let start = row.at(joined.start);
    let sentence = |at: usize| match at % 16 {
        8 if joined.len() > 1 && at == start + 8 => {
            "The joined chunk has all sizes together, and the first one's flags.".to_owned()
        }
        8 => "A size word says how long the chunk is, and whether the one before is in use.".to_owned(),
        _ => format!("The prev_size at {} is the size of the free chunk before it.", Offset(at)),
    };
    let words = wanted.words().into_iter().map(|(at, word)| (at, word, format!("{damage}{}", sentence(at)))).collect();
    let dead = if joined.is_empty() { 0..0 } else { start + 16..row.at(joined.end) };
    Change { name: "coalesce", words, dead }.check(desk, &before);
}

/// The same on drawn layouts of each scale.
fn takes_back_between(desk: &Desk, before: Beside, after: Beside) {
    let mut rng = desk.rng();
    for scale in [Scale::Small, Scale::Pages, Scale::Gibibytes] {
        for _ in 0..4 {
            let (row, index) = drawn_row(&mut rng, before, after, scale);
            takes_back(desk, &row, index, &[]);
        }
    }
}

#[test]
fn coalesce_joins_the_free_chunk_after() {
    EXAM.case("next", |desk| {
        takes_back_between(desk, Used, Free);
        takes_back_between(desk, End, Free);
    });
}

#[test]
fn coalesce_joins_the_free_chunk_before() {
    EXAM.case("previous", |desk| takes_back_between(desk, Free, Used));
}

#[test]
fn coalesce_joins_both_or_neither() {
    EXAM.case("both-or-neither", |desk| {
        takes_back_between(desk, Free, Free);
        takes_back_between(desk, Used, Used);
        takes_back_between(desk, End, Used);
    });
}

#[test]
fn coalesce_gives_the_top_chunk_what_borders_on_it() {
    EXAM.case("top", |desk| {
        takes_back_between(desk, Used, End);
        takes_back_between(desk, Free, End);
        takes_back_between(desk, End, End);
    });
}

#[test]
fn a_damaged_chunk_before_is_left_alone_and_so_is_everything() {
    EXAM.case("damage", |desk| {
        let mut rng = desk.rng();
        for after in [Used, Free, End] {
            let (row, index) = drawn_row(&mut rng, Free, after, Scale::Small);
            takes_back(desk, &row, index, &[row.at(index - 1)]);
        }
    });
}

#[test]
fn a_damaged_chunk_after_stays_apart() {
    EXAM.case("damage", |desk| {
        let mut rng = desk.rng();
        for before in [Used, Free, End] {
            let (row, index) = drawn_row(&mut rng, before, Free, Scale::Small);
            takes_back(desk, &row, index, &[row.at(index + 1)]);
        }
    });
}

// ---- the heap ----

/// A heap of `len` bytes under the candidate's `CoalescingHeap`.
fn coalescing_heap<'a>(len: usize, fit: Fit, rules: &'a dyn Fn() -> Box<dyn Rules>) -> Stage<'a, Question> {
    let stage = Stage::heap(len, Question::NewHeap { len, fit }, |call| Question::Call { call }, rules);
    let playground = match fit {
        Fit::First => "page first split join",
        Fit::Best => "page best split join",
        Fit::Worst => "page worst split join",
    };
    Stage { playground: Some(playground), ..stage }
}

fn play_on(desk: &Desk, len: usize, fit: Fit, ops: &[Op]) -> Vec<Option<Place>> {
    let rules = || -> Box<dyn Rules> { Box::new(ListRules { fit, splits: true, coalesces: true }) };
    desk.play(&coalescing_heap(len, fit, &rules), ops)
}

fn play(desk: &Desk, fit: Fit, ops: &[Op]) -> Vec<Option<Place>> {
    play_on(desk, PAGE, fit, ops)
}

fn heap(at: usize) -> Option<Place> {
    Some(Place::Heap(at))
}

/// A heap that is asked call by call, without a referee.
struct Calls<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    malloc: Remote<'a>,
}

impl<'a> Calls<'a> {
    fn new(desk: &'a Desk, len: usize, fit: Fit) -> Self {
        let rules = || -> Box<dyn Rules> { Box::new(AnyMalloc) };
        let (system, malloc) = desk.enter(&coalescing_heap(len, fit, &rules));
        Calls { desk, system, malloc }
    }

    fn malloc(&mut self, request: usize) -> Option<usize> {
        self.malloc.call(Call::Malloc { request }).ok().flatten()
    }

    fn free(&mut self, payload: usize) {
        let _ = self.malloc.call(Call::Free { payload });
    }

    /// Many calls with one question.
    fn all(&mut self, calls: Vec<Call>) -> Vec<Option<usize>> {
        let (payloads, heads): (Vec<Option<usize>>, Vec<usize>) = self.desk.order(&Question::Calls { calls });
        self.desk.lists_are(one_list(&heads));
        payloads
    }

    fn malloc_all(&mut self, requests: impl IntoIterator<Item = usize>) -> Vec<Option<usize>> {
        self.all(requests.into_iter().map(|request| Call::Malloc { request }).collect())
    }

    fn free_all(&mut self, payloads: impl IntoIterator<Item = usize>) {
        self.all(payloads.into_iter().map(|payload| Call::Free { payload }).collect());
    }

    /// `fragmentation()` has to say what is in the bytes.
    fn measured(&self) -> Fragmentation {
        let wanted = oracle::measures(&self.desk.image());
        let seen = self.desk.order(&Question::Fragmentation);
        self.desk.expect("fragmentation() adds up what the heap holds.", wanted, seen);
        seen
    }
}

#[test]
fn one_byte_takes_32_bytes_of_a_large_chunk() {
    EXAM.case("rest-is-listed", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:1"));
        desk.expect("One byte lies where the large block was.", at[0], at[2]);
        desk.snapshot("one_byte_out_of_a_thousand");
    });
}

#[test]
fn a_rest_can_be_used_and_split_again() {
    EXAM.case("rest-is-listed", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:100 m3:100 m4:100 m5:600 m6:8"));
        let expected = [0x10, 0x80, 0xf0, 0x160].map(heap).to_vec();
        desk.expect("The pieces lie side by side.", expected, at[2..6].to_vec());
        // Each size around the one that leaves a chunk over, of a chunk of drawn size.
        let large = 400 + desk.rng().below(2000);
        for left in (0..6).map(|count| 16 * count) {
            play(desk, Fit::Best, &ops(&format!("m0:{large} m1:8 f0 m2:{} m3:8 f2 f3 f1", large - left)));
        }
    });
}

/// Six blocks of 64 bytes; then these are freed, in this order.
fn frees(desk: &Desk, snapshot: &str, order: &[usize]) {
    let mut story = ops("m0:64 m1:64 m2:64 m3:64 m4:64 m5:64");
    story.extend(order.iter().map(|&id| Op::Free { id }));
    play(desk, Fit::First, &story);
    desk.snapshot(snapshot);
}

/// Drawn sizes; then these of six blocks are freed, in this order.
fn frees_drawn(desk: &Desk, order: &[usize]) {
    let mut rng = desk.rng();
    let mut story: Vec<Op> = (0..6).map(|id| Op::Malloc { id, size: rng.below(600) }).collect();
    story.extend(order.iter().map(|&id| Op::Free { id }));
    play(desk, Fit::ALL[rng.below(3)], &story);
}

#[test]
fn a_freed_chunk_joins_the_one_after_it() {
    EXAM.case("next", |desk| {
        frees(desk, "joined_with_the_next", &[2, 1]);
        frees_drawn(desk, &[2, 1]);
    });
}

#[test]
fn a_freed_chunk_joins_the_one_before_it() {
    EXAM.case("previous", |desk| {
        frees(desk, "joined_with_the_previous", &[1, 2]);
        // The joined chunk goes to the head, wherever the one before had its place.
        play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 m4:64 m5:64 f1 f4 f2"));
        frees_drawn(desk, &[1, 4, 2]);
    });
}

#[test]
fn between_two_free_chunks_three_become_one() {
    EXAM.case("both-or-neither", |desk| {
        frees(desk, "joined_with_both", &[1, 3, 2]);
        frees_drawn(desk, &[3, 1, 2]);
    });
}

#[test]
fn between_two_chunks_in_use_it_stays_alone() {
    EXAM.case("both-or-neither", |desk| {
        frees(desk, "alone", &[1, 3]);
        frees_drawn(desk, &[0, 2, 4]);
    });
}

#[test]
fn the_top_chunk_swallows_what_borders_on_it() {
    EXAM.case("top", |desk| {
        frees(desk, "swallowed_by_the_top", &[3, 5, 4]);
        frees(desk, "all_is_top_again", &[0, 2, 4, 1, 3, 5]);
        frees_drawn(desk, &[4, 5, 2, 3]);
    });
}

#[test]
fn the_first_chunk_has_nothing_before_it() {
    EXAM.case("top", |desk| {
        play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 f0 m3:64 f3 f1"));
        desk.snapshot("at_the_start_of_the_heap");
        frees_drawn(desk, &[1, 0]);
    });
}

#[test]
fn free_looks_at_the_neighbours_alone() {
    EXAM.case("both-or-neither", |desk| {
        // Blocks of a few pages; of the list's five chunks, the one in the middle borders on the block that is freed.
        let mut calls = Calls::new(desk, 64 * PAGE, Fit::First);
        let blocks: Vec<usize> = calls.malloc_all([3 * PAGE; 16]).into_iter().flatten().collect();
        desk.expect("16 blocks of three pages are served.", 16, blocks.len());
        for freed in [13, 1, 5, 9, 11] {
            calls.free(blocks[freed]);
        }
        let chunk = |block: usize| blocks[block] - PAYLOAD;
        // The block, what it joins, the header after; the links that lead to what it joins; and those of the head.
        let links = [1, 9, 11].map(|block| chunk(block)..chunk(block) + MIN_CHUNK);
        let parts: Vec<_> = links.into_iter().chain(std::iter::once(chunk(4)..chunk(6) + MIN_CHUNK)).collect();
        desk.act("the exam closes the pages of all chunks that are none of its business", || desk.opens_only(&parts));
        desk.act(format!("free({})", Place::Heap(blocks[4])), || calls.free(blocks[4]));
        let order: Vec<Offset> = desk.image().list_order().iter().copied().map(Offset).collect();
        let wanted = [4, 11, 9, 1, 13].map(|block| Offset(chunk(block))).to_vec();
        desk.expect("The list holds the joined chunk and the four others.", wanted, order);
    });
}

// ---- what can't be served ----

#[test]
fn what_nothing_can_serve_is_refused() {
    EXAM.case("refusal", |desk| {
        let at = play(desk, Fit::Best, &ops("m0:4000 m1:100 m2:40 m3:24 m4:1 f0 m5:4056 m6:2000 m7:1990"));
        desk.expect(
            "What fits is served, what doesn't is refused.",
            [true, false, true, false, false, false, true, true].to_vec(),
            at.iter().map(Option::is_some).collect(),
        );
        // On a heap of drawn length, every length of the top chunk around the last that can serve.
        let (mut rng, request) = (desk.rng(), 24 + 16 * desk.rng().below(20));
        let pages = 1 + rng.below(6);
        for left in (0..6).map(|count| request + 8 + 16 * count) {
            let first = pages * PAGE - left - 8;
            play_on(desk, pages * PAGE, Fit::First, &ops(&format!("m0:{first} m1:{request} m2:1 f0 m3:{first}")));
        }
    });
}

#[test]
fn a_refused_request_changes_nothing() {
    EXAM.case("refusal", |desk| {
        let [all, most] = [usize::MAX, isize::MAX as usize];
        let drawn = most - desk.rng().below(1 << 40);
        for absurd in
            [4000, 5000, 1 << 32, 64 << 30, most - 24, most - 8, most, most + 1, drawn, all - 24, all - 8, all - 7, all]
        {
            let mut calls = Calls::new(desk, PAGE, Fit::First);
            let blocks: Vec<usize> = calls.malloc_all([200, 8, 100, 8]).into_iter().flatten().collect();
            desk.expect("Four small blocks are served.", 4, blocks.len());
            calls.free_all([blocks[0], blocks[2]]);
            let before = desk.bytes();
            let mut seen = None;
            desk.act(format!("malloc({})", draw::bytes(absurd)), || seen = calls.malloc(absurd));
            desk.expect("A request that nothing can serve gets null.", None, seen.map(Offset));
            desk.expect_untouched("A refused malloc", &before, |_| false);
        }
    });
}

// ---- damaged links in a heap ----

/// The blocks of a program, which has written a pattern into each.
struct Program<'a> {
    calls: Calls<'a>,
    live: BTreeMap<usize, (usize, usize)>,
    next: usize,
}

impl Program<'_> {
    fn malloc(&mut self, request: usize) {
        let (id, desk) = (self.next, self.calls.desk);
        self.next += 1;
        let mut seen = None;
        desk.act(Op::Malloc { id, size: request }.in_words(), || seen = self.calls.malloc(request));
        let Some(at) = seen else { return };
        if at.checked_add(request).is_none_or(|end| end > self.calls.system.end()) {
            desk.fail(Finding::new("malloc returns bytes outside the heap."));
        }
        let theirs = self.live.iter().find(|(_, (start, len))| at < start + len && *start < at + request + 8);
        if let Some((other, (start, _))) = theirs {
            let other = workload::name(*other);
            let finding = Finding::new(format!("malloc returns bytes that still belong to {other}."));
            desk.fail(finding.mark(*start, format!("{other} is still in use")));
        }
        pattern::fill(id, request, |i, bytes| self.calls.system.arena().write(at + i, bytes));
        self.live.insert(id, (at, request));
        self.is_untouched();
    }

    fn free(&mut self, id: usize) {
        let Some((at, _)) = self.live.remove(&id) else { return };
        self.calls.desk.act(Op::Free { id }.in_words(), || self.calls.free(at));
        self.is_untouched();
    }

    fn is_untouched(&self) {
        for (&id, &(at, request)) in &self.live {
            let read = |i: usize, into: &mut [u8]| self.calls.system.arena().read(at + i, into);
            if let Some((i, _)) = pattern::first_changed(id, request, request, read) {
                let name = workload::name(id);
                let finding = Finding::new(format!("The bytes of {name} changed while the program held them."));
                self.calls.desk.fail(finding.mark(at + i, format!("byte {i} of {name} was overwritten")));
            }
        }
    }
}

/// A stray write over a link.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// The fd of a chunk skips the next one.
    FdSkips,
    /// The fd of a chunk is null.
    FdEnds,
    /// The bk of a chunk is null.
    BkEnds,
    /// The bk of a chunk leads to a chunk in use.
    BkToUsed,
    /// The bk of a chunk leads to another one in the list.
    BkToListed,
}

#[test]
fn damaged_links_cost_no_programs_bytes() {
    EXAM.case("damage", |desk| {
        use Damage::{BkEnds, BkToListed, BkToUsed, FdEnds, FdSkips};
        for fit in Fit::ALL {
            for damage in [BkToListed, BkToUsed, BkEnds, FdSkips, FdEnds] {
                for is_free in [true, false, true] {
                    damaged_heap(desk, fit, damage, is_free);
                }
            }
        }
    });
}

/// A heap with five chunks in the list; one link is overwritten, and then it is used: for a `free` or a `malloc` first.
fn damaged_heap(desk: &Desk, fit: Fit, damage: Damage, starts_with_free: bool) {
    let mut rng = desk.rng();
    let mut program = Program { calls: Calls::new(desk, 4 * PAGE, fit), live: BTreeMap::new(), next: 0 };
    for _ in 0..11 {
        program.malloc(24 + rng.below(300));
    }
    for id in [1, 3, 5, 7, 9] {
        program.free(id);
    }
    let arena = program.calls.system.arena();
    let listed = desk.image().list_order().to_vec();
    if listed.len() != 5 {
        desk.fail(Finding::new("The list should hold five chunks.").expected("5", listed.len().to_string()));
    }
    let victim = 1 + rng.below(3);
    let address = |chunk: usize| arena.base() + chunk;
    let in_use = program.live[&4].0 - PAYLOAD;
    let (link, to) = match damage {
        Damage::FdSkips => (PAYLOAD, address(listed[victim + 1])),
        Damage::FdEnds => (PAYLOAD, 0),
        Damage::BkEnds => (PAYLOAD + 8, 0),
        Damage::BkToUsed => (PAYLOAD + 8, address(in_use)),
        Damage::BkToListed => (PAYLOAD + 8, address(listed[victim + 1])),
    };
    let chunk = if matches!(damage, Damage::FdSkips) { listed[victim - 1] } else { listed[victim] };
    let name = if link == PAYLOAD { "fd" } else { "bk" };
    let leads = if to == 0 { "null".to_owned() } else { Offset(to - arena.base()).to_string() };
    desk.act(format!("a stray write: {name} of {} is {leads}", Offset(chunk)), || arena.set_word(chunk + link, to));
    // The block after the damaged chunk, or the one before it.
    let mut beside: Vec<usize> = program.live.keys().copied().collect();
    let distance = |id: &usize| program.live[id].0.abs_diff(chunk);
    beside.sort_by_key(distance);
    let size = desk.image().block(chunk).map_or(24, |block| block.size - 8);
    if starts_with_free {
        program.free(beside[rng.below(2)]);
    } else {
        program.malloc(size);
    }
    // A wrong bk lies beside the way from the head to the end: the heap can go on being used. After a wrong fd it can't.
    if link == PAYLOAD + 8 {
        for _ in 0..6 {
            program.malloc(24 + rng.below(300));
            let held: Vec<usize> = program.live.keys().copied().collect();
            program.free(held[rng.below(held.len())]);
        }
    }
}

// ---- what it looks like in numbers ----

#[test]
fn the_measures_are_those_of_the_heap() {
    EXAM.case("measures", |desk| {
        let mut calls = Calls::new(desk, PAGE, Fit::First);
        calls.measured();
        let blocks: Vec<usize> =
            calls.malloc_all([50, 100, 400, 350, 200, 300, 150, 250]).into_iter().flatten().collect();
        calls.measured();
        calls.free_all(blocks.into_iter().step_by(2));
        calls.measured();
        // Drawn heaps of all lengths.
        let mut rng = desk.rng();
        for len in [PAGE, 16 * PAGE, 30 << 30] {
            let fit = Fit::ALL[rng.below(3)];
            let mut calls = Calls::new(desk, len, fit);
            let mut held = Vec::new();
            for _ in 0..12 {
                held.extend(calls.malloc_all((0..4).map(|_| rng.below(len / 20))).into_iter().flatten());
                calls.measured();
                let freed: Vec<usize> = (0..held.len() / 3).map(|_| held.swap_remove(rng.below(held.len()))).collect();
                calls.free_all(freed);
                calls.measured();
            }
        }
    });
}

/// A number between 0 and 1 that may be a little off. `NaN` isn't near anything.
fn expect_near(desk: &Desk, expected: f64, question: &Question) {
    let seen: f64 = desk.ask_and_show(question, f64::to_string);
    let is_near = (expected - seen).abs() < 1e-6;
    if !is_near {
        let what = match question {
            Question::External { .. } => "external() is the part of the free bytes that the largest hole doesn't have.",
            _ => "internal() is the part of the bytes in use that nobody asked for.",
        };
        desk.fail(Finding::new(what).expected(expected.to_string(), seen.to_string()));
    }
}

#[test]
fn fragmentation_is_a_part_of_the_whole() {
    EXAM.case("measures", |desk| {
        let external = |of: Fragmentation| {
            desk.new_story();
            expect_near(desk, lost(of.largest, of.free), &Question::External { of });
        };
        let internal = |of: Fragmentation, requested: usize| {
            desk.new_story();
            expect_near(desk, lost(requested, of.in_use), &Question::Internal { of, requested });
        };
        desk.draws_no_heap();
        let heap = Fragmentation { in_use: 400, free: 1000, holes: 4, largest: 250, top: 64 };
        external(heap);
        internal(heap, 300);
        external(Fragmentation { free: 96, holes: 1, largest: 96, ..heap });
        external(Fragmentation::default());
        external(Fragmentation { free: 0, holes: 0, largest: 0, ..heap });
        internal(Fragmentation::default(), 0);
        internal(Fragmentation { in_use: 0, ..heap }, 0);
        internal(heap, 0);
        let mut rng = desk.rng();
        for most in [1000, 1 << 20, 32 << 30] {
            for _ in 0..10 {
                let mut size = || drawn_size(&mut rng, 32..most);
                let (in_use, largest, top) = (size(), size(), size());
                let (holes, free) = if largest % 64 == 0 { (1, largest) } else { (3, largest + size()) };
                let of = Fragmentation { in_use, free, holes, largest, top };
                external(of);
                internal(of, rng.below(in_use - 8));
            }
        }
    });
}

// ---- long ----

#[test]
fn every_fit_survives_long_workloads() {
    EXAM.case("workloads", |desk| {
        for fit in Fit::ALL {
            for _ in 0..3 {
                play(desk, fit, &workload::random(desk.rng().bits(), 120, 0..=200, 16));
            }
            play_on(desk, 4 * PAGE, fit, &workload::random(desk.rng().bits(), 400, 1..=300, 60));
            play_on(desk, 256 * PAGE, fit, &workload::random(desk.rng().bits(), 150, 1..=100_000, 12));
        }
    });
}

#[test]
fn a_heap_may_be_larger_than_32_bits_can_count() {
    EXAM.case("workloads", |desk| {
        let large = (4_usize << 30) + 16 * desk.rng().below(1 << 20);
        for fit in Fit::ALL {
            // Two chunks of more than 4 GiB each are joined, cut again, and swallowed by the top chunk.
            let story = format!(
                "m0:{large} m1:{large} m2:100 f1 f0 m3:{} m4:{large} m5:1000 f3 f4 f5 f2 m6:{}",
                large + 4096,
                2 * large
            );
            play_on(desk, 14 << 30, fit, &ops(&story));
        }
    });
}

/// Chunks in a long list: more than 16 bits can count.
const LONG: usize = 66_000;

#[test]
fn a_list_may_have_any_length() {
    EXAM.case("workloads", |desk| {
        // What a search can't count, it can't count for any fit: one of them has to go all the way.
        for (fit, count) in [(Fit::Best, LONG), (Fit::First, 700), (Fit::Worst, 700)] {
            // Only the chunk at the list's end is large enough: the first block, which is freed first.
            let mut calls = Calls::new(desk, 1200 * PAGE, fit);
            let sizes = (0..2 * count).map(|index| if index == 0 { 200 } else { 24 });
            let blocks: Vec<usize> = calls.malloc_all(sizes).into_iter().flatten().collect();
            desk.expect("All blocks are served.", 2 * count, blocks.len());
            calls.free_all(blocks.iter().copied().step_by(2));
            let measures = calls.measured();
            desk.expect("Every second chunk is a hole.", count, measures.holes);
            let mut seen = None;
            desk.act("malloc(150)", || seen = calls.malloc(150));
            let shown = |at: Option<usize>| at.map_or("null".into(), |at| Offset(at).to_string());
            let what = "150 bytes fit into the last chunk of the list, and into no other.";
            if seen != Some(blocks[0]) {
                let finding = Finding::new(what).expected(Offset(blocks[0]).to_string(), shown(seen));
                desk.fail(finding.mark(blocks[0] - PAYLOAD, "the last of the list"));
            }
        }
    });
}

/// The chapter's chat server: 1000 messages of 10 to 1000 bytes, every second one freed.
fn chat_server(desk: &Desk, mut rng: Rng) {
    let len = 256 * PAGE;
    let mut calls = Calls::new(desk, len, Fit::Best);
    let sizes: Vec<usize> = (0..1000).map(|_| rng.within(&(10..=1000))).collect();
    let messages: Vec<usize> = calls.malloc_all(sizes).into_iter().flatten().collect();
    desk.expect("All messages are served.", 1000, messages.len());
    calls.free_all(messages.iter().skip(1).step_by(2).copied());
    let checkerboard = calls.measured();
    desk.expect(
        "There is one hole for each freed message but the last, which the top chunk swallows.",
        499,
        checkerboard.holes,
    );
    desk.expect("No hole is larger than the largest message's chunk.", true, checkerboard.largest <= 1008);
    let top = len - checkerboard.top + PAYLOAD;
    let large = calls.malloc_all([5000]);
    desk.expect(
        "5000 bytes come from the top chunk.",
        vec![Some(Offset(top))],
        large.iter().map(|at| at.map(Offset)).collect(),
    );
    let small: Vec<usize> = calls.malloc_all([100; 500]).into_iter().flatten().collect();
    let in_holes = small.iter().filter(|at| **at < top).count();
    desk.expect("500 requests of 100 bytes all fit into the holes.", 500, in_holes);
    // And when all of it is freed, in whatever order, joining has undone every cut.
    let mut left: Vec<usize> =
        messages.into_iter().step_by(2).chain(small).chain(large.into_iter().flatten()).collect();
    for last in (1..left.len()).rev() {
        left.swap(last, rng.below(last + 1));
    }
    calls.free_all(left);
    let all_top = Fragmentation { top: len, ..Fragmentation::default() };
    desk.expect("When everything is freed, all of it is one top chunk.", all_top, calls.measured());
}

#[test]
fn the_chat_server_leaves_a_checkerboard() {
    EXAM.case("checkerboard", |desk| {
        // The messages of the page first.
        chat_server(desk, Rng::new(1));
        chat_server(desk, desk.rng());
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| splits(desk, [112, 64], PREV_INUSE, 48));
}
