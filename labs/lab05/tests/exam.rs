//! The graded cases of lab 5. Each `#[test]` runs in a process of its own; `lab.toml` says what it is worth.
//!
//! Most cases are stories, written as workloads: `m0:100` is `a = malloc(100)`, `c` is calloc, `a1:64:100` is aligned(64,
//! 100), `r` is realloc, `f` is free, and `b:4096` is other code that moves the break. The referee checks every step: the
//! place, the calls of the system, the heap.

use heapkit::image::State;
use heapkit::memory::Heap;
use heapkit::os::{LinuxOs, Os, PAGE, Place, Refusal, SimOs};
use heapkit::referee::payloads::Payloads;
use heapkit::referee::whole::WholeMalloc;
use heapkit::workload::{self, Op};
use lab05::Malloc;
use proctor::{Desk, Exam, Finding};
use std::process::Command;
use std::ptr::NonNull;

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

struct Ours<O>(Malloc<O>);

impl<O: Os> WholeMalloc for Ours<O> {
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.0.malloc(request)
    }

    fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        self.0.calloc(count, size)
    }

    fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.0.aligned(align, request)
    }

    unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: the referee's promise is the very one that `realloc` asks for.
        unsafe { self.0.realloc(payload, request) }
    }

    unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: the same.
        unsafe { self.0.free(payload) }
    }

    fn list_head(&self) -> usize {
        self.0.free_chunks().head().addr()
    }
}

/// Plays a story on a fresh malloc, on a system that refuses what `refusal` says. Where each block was last.
fn refused(desk: &Desk, refusal: Refusal, story: &str) -> Vec<Option<Place>> {
    let ops = workload::parse(story).unwrap_or_else(|e| panic!("{e}"));
    desk.play_whole(refusal, &ops, |os| Ours(Malloc::new(os)))
}

fn play(desk: &Desk, story: &str) -> Vec<Option<Place>> {
    refused(desk, Refusal::Nothing, story)
}

fn heap(at: usize) -> Option<Place> {
    Some(Place::Heap(at))
}

fn mapping(number: usize, at: usize) -> Option<Place> {
    Some(Place::Mapping { number, at })
}

// ---- where a block comes from ----

#[test]
fn the_list_comes_before_the_top_chunk() {
    EXAM.case("dispatch", |desk| {
        // Holes of 336, 224 and 112 bytes.
        let places = play(desk, "m0:320 m1:8 m2:208 m3:8 m4:100 m5:8 f2 f4 f0 m6:200 m7:100 m8:300");
        desk.expect("the best fit for 200 bytes is the hole of 224", places[2], places[6]);
        desk.expect("the best fit for 100 bytes is the hole of 112", places[4], places[7]);
        desk.expect("and the hole of 336 serves 300 bytes", places[0], places[8]);
        desk.snapshot_calls("holes_are_used");
        let places = play(desk, "m0:320 m1:8 f0 m2:100 m3:100");
        desk.expect(
            "what a hole has too much serves the next request",
            vec![heap(16), heap(128)],
            places[2..].to_vec(),
        );
    });
}

#[test]
fn the_top_chunk_comes_before_the_system() {
    EXAM.case("dispatch", |desk| {
        let places = play(desk, "m0:100 m1:134000 m2:900 f0 m3:200");
        desk.expect("a large block fits into the top chunk", heap(128), places[1]);
        desk.snapshot_calls("the_top_chunk_is_used");
    });
}

#[test]
fn a_first_request_of_100_bytes_moves_the_break_by_135168() {
    EXAM.case("break", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100");
        desk.expect("side by side", vec![heap(16), heap(128), heap(240)], places);
        desk.snapshot_calls("first_request");
        desk.snapshot("first_requests", desk.list_head());
        // A request for nothing gets a block like any other.
        play(desk, "m0:0 m1:0");
    });
}

