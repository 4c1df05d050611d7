//! The graded cases of lab 3. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.

mod oracle;
mod questions;

use heapkit::draw;
use heapkit::format::{NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::{Link, Links, List, Offset};
use heapkit::memory::{Arena, PAGE};
use heapkit::os::Place;
use heapkit::referee::{Allocator, AnyMalloc, Call, Fit, ListRules, Rules};
use heapkit::snapshot::Snapshot;
use heapkit::workload::{self, Op, Rng, ops};
use proctor::{Desk, Exam, Finding, Stage, System};
use questions::Question;
use std::rc::Rc;

const EXAM: Exam = Exam::new("lab03", cfg!(feature = "solution"));

// ---- a list over chunks that the examiner laid out ----

/// Free chunks, each followed by a chunk in use so that no two are neighbours, and the candidate's list of them.
struct Bench<'a> {
    desk: &'a Desk,
    system: Rc<System>,
    /// Where the free chunks start.
    chunks: Vec<usize>,
    /// The word that leads to the first chunk of the list, as the candidate said it last.
    head: usize,
}

/// The size of the chunks in use between them.
const KEEPER: usize = 32;

impl<'a> Bench<'a> {
    /// Free chunks of these sizes, and an empty list.
    fn new(desk: &'a Desk, sizes: &[usize]) -> Self {
        let len = sizes.iter().map(|size| size + KEEPER).sum::<usize>() + KEEPER;
        let system = desk.heap(len.next_multiple_of(PAGE));
        let (mut at, mut chunks, mut headers) = (0, Vec::new(), Vec::new());
        for &size in sizes {
            headers.extend([(at, 0, size | PREV_INUSE), (at + size, size, KEEPER)]);
            chunks.push(at);
            at += size + KEEPER;
        }
        headers.push((at, 0, (system.end() - at) | PREV_INUSE));
        system.arena().set_headers(&headers);
        desk.list_starts_with(0);
        let () = desk.order(&Question::NewList);
        Bench { desk, system, chunks, head: 0 }
    }

    /// The same, with all chunks in the list: the first is the head.
    fn listed(desk: &'a Desk, sizes: &[usize]) -> Self {
        let mut bench = Self::new(desk, sizes);
        let chunks = bench.chunks.iter().rev().copied().collect();
        let head = desk.order(&Question::PushAll { chunks });
        bench.head_is(head);
        bench
    }

    /// Sets other flags in the size words of some chunks: they are none of a list's business.
    fn with_drawn_flags(self) -> Self {
        let (mut rng, arena) = (self.desk.rng(), self.system.arena());
        for at in self.chunks.iter().filter(|_| rng.below(3) == 0) {
            arena.set_word(at + 8, arena.word(at + 8) | NON_MAIN_ARENA);
        }
        self
    }

    fn head_is(&mut self, head: usize) {
        self.head = head;
        self.desk.list_starts_with(head);
    }

    // ANCHOR: order
    fn push(&mut self, at: usize) {
        let head = self.desk.order(&Question::Push { at });
        self.head_is(head);
    }

    fn pop(&mut self) -> Option<Offset> {
        let show = |(popped, _): &(Option<Offset>, usize)| shown(*popped);
        let (popped, head) = self.desk.ask_and_show(&Question::Pop, show);
        self.head_is(head);
        popped
    }
    // ANCHOR_END: order

    fn unlink(&mut self, at: usize) -> bool {
        let show = |(unlinked, _): &(bool, usize)| if *unlinked { "Ok" } else { "Err(CorruptedLink)" }.to_owned();
        let (unlinked, head) = self.desk.ask_and_show(&Question::Unlink { at }, show);
        self.head_is(head);
        unlinked
    }

