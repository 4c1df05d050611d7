//! The graded cases of lab 4. Each `#[test]` runs in a process of its own; `lab.toml` says what it is worth.

use heapkit::draw::size_word_in_words as say;
use heapkit::image::{Image, Offset, State};
use heapkit::memory::{Heap, PAGE};
use heapkit::referee::{Allocator, Fit as Rule, Promise};
use heapkit::workload::{self, Op, Rng};
use lab02::{Chunk, Header, SizeWord};
use lab03::Fit;
use lab04::{CoalescingHeap, Fragmentation, join, split};
use proctor::{Desk, Exam, Finding};
use std::ptr::NonNull;

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

// ---- one chunk, cut and joined ----

/// Two chunks and the top chunk, all headers written.
fn laid_out(desk: &Desk, first: usize, second: usize, flags: usize) -> Heap {
    let heap = desk.heap(PAGE);
    heap.set_word(8, first | flags);
    heap.set_word(first + 8, second | SizeWord::PREV_INUSE);
    heap.set_word(first + second + 8, (PAGE - first - second) | SizeWord::PREV_INUSE);
    heap
}

fn chunk(heap: &Heap, at: usize) -> Chunk {
    // SAFETY: every case wrote a header there.
    unsafe { Chunk::from_header(heap.at(at).cast::<Header>()) }
}

fn splits(desk: &Desk, heap: &Heap, size: usize) -> Option<Offset> {
    let mut front = chunk(heap, 0);
    desk.step(
        format!("split(the first chunk, {size})"),
        // SAFETY: the chunk is in no list and at least that long.
        || unsafe { split(&mut front, size) }.map(|rest| place(desk, heap, &rest)),
        |rest| rest.map_or("None".into(), |rest| format!("a rest at {rest}")),
    )
}

fn place(desk: &Desk, heap: &Heap, chunk: &Chunk) -> Offset {
    let offset = heap.offset_of(chunk.header().as_ptr());
    let inside = usize::try_from(offset).ok().filter(|&offset| offset < heap.len());
    Offset(inside.unwrap_or_else(|| desk.fail(Finding::new("The chunk lies outside the heap."))))
}

#[test]
fn a_rest_of_32_bytes_is_a_chunk() {
    EXAM.case("split", |desk| {
        for (size, rest) in [(80, 32), (32, 80), (48, 64)] {
            for flags in [0, SizeWord::PREV_INUSE, SizeWord::PREV_INUSE | SizeWord::NON_MAIN_ARENA] {
                let heap = laid_out(desk, 112, 64, flags);
                desk.expect("where the rest starts", Some(Offset(size)), splits(desk, &heap, size));
                desk.expect_word("The front has the new size and keeps its flags.", 8, size | flags, heap.word(8), say);
                let expected = rest | SizeWord::PREV_INUSE;
                desk.expect_word("The rest has what is left, and P.", size + 8, expected, heap.word(size + 8), say);
            }
        }
    });
}

#[test]
fn a_rest_that_is_too_small_stays_with_the_front() {
    EXAM.case("split", |desk| {
        for size in [112, 96] {
            let heap = laid_out(desk, 112, 64, SizeWord::PREV_INUSE);
            let before = heap.bytes();
            desk.expect(format!("the rest would have {} bytes", 112 - size), None, splits(desk, &heap, size));
            desk.expect("nothing has changed", true, heap.bytes() == before);
        }
    });
}

#[test]
fn two_neighbours_become_one_chunk() {
    EXAM.case("join", |desk| {
        for flags in [0, SizeWord::PREV_INUSE, SizeWord::NON_MAIN_ARENA] {
            let heap = laid_out(desk, 112, 64, flags);
            let mut first = chunk(&heap, 0);
            // SAFETY: neighbours, in no list, and nobody uses their bytes.
            desk.act("join the two chunks", || unsafe { join(&mut first, chunk(&heap, 112)) });
            desk.expect_word(
                "The joined chunk has the first one's flags and both sizes.",
                8,
                176 | flags,
                heap.word(8),
                say,
            );
        }
    });
}

// ---- the heap ----

struct Ours(CoalescingHeap);

impl Allocator for Ours {
    fn malloc(&mut self, size: usize) -> Option<NonNull<u8>> {
        self.0.malloc(size)
    }

    unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: the referee's promise is the very one that `free` asks for.
        unsafe { self.0.free(payload) }
    }

    fn list_head(&self) -> usize {
        self.0.free_list().head().addr()
    }
}

fn play(desk: &Desk, fit: Fit, ops: &[Op]) -> Vec<Option<Offset>> {
    play_on(desk, PAGE, fit, ops)
}