#[test]
fn what_is_left_of_the_top_chunk_counts() {
    EXAM.case("break", |desk| {
        let places = play(desk, "m0:100000 m1:100000 m2:35000 m3:1");
        desk.expect("each block stands where the one before ends", heap(100_032), places[1]);
        desk.snapshot_calls("growth");
        // The last 32 bytes of a top chunk stay its own.
        play(desk, "m0:100 m1:100000 m2:35000");
        desk.snapshot_calls("32_bytes_are_left");
        play(desk, "m0:100 m1:100000 m2:35001");
        desk.snapshot_calls("16_bytes_would_be_left");
    });
}

#[test]
fn from_131049_bytes_on_a_block_is_a_mapping() {
    EXAM.case("mapping", |desk| {
        let places = play(desk, "m0:131048");
        desk.expect("131048 bytes come from the heap", heap(16), places[0]);
        desk.snapshot_calls("below_the_threshold");
        let places = play(desk, "m0:131049");
        desk.expect("131049 bytes come from a mapping", mapping(1, 16), places[0]);
        desk.snapshot_calls("at_the_threshold");
    });
}

#[test]
fn a_mapping_has_a_word_more_than_the_chunk() {
    EXAM.case("mapping", |desk| {
        // 200688 bytes take a chunk of 200704, which is 49 pages; and a word more is 50.
        let places = play(desk, "m0:200680 m1:200681 m2:10485760");
        desk.expect("three mappings", vec![mapping(1, 16), mapping(2, 16), mapping(3, 16)], places);
        desk.snapshot_calls("lengths_of_mappings");
    });
}

// ---- giving back ----

/// So many mappings are alive at once.
const MANY: usize = 100;

#[test]
fn a_freed_mapping_goes_back_at_once() {
    EXAM.case("unmap", |desk| {
        play(desk, "m0:300000 m1:400000 f0 f1");
        desk.snapshot_calls("mappings_given_back");
        play(desk, "m0:3000000 f0 m1:100000000 f1");
        // Many at once.
        let mut many: Vec<Op> = (0..MANY).map(|id| Op::Malloc { id, size: 200_000 + id }).collect();
        many.extend((0..MANY).map(|id| Op::Free { id }));
        desk.play_whole(Refusal::Nothing, &many, |os| Ours(Malloc::new(os)));
    });
}

#[test]
fn a_freed_mapping_raises_the_threshold() {
    EXAM.case("threshold", |desk| {
        let places = play(desk, "m0:1000000 f0 m1:1000000");
        desk.expect("the second time, the million bytes come from the heap", heap(16), places[1]);
        desk.snapshot_calls("a_million_bytes_twice");
        let places = play(desk, "m0:1000000 f0 m1:1003496 m2:1003497");
        desk.expect("a chunk below the new threshold comes from the heap", heap(16), places[1]);
        desk.expect("a chunk of the new threshold is a mapping", mapping(2, 16), places[2]);
        // A chunk of exactly the threshold, which the break had no room for, raises nothing.
        refused(desk, Refusal::OneAfter(0), "m0:131000 f0 m1:100000 m2:100000 f2 f1");
    });
}

#[test]
fn the_threshold_never_falls_and_has_a_limit() {
    EXAM.case("threshold", |desk| {
        let places = play(desk, "m0:500000 m1:200000 f0 f1 m2:300000");
        desk.expect("a smaller mapping does not lower it", heap(16), places[2]);
        let places = play(desk, "m0:33554409 f0 m1:200000");
        desk.expect("a mapping of more than 32 MiB does not raise it", mapping(2, 16), places[1]);
        let places = play(desk, "m0:33554408 f0 m1:200000");
        desk.expect("one of exactly 32 MiB raises it", heap(16), places[1]);
        // Where the break may not move, a chunk below the threshold gets a mapping: one of exactly the threshold, which
        // raises neither threshold. The top chunk is still trimmed as before.
        let places = refused(desk, Refusal::OneAfter(0), "m0:131040 f0 m1:100000 m2:100000 f2 f1");
        desk.expect("a mapping, since the break is refused once", mapping(1, 16), places[0]);
    });
}