    /// The list has to hold exactly these chunks, in this order, linked both ways.
    fn expect_list(&self, expected: &[usize]) {
        let image = self.desk.image();
        let right = List { name: "list".into(), links: Links::BothWays, chunks: expected.to_vec(), last: Link::End };
        let seen = image.list().unwrap_or(&right);
        if *seen != right {
            let finding = Finding::new("The list holds other chunks than it should, or in another order.");
            self.desk.fail(finding.expected(draw::list(&right), draw::list(seen)));
        }
        let is_bk = |at: usize| expected.iter().any(|chunk| chunk + 24 == at);
        if let Some(defect) = seen.defects(&image).into_iter().find(|defect| is_bk(defect.at)) {
            let finding = Finding::new("A chunk's bk does not lead to the chunk before it in the list.");
            self.desk.fail(finding.mark(defect.at, defect.what));
        }
        let walked: Vec<Offset> = self.desk.put(&Question::Iter { most: expected.len() + 1 });
        let expected: Vec<Offset> = expected.iter().copied().map(Offset).collect();
        self.desk.expect("iter() walks the list from its head to its end.", expected, walked);
    }

    /// Nothing may have changed since `before`, but for the links of these chunks.
    fn expect_untouched_but_links(&self, what: &str, before: &Snapshot, chunks: &[usize]) {
        let is_link = |at: usize| chunks.iter().any(|chunk| (chunk + 16..chunk + 32).contains(&at));
        self.desk.expect_untouched(what, before, is_link);
    }
}

/// So many chunk sizes from 32 to `most`.
fn drawn_sizes(rng: &mut Rng, count: usize, most: usize) -> Vec<usize> {
    (0..count).map(|_| 16 * rng.within(&(2..=most / 16))).collect()
}

#[test]
fn freed_last_is_reused_first() {
    EXAM.case("lifo", |desk| {
        let mut rng = desk.rng();
        for count in [3, 1 + rng.below(20)] {
            let mut bench = Bench::new(desk, &drawn_sizes(&mut rng, count, 512));
            let mut pushed = Vec::new();
            for at in bench.chunks.clone() {
                bench.push(at);
                pushed.push(at);
            }
            while let Some(last) = pushed.pop() {
                desk.expect("pop() gives back what was pushed last.", Some(Offset(last)), bench.pop());
                let left: Vec<usize> = pushed.iter().rev().copied().collect();
                bench.expect_list(&left);
            }
            desk.expect("pop() on an empty list.", None, bench.pop());
        }
    });
}

#[test]
fn an_empty_list_can_be_filled_again() {
    EXAM.case("lifo", |desk| {
        let mut bench = Bench::new(desk, &[80, 80]);
        let [a, b] = [bench.chunks[0], bench.chunks[1]];
        bench.push(a);
        desk.expect("pop() takes the only chunk.", Some(Offset(a)), bench.pop());
        desk.expect("pop() on an empty list.", None, bench.pop());
        bench.push(b);
        bench.push(a);
        bench.expect_list(&[a, b]);
    });
}

// ANCHOR: drawn
#[test]
fn pushes_and_pops_in_any_order_are_a_stack() {
    EXAM.case("lifo", |desk| {
        let mut rng = desk.rng();
        let sizes = drawn_sizes(&mut rng, 12, 256);
        let mut bench = Bench::new(desk, &sizes);
        let (mut outside, mut stack) = (bench.chunks.clone(), Vec::new());
        for _ in 0..60 {
            if stack.is_empty() || (!outside.is_empty() && rng.below(2) == 0) {
                let at = outside.swap_remove(rng.below(outside.len()));
                bench.push(at);
                stack.push(at);
            } else {
                let last = stack.pop();
                desk.expect("pop() gives back what was pushed last.", last.map(Offset), bench.pop());
                outside.extend(last);
            }
            bench.expect_list(&stack.iter().rev().copied().collect::<Vec<_>>());
        }
    });
}
// ANCHOR_END: drawn

/// A page for each chunk, so that the pages of those that are none of a call's business can be closed.
const APART: usize = 3 * PAGE;

#[test]
fn neither_push_nor_pop_walks_the_list() {
    EXAM.case("lifo", |desk| {
        let mut bench = Bench::listed(desk, &[APART; 6]);
        let chunks = bench.chunks.clone();
        let pages = |chunks: &[usize]| chunks.iter().map(|at| *at..at + 32).collect::<Vec<_>>();
        // The head and the one after it are all that pop may look at.
        desk.act("the exam closes the pages of all but the first two chunks", || desk.opens_only(&pages(&chunks[..2])));
        desk.expect("pop() takes the head.", Some(Offset(chunks[0])), bench.pop());
        desk.act("the exam closes the pages of all but the first two chunks", || desk.opens_only(&pages(&chunks[..2])));
        bench.push(chunks[0]);
        bench.expect_list_heads(chunks[0]);
    });
}