/// As [`play`], on a heap of `len` bytes.
fn play_on(desk: &Desk, len: usize, fit: Fit, ops: &[Op]) -> Vec<Option<Offset>> {
    let rule = match fit {
        Fit::First => Rule::First,
        Fit::Best => Rule::Best,
        Fit::Worst => Rule::Worst,
    };
    let promise = Promise { fit: rule, splits: true, coalesces: true };
    // SAFETY: a heap of whole pages that nobody else uses.
    let payloads = desk.play(len, promise, ops, |heap| Ours(unsafe { CoalescingHeap::new(heap.region(), fit) }));
    payloads.into_iter().map(|at| at.map(Offset)).collect()
}

fn ops(text: &str) -> Vec<Op> {
    workload::parse(text).expect("the cases write their workloads correctly")
}

#[test]
fn one_byte_takes_32_bytes_of_a_large_chunk() {
    EXAM.case("rest-is-listed", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:1"));
        desk.expect("One byte stands where the large block stood.", at[0], at[2]);
        desk.snapshot("one_byte_out_of_a_thousand", desk.list_head());
    });
}

#[test]
fn a_rest_can_be_used_and_split_again() {
    EXAM.case("rest-is-listed", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:100 m3:100 m4:100 m5:600 m6:8"));
        let expected = [0x10, 0x80, 0xf0, 0x160].map(|at| Some(Offset(at)));
        desk.expect("The pieces stand side by side.", expected.as_slice(), &at[2..6]);
    });
}

/// Six blocks of 64 bytes; then these are freed, in this order.
fn frees(desk: &Desk, snapshot: &str, order: &[usize]) {
    let mut story = ops("m0:64 m1:64 m2:64 m3:64 m4:64 m5:64");
    story.extend(order.iter().map(|&id| Op::Free { id }));
    play(desk, Fit::First, &story);
    desk.snapshot(snapshot, desk.list_head());
}

#[test]
fn a_freed_chunk_joins_the_one_behind_it() {
    EXAM.case("next", |desk| frees(desk, "joined_with_the_next", &[2, 1]));
}

#[test]
fn a_freed_chunk_joins_the_one_before_it() {
    EXAM.case("previous", |desk| {
        frees(desk, "joined_with_the_previous", &[1, 2]);
        // The joined chunk goes to the head, wherever the one before had its place.
        play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 m4:64 m5:64 f1 f4 f2"));
    });
}

#[test]
fn between_two_free_chunks_three_become_one() {
    EXAM.case("both-or-neither", |desk| frees(desk, "joined_with_both", &[1, 3, 2]));
}

#[test]
fn between_two_chunks_in_use_it_stays_alone() {
    EXAM.case("both-or-neither", |desk| frees(desk, "alone", &[1, 3]));
}

#[test]
fn the_top_chunk_swallows_what_borders_on_it() {
    EXAM.case("top", |desk| {
        frees(desk, "swallowed_by_the_top", &[3, 5, 4]);
        frees(desk, "all_is_top_again", &[0, 2, 4, 1, 3, 5]);
    });
}

#[test]
fn the_first_chunk_has_nothing_before_it() {
    EXAM.case("top", |desk| {
        play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 f0 m3:64 f3 f1"));
        desk.snapshot("at_the_start_of_the_heap", desk.list_head());
    });
}

#[test]
fn what_nothing_can_serve_is_refused() {
    EXAM.case("refusal", |desk| {
        let absurd = format!(
            "m0:4000 m1:100 m2:40 m3:24 m4:1 f0 m5:{} m6:{} m7:{} m8:2000 m9:1990",
            usize::MAX,
            isize::MAX,
            64_usize << 30
        );
        let at = play(desk, Fit::Best, &ops(&absurd));
        desk.expect(
            "What fits is served, what doesn't is refused.",
            [true, false, true, false, false, false, false, false, true, true].to_vec(),
            at.iter().map(Option::is_some).collect(),
        );
    });
}

// ---- what it looks like in numbers ----

/// The same measures, from the raw bytes.
fn measured(image: &Image) -> Fragmentation {
    let sizes = |state| image.blocks.iter().filter(move |block| block.state == state).map(|block| block.size);
    Fragmentation {
        in_use: sizes(State::Used).sum(),
        free: sizes(State::Free).sum(),
        holes: sizes(State::Free).count(),
        largest: sizes(State::Free).max().unwrap_or(0),
        top: sizes(State::Top).sum(),
    }
}