#[test]
fn the_trim_threshold_rises_too() {
    EXAM.case("threshold", |desk| {
        play(desk, "m0:300000 f0 m1:250000 m2:250000 f2 f1");
        desk.snapshot_calls("trimmed_later");
        // A top chunk of a page less than the trim threshold stays; one of exactly the threshold is trimmed.
        play(desk, "m0:300000 f0 m1:250000 m2:220984 f2 f1");
        play(desk, "m0:300000 f0 m1:250000 m2:225080 f2 f1");
        desk.snapshot_calls("trimmed_at_the_threshold");
        // What raises nothing raises neither.
        play(desk, "m0:33554409 f0 m1:100000 m2:100000 f2 f1");
        play(desk, "m0:300000 f0 m1:250000 m2:222000 f2 f1");
    });
}

#[test]
fn a_large_top_chunk_is_trimmed() {
    EXAM.case("trim", |desk| {
        play(desk, "m0:100000 m1:100000 m2:100000 m3:8 f0 f1 f2 f3");
        desk.snapshot_calls("trimmed");
        desk.snapshot("what_trimming_leaves", desk.list_head());
    });
}

#[test]
fn a_small_top_chunk_stays() {
    EXAM.case("trim", |desk| {
        play(desk, "m0:100 f0 m1:100 f1");
        desk.snapshot_calls("not_worth_a_page");
    });
}

#[test]
fn nothing_is_trimmed_above_other_code() {
    EXAM.case("trim", |desk| {
        play(desk, "m0:100000 m1:100000 b:4096 f1 f0");
        desk.snapshot_calls("not_above_other_code");
        refused(desk, Refusal::Less, "m0:100000 m1:100000 f1 f0 m2:200000");
    });
}

// ---- a break that others move too ----

#[test]
fn the_heap_goes_on_behind_other_code() {
    EXAM.case("other-code", |desk| {
        let places = play(desk, "m0:100 b:4096 m1:100 m2:130000 m3:100000");
        desk.expect("the old top chunk still serves", heap(128), places[1]);
        desk.expect("and as long as it has room", heap(240), places[2]);
        desk.expect("then the heap goes on behind the other code", heap(135_168 + 4096 + 16), places[3]);
        desk.snapshot_calls("behind_other_code");
        desk.snapshot("two_fences", desk.list_head());
    });
}

#[test]
fn what_is_left_before_the_fences_is_used_again() {
    EXAM.case("other-code", |desk| {
        let places = play(desk, "m0:100 b:4096 m1:100000 m2:100000 m3:200 m4:30000 f1 f3 m5:100200 f0");
        desk.expect("behind the other code", heap(135_168 + 4096 + 16), places[2]);
        desk.expect("in front of it", heap(100_144), places[3]);
        let places = play(desk, "m0:100 b:4096 m1:100000 m2:100000 f0 f1 m3:135120");
        desk.expect("the rest and what was freed before it are one hole", heap(16), places[3]);
        desk.snapshot("a_hole_before_the_fences", desk.list_head());
    });
}

#[test]
fn a_rest_too_small_belongs_to_the_fence() {
    EXAM.case("other-code", |desk| {
        // Top chunks of 32, 48, 64 and 80 bytes; the fences take 32.
        for request in [135_128, 135_112, 135_096, 135_080] {
            // The threshold is out of the way.
            play(desk, &format!("m0:400000 f0 m1:100 f1 m2:{request} b:4096 m3:1000 m4:20 f3 f2 m5:50 f4 f5"));
        }
        play(desk, "m0:400000 f0 m1:100 f1 m2:135112 b:4096 m3:1000");
        desk.snapshot("a_fence_of_32_bytes", desk.list_head());
    });
}