impl Bench<'_> {
    /// Only the list's first chunk is looked at: the pages of the others may be closed to the candidate.
    fn expect_list_heads(&self, first: usize) {
        let seen = self.desk.image().list_order().first().copied().map(Offset);
        self.desk.expect("the first chunk of the list", Some(Offset(first)), seen);
    }
}

#[test]
fn links_lead_both_ways() {
    EXAM.case("links", |desk| {
        let mut bench = Bench::new(desk, &[80, 96, 112]);
        for at in bench.chunks.clone() {
            bench.push(at);
        }
        let [a, b, c] = [bench.chunks[0], bench.chunks[1], bench.chunks[2]];
        bench.expect_list(&[c, b, a]);
        desk.snapshot("three_in_a_list");
    });
}

#[test]
fn the_links_lie_in_the_chunks_and_nothing_else_changes() {
    EXAM.case("links", |desk| {
        let mut rng = desk.rng();
        let sizes = drawn_sizes(&mut rng, 12, 512);
        let mut bench = Bench::new(desk, &sizes).with_drawn_flags();
        let mut listed: Vec<usize> = Vec::new();
        for at in bench.chunks.clone() {
            let before = desk.bytes();
            bench.push(at);
            let touched: Vec<usize> = [Some(at), listed.last().copied()].into_iter().flatten().collect();
            bench.expect_untouched_but_links("push", &before, &touched);
            listed.push(at);
        }
        bench.expect_list(&listed.iter().rev().copied().collect::<Vec<_>>());
    });
}

/// A list of so many chunks of drawn sizes and flags.
fn drawn_list(desk: &Desk, count: usize) -> Bench<'_> {
    Bench::listed(desk, &drawn_sizes(&mut desk.rng(), count, 512)).with_drawn_flags()
}

fn unlinks(mut bench: Bench<'_>, victim: usize) {
    let desk = bench.desk;
    let mut order = bench.chunks.clone();
    let gone = order.remove(victim);
    let before = desk.bytes();
    let is_taken = bench.unlink(gone);
    desk.expect("unlink accepts a chunk whose neighbours point back to it.", true, is_taken);
    let neighbours = &bench.chunks[victim.saturating_sub(1)..(victim + 2).min(bench.chunks.len())];
    bench.expect_untouched_but_links("unlink", &before, neighbours);
    bench.expect_list(&order);
}

#[test]
fn unlinking_the_head_makes_the_second_the_head() {
    EXAM.case("unlink", |desk| {
        unlinks(Bench::listed(desk, &[80; 3]), 0);
        (2..10).for_each(|count| unlinks(drawn_list(desk, count), 0));
    });
}

#[test]
fn unlinking_the_middle_joins_its_neighbours() {
    EXAM.case("unlink", |desk| {
        unlinks(Bench::listed(desk, &[80; 3]), 1);
        let mut rng = desk.rng();
        (4..12).for_each(|count| unlinks(drawn_list(desk, count), 1 + rng.below(count - 2)));
    });
}

#[test]
fn unlinking_the_tail_ends_the_list_one_chunk_earlier() {
    EXAM.case("unlink", |desk| {
        unlinks(Bench::listed(desk, &[80; 3]), 2);
        unlinks(Bench::listed(desk, &[80]), 0);
        (2..10).for_each(|count| unlinks(drawn_list(desk, count), count - 1));
    });
}

#[test]
fn unlink_looks_at_the_neighbours_alone() {
    EXAM.case("unlink", |desk| {
        let mut bench = Bench::listed(desk, &[APART; 7]);
        let chunks = bench.chunks.clone();
        let near: Vec<_> = chunks[2..5].iter().map(|at| *at..at + 32).collect();
        desk.act("the exam closes the pages of all but three chunks", || desk.opens_only(&near));
        desk.expect("unlink takes the chunk between them.", true, bench.unlink(chunks[3]));
    });
}