#[test]
fn the_measures_are_those_of_the_heap() {
    EXAM.case("measures", |desk| {
        let heap = desk.heap(PAGE);
        // SAFETY: a heap of whole pages that nobody else uses.
        let mut ours = unsafe { CoalescingHeap::new(heap.region(), Fit::First) };
        let check = |ours: &CoalescingHeap, when: &str| {
            desk.list_starts_at(ours.free_list().head().addr());
            desk.expect(format!("fragmentation() {when}"), measured(&desk.image(None)), ours.fragmentation());
        };
        check(&ours, "of an empty heap");
        let blocks: Vec<NonNull<u8>> =
            [50, 100, 400, 350, 200, 300, 150, 250].iter().filter_map(|&size| ours.malloc(size)).collect();
        check(&ours, "with eight blocks in use");
        for &block in blocks.iter().step_by(2) {
            // SAFETY: a block of this heap, freed once.
            unsafe { ours.free(block) };
        }
        check(&ours, "with every second one freed");
    });
}

#[test]
fn fragmentation_is_a_part_of_the_whole() {
    EXAM.case("measures", |desk| {
        let near = |what: &str, expected: f64, seen: f64| {
            // Written so that NaN, which is not near anything, is found too.
            let is_near = (expected - seen).abs() < 1e-9;
            if !is_near {
                desk.fail(Finding::new(what).expected(expected.to_string(), seen.to_string()));
            }
        };
        let heap = Fragmentation { in_use: 400, free: 1000, holes: 4, largest: 250, top: 64 };
        near("external() with 1000 bytes free, 250 of them together", 0.75, heap.external());
        near("internal(300) with 400 bytes in use", 0.25, heap.internal(300));
        near("external() with one hole", 0.0, Fragmentation { free: 96, holes: 1, largest: 96, ..heap }.external());
        near("external() of an empty heap", 0.0, Fragmentation::default().external());
        near("internal(0) of an empty heap", 0.0, Fragmentation::default().internal(0));
    });
}

/// So many chunks are in a long list: more than a byte can count.
const LONG: usize = 300;

#[test]
fn every_fit_survives_long_workloads() {
    EXAM.case("workloads", |desk| {
        for fit in [Fit::First, Fit::Best, Fit::Worst] {
            for seed in 0..3 {
                play(desk, fit, &workload::random(desk.seed(seed), 120, 1..=200, 16));
            }
            play(desk, fit, &workload::random(desk.seed(99), 300, 1..=500, 40));
            // A heap of a mebibyte: there is nothing else that could serve large requests.
            play_on(desk, 256 * PAGE, fit, &workload::random(desk.seed(98), 200, 1..=100_000, 12));
            // A long list in which only the last chunk is large enough: every second block is freed. And a request of 0 bytes.
            let size = |id| if id == 0 { 200 } else { 24 };
            let mut long_list: Vec<Op> = (0..2 * LONG).map(|id| Op::Malloc { id, size: size(id) }).collect();
            long_list.extend((0..LONG).map(|count| Op::Free { id: 2 * count }));
            long_list.extend([Op::Malloc { id: 2 * LONG, size: 150 }, Op::Malloc { id: 2 * LONG + 1, size: 0 }]);
            play_on(desk, 5 * PAGE, fit, &long_list);
        }
    });
}

/// The chapter's chat server: 1000 messages of 10 to 1000 bytes, every second one freed.
#[test]
fn the_chat_server_leaves_a_checkerboard() {
    EXAM.case("checkerboard", |desk| {
        let heap = desk.heap(256 * PAGE);
        let mut rng = Rng::new(desk.seed(1));
        // SAFETY: a heap of whole pages that nobody else uses.
        let mut ours = unsafe { CoalescingHeap::new(heap.region(), Fit::Best) };
        let messages: Vec<NonNull<u8>> = (0..1000).filter_map(|_| ours.malloc(rng.within(&(10..=1000)))).collect();
        desk.expect("All messages are served.", 1000, messages.len());
        for &message in messages.iter().skip(1).step_by(2) {
            // SAFETY: a block of this heap, freed once.
            unsafe { ours.free(message) };
        }
        let checkerboard = ours.fragmentation();
        desk.expect("The measures are those of the heap.", measured(&desk.image(None)), checkerboard);
        desk.expect(
            "One hole for each freed message but the last, which the top chunk swallows.",
            499,
            checkerboard.holes,
        );
        desk.expect("No hole is larger than the largest message's chunk.", true, checkerboard.largest <= 1008);
        let large = ours.malloc(5000).map(|payload| heap.offset_of(payload.as_ptr()));
        let top = PAGE * 256 - checkerboard.top + 16;
        desk.expect("5000 bytes come from the top chunk.", Some(top as isize), large);
        let small =
            (0..500).filter_map(|_| ours.malloc(100)).filter(|p| heap.offset_of(p.as_ptr()) < top as isize).count();
        desk.expect("500 requests of 100 bytes all fit into the holes.", 500, small);
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let heap = laid_out(desk, 112, 64, SizeWord::PREV_INUSE);
        desk.expect("split gives the rest as a chunk", Some(Offset(48)), splits(desk, &heap, 48));
    });
}