#[test]
fn the_heap_goes_on_wherever_the_break_is() {
    EXAM.case("other-code", |desk| {
        let places =
            play(desk, "b:100 m0:100 m1:200000 b:1 m2:100000 m3:100000 f2 b:24 m4:131000 m5:131000 m6:131000 f0 f3 f4");
        desk.expect("the first block is aligned", heap(128), places[0]);
        desk.snapshot_calls("wherever_the_break_is");
    });
}

// ---- realloc, calloc, aligned ----

#[test]
fn a_block_shrinks_in_place() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:1000 m1:8 r0:100 m2:850 r0:90 r2:800 f1 r2:840");
        desk.expect("it stays", heap(16), places[0]);
        desk.expect("what it had too much serves another block", heap(128), places[2]);
        desk.snapshot("shrunk", desk.list_head());
        play(desk, "m0:100 m1:8 r0:0 f0");
        // What is cut off makes the top chunk large, but only a free trims it: the next one.
        play(desk, "m0:100 m1:100000 m2:60000 r1:10 r2:10 f0 f2");
        desk.snapshot_calls("the_next_free_trims");
        // A mapping that is freed leaves the top chunk as it is.
        play(desk, "m0:100 m1:100000 m2:60000 m3:40000000 r2:10 f3");
    });
}

#[test]
fn a_block_grows_into_the_top_chunk() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 r1:5000 r1:135000 r1:135016 r1:100 m2:100");
        desk.expect("it stays as long as the top chunk keeps 32 bytes", heap(128), places[1]);
        desk.snapshot_calls("grown_into_the_top_chunk");
        let places = play(desk, "m0:100 r0:135128 r0:135129");
        desk.expect("one byte more, and it moves", mapping(1, 16), places[0]);
    });
}

#[test]
fn a_block_grows_into_a_free_chunk() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100 m3:8 f1 r0:200 r0:216 f2 r0:240 r0:300 m4:8");
        desk.expect("it stays", heap(16), places[0]);
        desk.snapshot("grown_into_free_chunks", desk.list_head());
    });
}

#[test]
fn a_block_moves_where_it_has_no_room() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100 m3:8 f1 r0:217 m4:100 r4:150000 r4:300");
        desk.expect("to the top chunk", heap(384), places[0]);
        play(desk, "m0:3000 m1:8 m2:2000 f0 r2:2500 r1:2900 m3:500");
        play(desk, "m0:100 m1:100 r0:200 r1:200");
        // The last block moves too, where the top chunk has too little room: the break is not moved for it to stay.
        let places = play(desk, "m0:100000 m1:50000 m2:50000 r2:90000");
        desk.expect("behind its old place", heap(200_064), places[2]);
        let places = play(desk, "m0:1000 m1:8 r0:140000 r0:500000");
        desk.expect("a large one moves into a mapping", mapping(2, 16), places[0]);
        desk.snapshot_calls("moved_into_a_mapping");
    });
}

#[test]
fn a_mapping_changes_its_length() {
    EXAM.case("mremap", |desk| {
        play(desk, "m0:300000 r0:301000 r0:303088 r0:303089 r0:100000 r0:1 f0");
        desk.snapshot_calls("lengths_change");
        play(desk, "a0:65536:300000 r0:400000 r0:100 f0");
        desk.snapshot_calls("an_aligned_mapping_changes");
    });
}

#[test]
fn a_mapping_that_may_not_grow_moves() {
    EXAM.case("mremap", |desk| {
        let places = refused(desk, Refusal::OneAfter(1), "m0:300000 r0:400000");
        desk.expect("to another mapping", mapping(2, 16), places[0]);
        desk.snapshot_calls("moved_since_refused");
        refused(desk, Refusal::OneAfter(1), "m0:300000 r0:10000000 r0:20 f0");
        // The mapping has 303104 bytes: as many as the chunk needs, but not a word more.
        let places = refused(desk, Refusal::OneAfter(1), "m0:300000 r0:303089 f0");
        desk.expect("a mapping that is a word too short", mapping(2, 16), places[0]);
        refused(desk, Refusal::OneAfter(1), "a0:65536:300000 r0:400000 f0");
        // What has moved is freed as by free: it raises the threshold.
        refused(desk, Refusal::OneAfter(1), "m0:300000 r0:400000 m1:200000");
        let places = refused(desk, Refusal::Less, "m0:300000 r0:100000 r0:200000 f0");
        desk.expect("one that may not shrink stays", mapping(1, 16), places[0]);
    });
}