// ---- damaged links ----

/// A list of five with one link overwritten, and what has to refuse it.
struct Damage {
    what: &'static str,
    /// The chunk whose link is overwritten, by its place in the list; and whether that is `fd`, else `bk`.
    chunk: usize,
    is_fd: bool,
    /// Where the link leads then: to a chunk of the list, to one outside it, or to null.
    to: Target,
    /// The chunk to take out, by its place in the list.
    unlink: usize,
}

#[derive(Clone, Copy)]
enum Target {
    Listed(usize),
    Unlisted,
    Null,
}

const fn damage(what: &'static str, chunk: usize, is_fd: bool, to: Target, unlink: usize) -> Damage {
    Damage { what, chunk, is_fd, to, unlink }
}

const BACK: [Damage; 7] = [
    damage("the bk of the next chunk leads elsewhere", 3, false, Target::Unlisted, 2),
    damage("the bk of the next chunk is null", 3, false, Target::Null, 2),
    damage("the bk of the next chunk leads to itself", 3, false, Target::Listed(3), 2),
    damage("the bk of the second chunk leads elsewhere, and the first is taken", 1, false, Target::Unlisted, 0),
    damage("the bk of the last chunk leads elsewhere, and the one before it is taken", 4, false, Target::Listed(0), 3),
    damage("its own fd leads to a chunk that doesn't lead back", 2, true, Target::Unlisted, 2),
    damage("its own fd leads to itself", 2, true, Target::Listed(2), 2),
];

const FORWARD: [Damage; 7] = [
    damage("the fd of the chunk before leads elsewhere", 1, true, Target::Unlisted, 2),
    damage("the fd of the chunk before is null", 1, true, Target::Null, 2),
    damage("the fd of the chunk before leads on to the one after", 1, true, Target::Listed(3), 2),
    damage("the fd of the chunk before the last leads elsewhere", 3, true, Target::Unlisted, 4),
    damage("its own bk is null, but it isn't the head", 2, false, Target::Null, 2),
    damage("its own bk leads to a chunk that doesn't lead to it", 2, false, Target::Unlisted, 2),
    damage("its own bk leads to itself", 2, false, Target::Listed(2), 2),
];

fn damaged<'a>(desk: &'a Desk, damage: &Damage) -> (Bench<'a>, usize) {
    let mut sizes = drawn_sizes(&mut desk.rng(), 6, 256);
    let unlisted = sizes.len() - 1;
    sizes[unlisted] = 96;
    let mut bench = Bench::new(desk, &sizes);
    for index in (0..unlisted).rev() {
        bench.push(bench.chunks[index]);
    }
    let address = |at: usize| bench.system.arena().base() + at;
    let word = bench.chunks[damage.chunk] + if damage.is_fd { 16 } else { 24 };
    let wrong = match damage.to {
        Target::Listed(index) => address(bench.chunks[index]),
        Target::Unlisted => address(bench.chunks[unlisted]),
        Target::Null => 0,
    };
    desk.act(format!("a stray write: {}", damage.what), || bench.system.arena().set_word(word, wrong));
    (bench, word)
}

/// A refusal has to leave everything as it was.
fn refuses(desk: &Desk, damage: &Damage) {
    let (mut bench, word) = damaged(desk, damage);
    let (before, head) = (desk.bytes(), bench.head);
    let is_taken = bench.unlink(bench.chunks[damage.unlink]);
    if is_taken {
        desk.fail(
            Finding::new("unlink goes on although a neighbour does not point back to the chunk.")
                .expected("Err(CorruptedLink)", "Ok")
                .mark(word, "this link was overwritten"),
        );
    }
    desk.expect("A refused unlink leaves the head as it was.", Offset(head), Offset(bench.head));
    bench.expect_untouched_but_links("A refused unlink", &before, &[]);
}

#[test]
fn a_wrong_back_link_is_refused() {
    EXAM.case("integrity", |desk| BACK.iter().for_each(|damage| refuses(desk, damage)));
}

#[test]
fn a_wrong_forward_link_is_refused() {
    EXAM.case("integrity", |desk| FORWARD.iter().for_each(|damage| refuses(desk, damage)));
}

#[test]
fn pop_leaves_a_damaged_head_where_it_is() {
    EXAM.case("integrity", |desk| {
        for to in [Target::Unlisted, Target::Null, Target::Listed(1)] {
            let (mut bench, word) = damaged(desk, &damage("the bk of the second chunk", 1, false, to, 0));
            let (before, head) = (desk.bytes(), bench.head);
            if let Some(popped) = bench.pop() {
                desk.fail(
                    Finding::new("pop takes a chunk whose neighbour does not point back to it.")
                        .expected("None", popped.to_string())
                        .mark(word, "this link was overwritten"),
                );
            }
            desk.expect("The head stays where it is.", Offset(head), Offset(bench.head));
            bench.expect_untouched_but_links("A refused pop", &before, &[]);
        }
    });
}

// ---- which chunk fits ----

/// The chapter's list, first to last: blocks that were asked for with 100, 50, 200 and 80 bytes.
const CHAPTER: [usize; 4] = [112, 64, 208, 96];
/// The chunk size that 60 bytes need.
const SIXTY: usize = 80;

impl Bench<'_> {
    /// `find` has to choose the chunk that the oracle chooses, and leave everything as it was.
    // ANCHOR: question
    fn expect_fit(&self, fit: Fit, sizes: &[usize], size: usize) {
        let expected = oracle::choose(fit, sizes, size).map(|index| Offset(self.chunks[index]));
        let before = self.desk.bytes();
        let found = self.desk.ask_and_show(&Question::Find { fit, size }, |found| shown(*found));
        if found != expected {
            let size_of = |at: Offset| self.chunks.iter().position(|chunk| *chunk == at.0).map(|index| sizes[index]);
            let sized = |found: Option<Offset>| match found.and_then(size_of) {
                Some(size) => format!("{}, a chunk of {size} bytes", shown(found)),
                None => shown(found),
            };
            let mut finding = Finding::new(format!("{fit:?} fit chooses another chunk for {size} bytes."))
                .expected(sized(expected), sized(found));
            if let Some(Offset(at)) = expected {
                finding = finding.mark(at, "the one to choose");
            }
            self.desk.fail(finding);
        }
        self.expect_untouched_but_links("find", &before, &[]);
    }
    // ANCHOR_END: question
}

fn shown(found: Option<Offset>) -> String {
    found.map_or("no chunk".into(), |at| at.to_string())
}

fn finds(desk: &Desk, fit: Fit, sizes: &[usize], needs: &[usize]) {
    let bench = Bench::listed(desk, sizes).with_drawn_flags();
    for &need in needs {
        bench.expect_fit(fit, sizes, need);
    }
    bench.expect_list(&bench.chunks);
}

/// Drawn lists, with sizes asked for that some chunks have exactly; and one of chunks larger than 32 bits can count.
fn finds_in_drawn_lists(desk: &Desk, fit: Fit) {
    let mut rng = desk.rng();
    // The smaller the largest size, the more chunks are equals.
    let lists = [(1, 160), (2 + rng.below(5), 64), (20 + rng.below(30), 2048), (300 + rng.below(100), 64), (300, 2048)];
    for (count, most) in lists {
        let sizes = drawn_sizes(&mut rng, count, most);
        let near = |rng: &mut Rng| sizes[rng.below(sizes.len())] + [0, 16][rng.below(2)];
        let needs: Vec<usize> = (0..12).map(|_| near(&mut rng)).chain([32, most + 16]).collect();
        finds(desk, fit, &sizes, &needs);
    }
    let gib = 1 << 30;
    let mut huge: Vec<usize> = (0..4).map(|_| 4 * gib + 16 * (2 + rng.below(1 << 20))).collect();
    huge.extend([64, 4 * gib, 20 << 20]);
    finds(desk, fit, &huge, &[80, 4 * gib - 16, 4 * gib, huge[0], huge[2] + 16, 5 * gib]);
}