#[test]
fn calloc_clears_what_was_used_before() {
    EXAM.case("calloc", |desk| {
        play(desk, "m0:3000000 f0 c1:2000000 f1 c2:2000000");
        play(desk, "c0:1000 m1:8 f0 c2:1000 c3:24 f2 c4:500 c5:400 c6:131048 c7:200000 f7 c8:200000");
    });
}

#[test]
fn a_product_that_overflows_is_refused() {
    EXAM.case("calloc", |desk| {
        for (count, size) in
            [(usize::MAX, 2), (2, usize::MAX), (1 << 63, 2), ((1 << 61) + 1, 8), (1 << 32, 1 << 32), (4, (1 << 62) + 8)]
        {
            let os = desk.os(true);
            let mut ours = Malloc::new(os);
            let step = || ours.calloc(count, size).map(|block| os.place(block));
            let place = desk.step(format!("calloc({count}, {size})"), step, |place| format!("{place:?}"));
            desk.expect("more bytes than a word can count", None, place);
            desk.expect("calls of the system", 0, os.call_count());
        }
        for (count, size) in [(0, 0), (5, 0), (usize::MAX, 0), (0, usize::MAX)] {
            let mut ours = Malloc::new(desk.os(true));
            let step = || ours.calloc(count, size).is_some();
            let served = desk.step(format!("calloc({count}, {size})"), step, bool::to_string);
            desk.expect("a block of 0 bytes", true, served);
        }
    });
}

#[test]
fn a_fresh_mapping_is_not_touched() {
    EXAM.case("calloc", |desk| {
        let os = desk.os(true);
        let mut ours = Malloc::new(os);
        let step = || ours.calloc(50, PAGE).map(|block| os.place(block));
        let place = desk.step(format!("calloc(50, {PAGE})"), step, |place| format!("{place:?}"));
        desk.expect("a mapping", mapping(1, 16), place);
        let touched = os.touched_pages(1);
        if touched > 1 {
            desk.fail(
                Finding::new("calloc has cleared a fresh mapping, which is zero already.")
                    .expected("1 page touched, for the header", format!("{touched} pages")),
            );
        }
    });
}

#[test]
fn an_aligned_block_leaves_free_chunks_around_it() {
    EXAM.case("aligned", |desk| {
        let places = play(desk, "m0:8 a1:256:100");
        desk.expect("at the first multiple with a chunk in front", heap(256), places[1]);
        desk.snapshot("an_aligned_block", desk.list_head());
        play(desk, "m0:8 a1:256:100 m2:8 a3:4096:5000 m4:8 a5:32:1 a6:64:24 f3 f1 f5");
        // A lead of 16 bytes is no chunk: the next multiple is.
        play(desk, "m0:24 a1:32:100 m2:24 a3:64:8 m4:40 a5:32:10 f0 f1 f2 f3 f4 f5");
        play(desk, "m0:2000 m1:8 f0 a2:1024:300 a3:16:40 a4:8:40 a5:1:40 f1 f2 f3 f4");
        for lead in (0..10).map(|count| 8 + 16 * count) {
            play(desk, &format!("m0:{lead} a1:128:200 f0 f1"));
        }
        play(desk, "m0:8 a1:64:0 f1");
        // What is cut off makes the top chunk large, but only a free trims it.
        play(desk, "m0:8 a1:65536:100 f0");
        play(desk, "m0:100 m1:100000 m2:60000 r1:10 r2:10 a3:256:50 f0");
    });
}

#[test]
fn an_aligned_mapping_knows_its_start() {
    EXAM.case("aligned", |desk| {
        for align in [32, 4096, 65_536, 1 << 20] {
            play(desk, &format!("a0:{align}:200000 r0:250000 a1:{align}:300000 f0 f1"));
        }
        play(desk, "a0:65536:300000 m1:100 f0");
        play(desk, "a0:134217728:100 f0");
        // Freed, its chunk counts for the threshold, and not the mapping around it.
        play(desk, "a0:1048576:200000 f0 m1:1240000");
    });
}

#[test]
fn an_alignment_is_a_power_of_two() {
    EXAM.case("aligned", |desk| {
        for align in [0, 3, 24, 48, 4095, usize::MAX] {
            let os = desk.os(true);
            let mut ours = Malloc::new(os);
            let step = || ours.aligned(align, 100).map(|block| os.place(block));
            let place = desk.step(format!("aligned({align}, 100)"), step, |place| format!("{place:?}"));
            desk.expect("no power of two", None, place);
            desk.expect("calls of the system", 0, os.call_count());
        }
    });
}

// ---- out of memory ----

#[test]
fn a_mapping_serves_where_the_break_may_not_move() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::Break, "m0:100 m1:5000 f0 c2:100 r2:6000 r1:20 a3:256:50 f1 f2 f3");
        desk.expect("a mapping of one page", mapping(1, 16), places[0]);
        desk.snapshot_calls("no_break");
    });
}

#[test]
fn the_break_serves_where_no_mapping_can_be_had() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::Mappings, "m0:300000 m1:100 r1:200000 f0 f1");
        desk.expect("from the heap", heap(16), places[0]);
        desk.snapshot_calls("no_mappings");
        refused(desk, Refusal::Mappings, "m0:3000000 r0:3100000 m1:8 r0:3500000 f0");
    });
}

#[test]
fn a_request_that_is_refused_loses_nothing() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::Everything, "m0:100 m1:300000 c2:100 a3:64:100 r4:100");
        desk.expect("nothing at all", vec![None; 5], places);
        for after in 0..4 {
            let story =
                "m0:100000 m1:100 f0 m2:150000 r1:140000 a3:4096:131000 m4:90000 r2:400000 f1 m5:20 f2 f3 f4 f5";
            refused(desk, Refusal::OneAfter(after), story);
        }
        // A realloc to more than there is leaves the block, and what is free behind it.
        play(desk, "m0:100 m1:100 m2:8 f1 r0:4611686018427387904 f0");
        play(desk, "m0:300000 r0:4611686018427387904 f0");
        // The old top chunk is still the top chunk if the heap may not go on elsewhere.
        refused(desk, Refusal::OneAfter(1), "m0:100 b:4096 m1:100000 m2:100000 m3:20 f1 f2 f3");
        // From the second request on, the system gives nothing any more.
        let os = desk.os(true);
        let mut ours = Malloc::new(os);
        let block = desk.step("malloc(1000)", || ours.malloc(1000), |block| format!("{}", block.is_some()));
        let Some(block) = block else { desk.fail(Finding::new("The system has memory for this.")) };
        os.refuse(Refusal::Everything);
        // SAFETY: a block of 1000 bytes of ours.
        let grown = || unsafe {
            block.write_bytes(0x77, 1000);
            ours.realloc(block, 1 << 20)
        };
        let grown = desk.step("the system refuses; realloc(a, 1 MiB)", grown, |block| format!("{}", block.is_some()));
        desk.expect("a realloc that is refused", None, grown);
        // SAFETY: a realloc that is refused leaves the block.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 1000) };
        desk.expect("the block's bytes are as they were", true, bytes.iter().all(|&byte| byte == 0x77));
        let image = desk.image(Some(ours.free_chunks().head().addr()));
        desk.expect("the block is in use", Some(State::Used), image.block(0).map(|chunk| chunk.state));
        desk.expect("what is wrong with the heap", 0, image.defects.len());
    });
}