#[test]
fn first_fit_takes_the_first_that_is_large_enough() {
    EXAM.case("first-fit", |desk| {
        finds(desk, Fit::First, &CHAPTER, &[SIXTY, 128, 224]);
        finds_in_drawn_lists(desk, Fit::First);
    });
}

#[test]
fn best_fit_takes_the_smallest_that_is_large_enough() {
    EXAM.case("best-fit", |desk| {
        finds(desk, Fit::Best, &CHAPTER, &[SIXTY, 112, 224]);
        finds(desk, Fit::Best, &[128, 96, 112, 96], &[SIXTY]);
        finds_in_drawn_lists(desk, Fit::Best);
    });
}

#[test]
fn worst_fit_takes_the_largest() {
    EXAM.case("worst-fit", |desk| {
        finds(desk, Fit::Worst, &CHAPTER, &[SIXTY, 224]);
        finds(desk, Fit::Worst, &[96, 208, 112, 208], &[SIXTY]);
        finds_in_drawn_lists(desk, Fit::Worst);
    });
}

// ---- a malloc of nothing but a list and a top chunk ----

// ANCHOR: stage
/// A heap of `len` bytes under the candidate's `ListHeap`.
fn list_heap<'a>(len: usize, fit: Fit, rules: &'a dyn Fn() -> Box<dyn Rules>) -> Stage<'a, Question> {
    let stage = Stage::heap(len, Question::NewHeap { len, fit }, |call| Question::Call { call }, rules);
    let playground = match fit {
        Fit::First => "page first",
        Fit::Best => "page best",
        Fit::Worst => "page worst",
    };
    Stage { playground: Some(playground), ..stage }
}

fn play_on(desk: &Desk, len: usize, fit: Fit, ops: &[Op]) -> Vec<Option<Place>> {
    let rules = || -> Box<dyn Rules> { Box::new(ListRules { fit, splits: false, coalesces: false }) };
    desk.play(&list_heap(len, fit, &rules), ops)
}
// ANCHOR_END: stage

fn play(desk: &Desk, fit: Fit, ops: &[Op]) -> Vec<Option<Place>> {
    play_on(desk, PAGE, fit, ops)
}

fn heap(at: usize) -> Option<Place> {
    Some(Place::Heap(at))
}

// ANCHOR: story
#[test]
fn the_chapters_a_b_c_d() {
    EXAM.case("story", |desk| {
        // a b c d of 64 bytes; b and c are freed; 64 bytes again; then 32.
        let at = play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 f1 f2"));
        desk.snapshot("b_and_c_are_free");
        let side_by_side = [0x10, 0x60, 0xb0, 0x100].map(heap).to_vec();
        desk.expect("a, b, c and d lie side by side, 80 bytes apart.", side_by_side, at);
        let at = play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 f1 f2 m4:64 m5:32"));
        desk.expect("e lies where c was, and f where b was.", (at[2], at[1]), (at[4], at[5]));
        desk.snapshot("c_and_b_are_used_again");
    });
}
// ANCHOR_END: story

#[test]
fn a_chunk_from_the_list_is_used_whole() {
    EXAM.case("story", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:1 m3:1"));
        desk.expect("One byte takes all of the free chunk that fits.", at[0], at[2]);
        desk.snapshot("one_byte_in_a_large_chunk");
    });
}

#[test]
fn a_heap_may_be_larger_than_32_bits_can_count() {
    EXAM.case("story", |desk| {
        let large = (4_usize << 30) + 16 * desk.rng().below(1 << 20);
        for fit in Fit::ALL {
            let story = format!("m0:{large} m1:100 m2:{} m3:8 f0 f2 m4:{large} m5:{large} f1 m6:90", large - 4096);
            play_on(desk, 14 << 30, fit, &ops(&story));
        }
    });
}