#[test]
fn no_block_can_be_that_large() {
    EXAM.case("refusal", |desk| {
        for request in
            [usize::MAX, usize::MAX - 7, usize::MAX - 200_000, isize::MAX as usize, isize::MAX as usize - 24, 1 << 62]
        {
            play(desk, &format!("m0:{request} m1:100 r1:{request} c2:{request} a3:4096:{request} m4:100 f1"));
        }
        for align in [1_usize << 63, 1 << 62, 1 << 45] {
            play(desk, &format!("a0:{align}:100 m1:100 a2:{align}:100 f1"));
            play(desk, &format!("a0:{align}:{} m1:100", isize::MAX - 100));
        }
    });
}

// ---- everything at once ----

/// A workload of every operation, with other code that moves the break in between.
fn every_operation(desk: &Desk, own: u64, steps: usize, most: usize, live: usize) -> Vec<Op> {
    let mut ops = workload::random_of_all_kinds(desk.seed(own), steps, 1..=most, live);
    ops.insert(steps / 2, Op::Foreign { bytes: 100 + own as usize });
    ops.insert(steps * 3 / 4, Op::Foreign { bytes: 4096 });
    ops
}

/// So many chunks are in a long list: more than a byte can count.
const LONG: usize = 300;

#[test]
fn long_workloads_of_every_operation() {
    EXAM.case("workloads", |desk| {
        for (seed, most, live) in [(0, 300, 30), (1, 3000, 30), (2, 30_000, 20), (3, 200_000, 8), (4, 200_000, 8)] {
            desk.play_whole(Refusal::Nothing, &every_operation(desk, seed, 250, most, live), |os| {
                Ours(Malloc::new(os))
            });
        }
        // A long list in which only the chunk that was freed first is large enough: every second block is freed.
        let size = |id| if id == 0 { 200 } else { 24 };
        let mut long_list: Vec<Op> = (0..2 * LONG).map(|id| Op::Malloc { id, size: size(id) }).collect();
        long_list.extend((0..LONG).map(|count| Op::Free { id: 2 * count }));
        long_list.push(Op::Malloc { id: 2 * LONG, size: 150 });
        desk.play_whole(Refusal::Nothing, &long_list, |os| Ours(Malloc::new(os)));
    });
}

#[test]
fn any_single_refusal_is_survived() {
    EXAM.case("workloads", |desk| {
        for after in 0..12 {
            let ops = every_operation(desk, after as u64, 100, 150_000, 8);
            desk.play_whole(Refusal::OneAfter(after), &ops, |os| Ours(Malloc::new(os)));
        }
    });
}

#[test]
fn the_same_code_runs_on_linux() {
    EXAM.case("linux", |desk| {
        // SAFETY: sysconf only asks.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        if usize::try_from(page) != Ok(PAGE) {
            desk.skip(format!("this system's pages have {page} bytes, not {PAGE}"));
        }
        for (seed, most) in [(5, 500), (6, 50_000), (7, 400_000)] {
            let mut ours = desk.step("Malloc::new(LinuxOs)", || Ours(Malloc::new(LinuxOs)), |_| String::new());
            let mut program = Payloads::new();
            for op in workload::random_of_all_kinds(desk.seed(seed), 400, 1..=most, 40) {
                let step = || program.play(&mut ours, op);
                desk.step(op.in_words(), step, |_| String::new())
                    .unwrap_or_else(|violation| desk.fail(violation.into()));
            }
            let end = || program.free_all(&mut ours);
            desk.step("free all", end, |_| String::new()).unwrap_or_else(|violation| desk.fail(violation.into()));
        }
    });
}

// ---- real programs ----

/// What a program took from the system, and what that cost.
#[derive(Clone, Copy)]
struct Bill {
    /// The largest number of bytes below the break and in mappings.
    memory: usize,
    /// How many chunks the list held, on average, when it was searched.
    looked_at: usize,
    /// How often the system was called.
    calls: usize,
}