#[test]
fn a_request_that_nothing_can_serve_is_refused() {
    EXAM.case("refusal", |desk| {
        let at = play(desk, Fit::Best, &ops("m0:4000 m1:100 m2:72 m3:56 m4:40 m5:24 m6:1 f0 m7:4000 m8:4000"));
        desk.expect(
            "What fits is served, what doesn't is refused.",
            [true, false, false, false, true, false, false, true, false].to_vec(),
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
fn an_absurd_request_is_refused() {
    EXAM.case("refusal", |desk| {
        let [all, most] = [usize::MAX, isize::MAX as usize];
        let drawn = most - desk.rng().below(1 << 40);
        for absurd in [64 << 30, all, all - 7, all - 8, all - 24, most + 1, most, most - 8, most - 24, drawn, 1 << 32] {
            let at = play(desk, Fit::First, &ops(&format!("m0:64 f0 m1:{absurd} m2:64 m3:{absurd} m4:64")));
            desk.expect("The small requests are served.", [0x10, 0x60].map(heap), [at[2], at[4]]);
            desk.expect("The absurd ones are not.", [None, None], [at[1], at[3]]);
        }
    });
}

#[test]
fn malloc_takes_no_chunk_with_a_damaged_link() {
    EXAM.case("integrity", |desk| {
        for fit in Fit::ALL {
            let any_malloc = || -> Box<dyn Rules> { Box::new(AnyMalloc) };
            let (system, mut malloc) = desk.enter(&list_heap(PAGE, fit, &any_malloc));
            let mut step = |op: Op, call: Call| {
                let mut block = None;
                desk.act(op.in_words(), || block = malloc.call(call).ok().flatten());
                block
            };
            let mut malloc =
                |id: usize, request: usize| step(Op::Malloc { id, size: request }, Call::Malloc { request });
            let requests = [40, 8, 100, 8, 40, 8];
            let blocks: Vec<usize> = (0..6).filter_map(|id| malloc(id, requests[id])).collect();
            desk.expect("Six small blocks are served.", requests.len(), blocks.len());
            for id in [0, 2, 4] {
                step(Op::Free { id }, Call::Free { payload: blocks[id] });
            }
            // Of the list's three chunks, only the one in the middle is large enough; the bk of the one after it leads elsewhere.
            let [after, elsewhere] = [blocks[0] - 16, blocks[4] - 16].map(Offset);
            desk.act(format!("a stray write: the bk of {after} is {elsewhere}"), || {
                system.arena().set_word(after.0 + 24, system.arena().base() + elsewhere.0);
            });
            if step(Op::Malloc { id: 6, size: 100 }, Call::Malloc { request: 100 }) == Some(blocks[2]) {
                desk.fail(
                    Finding::new(
                        "malloc takes a chunk out of the list although its neighbour does not point back to it.",
                    )
                    .mark(after.0 + 24, "this link was overwritten"),
                );
            }
        }
    });
}

#[test]
fn worst_fit_spends_the_chunk_that_the_next_request_needs() {
    EXAM.case("counter-example", |desk| {
        // The list reads 100, 50, 200, 80; then 60 bytes are asked for, then 150. The heap's top is used up.
        let story = "m0:200 m1:8 m2:80 m3:8 m4:50 m5:8 m6:100 m7:3408 f2 f0 f4 f6 m8:60 m9:150";
        let second = |fit| play(desk, fit, &ops(story))[9].is_some();
        desk.expect("First fit still serves 150 bytes.", true, second(Fit::First));
        desk.expect("Best fit still serves 150 bytes.", true, second(Fit::Best));
        desk.expect("Worst fit can't: its 60 bytes took the chunk of 200.", false, second(Fit::Worst));
        // The fits differ on every list, not on this one alone.
        Fit::ALL.into_iter().for_each(|fit| finds_in_drawn_lists(desk, fit));
    });
}

/// Chunks in a long list: more than 16 bits can count.
const LONG: usize = 66_000;

#[test]
fn a_list_may_have_any_length() {
    EXAM.case("workloads", |desk| {
        // Only the chunk at its end is large enough.
        let sizes: Vec<usize> = (0..LONG).map(|index| if index + 1 == LONG { 96 } else { 32 }).collect();
        let bench = Bench::listed(desk, &sizes);
        desk.new_story();
        for fit in Fit::ALL {
            bench.expect_fit(fit, &sizes, 80);
        }
    });
}

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

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let mut bench = Bench::listed(desk, &[80]);
        let only = bench.chunks[0];
        desk.expect("pop() gives the chunk back.", Some(Offset(only)), bench.pop());
    });
}