/// Plays the trace of a real program.
fn run(desk: &Desk, program: &str) {
    let path = format!("{}/../traces/{program}.rep.gz", env!("CARGO_MANIFEST_DIR"));
    let trace = heapkit::trace::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let mut ours = Malloc::new(LinuxOs);
    // Here first: a body that isn't written yet ends this process, whose journal names it.
    desk.step("malloc(1)", || ours.malloc(1), |_| String::new());
    let os = SimOs::new(Heap::zeroed(64 << 20).unwrap_or_else(|e| desk.skip(e)), |_| {});
    let bill = serve(desk, &os, &trace.ops);
    if cfg!(feature = "solution") {
        let text = format!("{} {} {}", bill.memory, bill.looked_at, bill.calls);
        desk.snapshot_text(program, "The reference's bill has changed.", &text);
    }
    let kept = desk.kept(program).unwrap_or_default();
    let kept: Vec<usize> = kept.split(' ').filter_map(|number| number.parse().ok()).collect();
    let &[memory, looked_at, calls] = kept.as_slice() else { panic!("the reference's bill for {program} is missing") };
    // Equals in the list may be taken in another order, so a little more is right too.
    if bill.memory > memory + memory / 20 {
        let seen = format!("{} bytes", bill.memory);
        desk.fail(
            Finding::new(format!("{program} needs more memory than the rules make it need."))
                .expected(format!("{memory} bytes, as the reference takes, or 5 % more"), seen),
        );
    }
    let used = |memory: usize| trace.peak * 100 / memory.max(1);
    let glibc = glibc_takes(&path).map_or("not here".into(), |memory| format!("{} %", used(memory)));
    desk.measured(format!(
        "{program:<7} {} % of the memory used (reference {} %, glibc {glibc}); chunks per search {} ({looked_at}); calls {} ({calls})",
        used(bill.memory), used(memory), bill.looked_at, bill.calls
    ));
}

fn serve(desk: &Desk, os: &SimOs, ops: &[Op]) -> Bill {
    let mut ours = Ours(Malloc::new(os));
    let mut program = Payloads::new();
    let (mut memory, mut searches, mut looked_at) = (0, 0_usize, 0);
    for &op in ops {
        if matches!(op, Op::Malloc { .. } | Op::Calloc { .. } | Op::Aligned { .. }) {
            searches += 1;
            looked_at += ours.0.free_chunks().iter().count();
        }
        let step = || program.play(&mut ours, op);
        desk.step(op.in_words(), step, |_| String::new()).unwrap_or_else(|violation| desk.fail(violation.into()));
        let mapped: usize = os.mappings().iter().map(|(_, mapping)| mapping.len).sum();
        memory = memory.max(os.layout().end + mapped);
    }
    if let Some(misuse) = os.misuse() {
        desk.fail(Finding::new(misuse));
    }
    Bill { memory, looked_at: looked_at / searches.max(1), calls: os.call_count() }
}

/// How much memory the C library's malloc takes for the same, if it can tell.
fn glibc_takes(trace: &str) -> Option<usize> {
    let output = Command::new(env!("CARGO_BIN_EXE_lab05-probe")).env_clear().arg(trace).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[test]
fn a_c_compiler_runs() {
    EXAM.case("traces", |desk| run(desk, "cc1"));
}

#[test]
fn git_runs() {
    EXAM.case("traces", |desk| run(desk, "git"));
}

#[test]
fn jq_runs() {
    EXAM.case("traces", |desk| run(desk, "jq"));
}

#[test]
fn perl_runs() {
    EXAM.case("traces", |desk| run(desk, "perl"));
}

#[test]
fn python_runs() {
    EXAM.case("traces", |desk| run(desk, "python"));
}

#[test]
fn sqlite_runs() {
    EXAM.case("traces", |desk| run(desk, "sqlite"));
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let places = play(desk, "m0:100 m1:200000 f0 f1 m2:100");
        desk.expect("malloc and free work", heap(16), places[2]);
    });
}
