//! The graded cases of lab 5. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.
//!
//! Most cases are stories, written as workloads: `m0:100` is `a = malloc(100)`, `c` is calloc, `a1:64:100` is aligned(64,
//! 100), `r` is realloc, `f` is free, and `b:4096` is other code that moves the break. The referee checks every step: the
//! place, the calls of the system, the heap. A rule's stories need nothing that is taught after it.

mod questions;

use heapkit::image::{ListHead, Offset};
use heapkit::memory::{Arena, HEAP_ROOM, PAGE};
use heapkit::os::{self, Call as OsCall, Place, Refusal};
use heapkit::referee::{Call, MallocRules, Rules, THRESHOLD, THRESHOLD_MAX, TOP_PAD};
use heapkit::workload::{self, Op, Rng, ops};
use proctor::report::Cost;
use proctor::{Desk, Exam, Finding, Memory, ROOM, Stage, System, one_list};
use questions::Question;
use std::rc::Rc;

const EXAM: Exam = Exam::new("lab05", cfg!(feature = "solution"));

fn all_rules() -> Box<dyn Rules> {
    Box::new(MallocRules::new())
}

/// A malloc that doesn't trim yet, or trims too much, breaks the rules about that, and no others.
fn all_but_trimming() -> Box<dyn Rules> {
    Box::new(MallocRules::but_trimming())
}

fn stage(room: usize, refusal: Refusal) -> Stage<'static, Question> {
    Stage {
        memory: Memory::System { room, refusal },
        start: Question::New,
        call: |call| Question::Call { call },
        lists: one_list,
        rules: &all_but_trimming,
        playground: Some("system best"),
    }
}

/// The same under all rules.
fn strict_stage(room: usize, refusal: Refusal) -> Stage<'static, Question> {
    Stage { rules: &all_rules, ..stage(room, refusal) }
}

/// Plays a story on a fresh malloc. Where each block was last.
fn play(desk: &Desk, story: &str) -> Vec<Option<Place>> {
    refused(desk, Refusal::Nothing, story)
}

/// The same, on a system that refuses what `refusal` says.
fn refused(desk: &Desk, refusal: Refusal, story: &str) -> Vec<Option<Place>> {
    desk.play(&stage(ROOM, refusal), &ops(story))
}

/// The same, on a system whose break has as much room as there is.
fn in_a_huge_heap(desk: &Desk, refusal: Refusal, story: &str) -> Vec<Option<Place>> {
    desk.play(&stage(HEAP_ROOM, refusal), &ops(story))
}

/// Plays a story under all rules. Where each block was last.
fn strictly(desk: &Desk, refusal: Refusal, story: &str) -> Vec<Option<Place>> {
    desk.play(&strict_stage(ROOM, refusal), &ops(story))
}

/// Plays a story again and again: each call of the system is refused once, alone, and once with all that follow.
fn refusing_each(desk: &Desk, stage: fn(usize, Refusal) -> Stage<'static, Question>, ops: &[Op]) {
    desk.play(&stage(ROOM, Refusal::Nothing), ops);
    let can_refuse = |call: &OsCall| !matches!(call, OsCall::Munmap { .. } | OsCall::Foreign { .. });
    let calls = desk.calls().iter().filter(|call| can_refuse(call)).count();
    for before in 0..calls {
        for refusal in [Refusal::Once(before), Refusal::From(before)] {
            desk.play(&stage(ROOM, refusal), ops);
        }
    }
}

fn heap(at: usize) -> Option<Place> {
    Some(Place::Heap(at))
}

fn mapping(number: usize, at: usize) -> Option<Place> {
    Some(Place::Mapping { number, at })
}

/// What a chunk costs beyond its payload.
const COST: usize = 8;
/// The smallest chunk, and what stays for the top chunk.
const LEAST: usize = 32;
/// The first request that the mmap threshold makes a mapping.
const FIRST_MAPPED: usize = THRESHOLD - COST - 15;
/// What trimming leaves of the top chunk, and a whole page is beyond it.
const STAYS: usize = TOP_PAD + LEAST;

// ---- where a block comes from ----

#[test]
fn a_first_request_of_100_bytes_moves_the_break_by_135168() {
    EXAM.case("break", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100");
        desk.expect("Three blocks lie side by side.", vec![heap(16), heap(128), heap(240)], places);
        desk.snapshot_calls("first_request");
        desk.snapshot("first_requests");
        // A request for nothing gets a block like any other.
        play(desk, "m0:0 m1:0");
        let mut rng = desk.rng();
        for _ in 0..8 {
            play(desk, &format!("m0:{} m1:1", rng.below(FIRST_MAPPED)));
        }
    });
}

#[test]
fn what_is_left_of_the_top_chunk_counts() {
    EXAM.case("break", |desk| {
        let places = play(desk, "m0:100000 m1:100000 m2:35000 m3:1");
        desk.expect("Each block lies where the one before ends.", heap(100_032), places[1]);
        desk.snapshot_calls("growth");
        // The last 32 bytes of a top chunk stay its own.
        play(desk, "m0:100 m1:100000 m2:35000");
        desk.snapshot_calls("32_bytes_are_left");
        play(desk, "m0:100 m1:100000 m2:35001");
        desk.snapshot_calls("16_bytes_would_be_left");
        let mut rng = desk.rng();
        for most in [200, 40_000, FIRST_MAPPED - 1] {
            let story: Vec<String> = (0..25).map(|id| format!("m{id}:{}", rng.within(&(0..=most)))).collect();
            play(desk, &story.join(" "));
        }
    });
}

#[test]
fn from_131049_bytes_on_a_block_is_a_mapping() {
    EXAM.case("mapping", |desk| {
        let places = play(desk, "m0:131048");
        desk.expect("131048 bytes come from the heap.", heap(16), places[0]);
        desk.snapshot_calls("below_the_threshold");
        let places = play(desk, "m0:131049");
        desk.expect("131049 bytes come from a mapping.", mapping(1, 16), places[0]);
        desk.snapshot_calls("at_the_threshold");
        let mut rng = desk.rng();
        for _ in 0..4 {
            let (small, large) = (rng.below(30_000), rng.within(&(FIRST_MAPPED..=4 << 20)));
            play(desk, &format!("m0:{small} m1:{large} m2:{small} m3:{}", large + 1));
        }
    });
}

#[test]
fn a_mapping_has_a_word_more_than_the_chunk() {
    EXAM.case("mapping", |desk| {
        // 200688 bytes take a chunk of 200704, which is 49 pages; and a word more is 50.
        let places = play(desk, "m0:200680 m1:200681 m2:10485760");
        desk.expect("Each has a mapping.", vec![mapping(1, 16), mapping(2, 16), mapping(3, 16)], places);
        desk.snapshot_calls("lengths_of_mappings");
        // Around the last request that so many pages can serve.
        let pages = 40 + desk.rng().below(10_000);
        for around in 0..6 {
            play(desk, &format!("m0:{}", pages * PAGE - 40 + 8 * around));
        }
    });
}

#[test]
fn a_mapping_may_have_many_gib() {
    EXAM.case("mapping", |desk| {
        let large = (4 << 30) + desk.rng().below(1 << 30);
        play(desk, &format!("m0:17000000 m1:{large} m2:{} m3:70000", 2 * large));
        // More than the system has.
        play(desk, &format!("m0:{large} m1:{} m2:100 m3:{}", 3 * large, usize::MAX >> 25));
    });
}

#[test]
fn the_top_chunk_comes_before_the_system() {
    EXAM.case("dispatch", |desk| {
        let places = play(desk, "m0:100 m1:134000 m2:900 f0 m3:200");
        desk.expect("A large block fits into the top chunk.", heap(128), places[1]);
        desk.snapshot_calls("the_top_chunk_is_used");
    });
}

#[test]
fn the_list_comes_before_the_top_chunk() {
    EXAM.case("dispatch", |desk| {
        // Holes of 336, 224 and 112 bytes.
        let places = play(desk, "m0:320 m1:8 m2:208 m3:8 m4:100 m5:8 f2 f4 f0 m6:200 m7:100 m8:300");
        desk.expect("The best fit for 200 bytes is the hole of 224.", places[2], places[6]);
        desk.expect("The best fit for 100 bytes is the hole of 112.", places[4], places[7]);
        desk.expect("The hole of 336 serves 300 bytes.", places[0], places[8]);
        desk.snapshot_calls("holes_are_used");
        let places = play(desk, "m0:320 m1:8 f0 m2:100 m3:100");
        desk.expect(
            "What a hole has too much serves the next request.",
            vec![heap(16), heap(128)],
            places[2..].to_vec(),
        );
        // Drawn holes, freed in any order, and requests near their sizes.
        let mut rng = desk.rng();
        for holes in [3, 20] {
            let sizes: Vec<usize> = (0..holes).map(|_| rng.within(&(0..=1500))).collect();
            let mut story = String::new();
            for (id, size) in sizes.iter().enumerate() {
                story.push_str(&format!("m{id}:{size} m{}:8 ", holes + id));
            }
            let mut left: Vec<usize> = (0..holes).collect();
            while !left.is_empty() {
                story.push_str(&format!("f{} ", left.swap_remove(rng.below(left.len()))));
            }
            for id in 2 * holes..4 * holes {
                story.push_str(&format!("m{id}:{} ", (sizes[rng.below(holes)] + rng.below(40)).saturating_sub(20)));
            }
            play(desk, &story);
        }
    });
}

#[test]
fn chunks_may_be_larger_than_32_bits_can_count() {
    EXAM.case("dispatch", |desk| {
        // Without mappings, everything comes from the break. The last block keeps the top chunk away.
        let large = (4_usize << 30) + 16 * desk.rng().below(1 << 20);
        let more = large + (1 << 30);
        let story = format!("m0:{large} m1:8 m2:{more} m3:8 f2 f0 m4:{} m5:{large} m6:100 m7:90", large - 4096);
        in_a_huge_heap(desk, Refusal::Mappings, &story);
    });
}

// ---- where one way is closed ----

#[test]
fn a_mapping_serves_where_the_break_may_not_move() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::BreakUp, "m0:100 m1:5000 m2:131048 m3:131049");
        desk.expect("A small block has a mapping of one page.", mapping(1, 16), places[0]);
        desk.snapshot_calls("no_break");
    });
}

#[test]
fn the_break_serves_where_no_mapping_can_be_had() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::Mappings, "m0:300000 m1:100 m2:200000 m3:2000000");
        desk.expect("A large block comes from the heap.", heap(16), places[0]);
        desk.snapshot_calls("no_mappings");
        in_a_huge_heap(desk, Refusal::Mappings, "m0:17000000 m1:6000000000 m2:100 m3:5000000000");
    });
}

#[test]
fn a_request_that_is_refused_loses_nothing() {
    EXAM.case("refusal", |desk| {
        let places = refused(desk, Refusal::AllMemory, "m0:100 m1:300000 m2:0");
        desk.expect("Nothing at all can be had.", vec![None; 3], places);
        let mut rng = desk.rng();
        refusing_each(desk, stage, &ops("m0:100 m1:100000 m2:300000 m3:60000 m4:100 m5:200000 m6:131040 m7:30"));
        let requests = |rng: &mut Rng| [rng.below(300), rng.below(60_000), rng.below(FIRST_MAPPED), rng.below(400_000)];
        let story: Vec<String> = (0..14).map(|id| format!("m{id}:{}", requests(&mut rng)[id % 4])).collect();
        refusing_each(desk, stage, &ops(&story.join(" ")));
    });
}

// ---- giving back ----

/// So many mappings are alive at once.
const MANY: usize = 300;

#[test]
fn a_freed_mapping_goes_back_at_once() {
    EXAM.case("unmap", |desk| {
        play(desk, "m0:300000 m1:400000 f0 f1");
        desk.snapshot_calls("mappings_given_back");
        play(desk, "m0:3000000 f0 m1:100000000 f1");
        play(desk, "m0:5000000000 m1:9000000000 f1 f0");
        let mut rng = desk.rng();
        let mut story: Vec<String> =
            (0..8).map(|id| format!("m{id}:{}", rng.within(&(FIRST_MAPPED..=40 << 20)))).collect();
        let mut left: Vec<usize> = (0..8).collect();
        while !left.is_empty() {
            story.push(format!("f{}", left.swap_remove(rng.below(left.len()))));
        }
        play(desk, &story.join(" "));
    });
}

#[test]
fn there_may_be_hundreds_of_mappings() {
    EXAM.case("unmap", |desk| {
        let mut rng = desk.rng();
        let mut many: Vec<Op> =
            (0..MANY).map(|id| Op::Malloc { id, size: FIRST_MAPPED + rng.below(100_000) }).collect();
        many.extend((0..MANY).map(|id| Op::Free { id }));
        let system = serve(desk, ROOM, &many);
        desk.expect("Mappings that are left when all blocks are freed.", 0, system.mappings().len());
    });
}

#[test]
fn a_large_top_chunk_is_trimmed() {
    EXAM.case("trim", |desk| {
        strictly(desk, Refusal::Nothing, "m0:100000 m1:100000 m2:100000 m3:8 f0 f1 f2 f3");
        desk.snapshot_calls("trimmed");
        desk.snapshot("what_trimming_leaves");
        // In the middle, and at the end, what is joined in front counts too.
        let mut rng = desk.rng();
        let mut request = || rng.within(&(40_000..=FIRST_MAPPED - 1));
        let story = format!("m0:{} m1:{} m2:{} m3:{} m4:{}", request(), request(), request(), request(), request());
        strictly(desk, Refusal::Nothing, &format!("{story} f1 f3 f4 f2 m5:8 f0 f5"));
        strictly(desk, Refusal::Nothing, &format!("{story} f4 f3 f2 m5:90000 f1 f0 f5"));
    });
}

#[test]
fn a_small_top_chunk_stays() {
    EXAM.case("trim", |desk| {
        strictly(desk, Refusal::Nothing, "m0:100 f0 m1:100 f1");
        desk.snapshot_calls("not_worth_a_page");
        // The top chunk is below what has to stay, but not below the threshold.
        strictly(desk, Refusal::Nothing, "m0:4056 m1:8 m2:8 f2");
        // Every size of the top chunk around the threshold, what stays, and a page beyond it. `c` is all that is given back.
        let first = 16 * (4 + desk.rng().below(200)) + COST;
        let top = (first + COST + STAYS).next_multiple_of(PAGE) - (first + COST);
        for aim in [THRESHOLD, STAYS, STAYS + PAGE] {
            for left in (0..7).map(|count| aim - 48 + 16 * count).filter(|left| *left <= top) {
                match top - left {
                    0 => strictly(desk, Refusal::Nothing, &format!("m0:{first} m1:40 f1")),
                    16 => continue,
                    between => strictly(desk, Refusal::Nothing, &format!("m0:{first} m1:{} m2:40 f2", between - COST)),
                };
            }
        }
    });
}

#[test]
fn a_top_chunk_may_be_larger_than_32_bits_can_count() {
    EXAM.case("trim", |desk| {
        let story = ops("m0:5000000000 m1:100000 m2:6000000000 f2 f0 f1 m3:100");
        desk.play(&strict_stage(HEAP_ROOM, Refusal::Mappings), &story);
    });
}

#[test]
fn nothing_is_trimmed_above_other_code() {
    EXAM.case("trim", |desk| {
        strictly(desk, Refusal::Nothing, "m0:100000 m1:100000 b:4096 f1 f0");
        desk.snapshot_calls("not_above_other_code");
        strictly(desk, Refusal::Nothing, "m0:100000 m1:100000 b:1 f1 f0");
        // What the other code gives back is no longer in the way.
        strictly(desk, Refusal::Nothing, "m0:100000 m1:100000 m2:100 b:5000 f1 b:-5000 f2 f0");
        strictly(desk, Refusal::Nothing, "m0:100000 m1:100000 m2:100 b:5000 f1 b:-4999 f2 f0");
    });
}

#[test]
fn what_the_system_does_not_take_back_stays() {
    EXAM.case("trim", |desk| {
        strictly(desk, Refusal::GivingBack, "m0:100000 m1:100000 f1 f0 m2:200000 f2 m3:300");
        refusing_each(desk, strict_stage, &ops("m0:100000 m1:100000 m2:100000 f2 m3:120000 f1 f3 f0 m4:90000 f4"));
    });
}

#[test]
fn a_freed_mapping_raises_the_threshold() {
    EXAM.case("threshold", |desk| {
        let places = strictly(desk, Refusal::Nothing, "m0:1000000 f0 m1:1000000");
        desk.expect("The second time, the million bytes come from the heap.", heap(16), places[1]);
        desk.snapshot_calls("a_million_bytes_twice");
        let places = strictly(desk, Refusal::Nothing, "m0:1000000 f0 m1:1003496 m2:1003497");
        desk.expect("A chunk below the new threshold comes from the heap.", heap(16), places[1]);
        desk.expect("A chunk of the new threshold is a mapping.", mapping(2, 16), places[2]);
        let mut rng = desk.rng();
        for most in [1 << 20, THRESHOLD_MAX - PAGE] {
            let request = rng.within(&(FIRST_MAPPED..=most));
            let raised = mapping_length(request);
            strictly(desk, Refusal::Nothing, &format!("m0:{request} f0 m1:{} m2:{}", raised - 24, raised - 23));
        }
    });
}

/// The length of the mapping for so many bytes.
fn mapping_length(request: usize) -> usize {
    ((request + COST).next_multiple_of(16) + 8).next_multiple_of(PAGE)
}

#[test]
fn the_threshold_never_falls_and_has_a_limit() {
    EXAM.case("threshold", |desk| {
        let places = strictly(desk, Refusal::Nothing, "m0:500000 m1:200000 f0 f1 m2:300000");
        desk.expect("A smaller mapping does not lower it.", heap(16), places[2]);
        let places = strictly(desk, Refusal::Nothing, "m0:33554409 f0 m1:200000");
        desk.expect("A mapping of more than 32 MiB does not raise it.", mapping(2, 16), places[1]);
        let places = strictly(desk, Refusal::Nothing, "m0:33554408 f0 m1:200000");
        desk.expect("One of exactly 32 MiB raises it.", heap(16), places[1]);
        strictly(desk, Refusal::Nothing, "m0:5000000000 f0 m1:200000 f1 m2:200000");
        let mut rng = desk.rng();
        let mut size = || rng.within(&(FIRST_MAPPED..=2 << 20));
        let (a, b, c) = (size(), size(), size());
        strictly(desk, Refusal::Nothing, &format!("m0:{a} m1:{b} m2:{c} f1 f0 f2 m3:{a} m4:{b} m5:{c}"));
    });
}

#[test]
fn the_trim_threshold_rises_too() {
    EXAM.case("threshold", |desk| {
        strictly(desk, Refusal::Nothing, "m0:300000 f0 m1:250000 m2:250000 f2 f1");
        desk.snapshot_calls("trimmed_later");
        strictly(desk, Refusal::Nothing, "m0:300000 f0 m1:250000 m2:222000 f2 f1");
        // A top chunk of exactly the threshold is trimmed; one of a page less stays.
        strictly(desk, Refusal::Nothing, "m0:300000 f0 m1:250000 m2:220984 f2 f1");
        strictly(desk, Refusal::Nothing, "m0:300000 f0 m1:250000 m2:225080 f2 f1");
        desk.snapshot_calls("trimmed_at_the_threshold");
        let mut rng = desk.rng();
        let mapped = rng.within(&(300_000..=1 << 20));
        let raised = mapping_length(mapped);
        for most in [2 * raised - PAGE, 2 * raised] {
            // Two chunks that the heap serves, and with what has to stay as much as fills these pages.
            let first = raised - 16 * rng.within(&(1..=4000));
            let second = most - STAYS - first - 16 * rng.below(PAGE / 16);
            let second = second / 16 * 16;
            strictly(desk, Refusal::Nothing, &format!("m0:{mapped} f0 m1:{} m2:{} f2 f1", first - COST, second - COST));
        }
    });
}

#[test]
fn what_raises_one_threshold_raises_both() {
    EXAM.case("threshold", |desk| {
        // Neither a mapping that is too large, nor one of exactly the threshold, for which the break had no room.
        strictly(desk, Refusal::Nothing, "m0:33554409 f0 m1:100000 m2:100000 f2 f1");
        for request in [131_000, 131_040] {
            let places = strictly(desk, Refusal::Once(0), &format!("m0:{request} f0 m1:100000 m2:100000 f2 f1"));
            desk.expect("A mapping, since the break is refused once.", mapping(1, 16), places[0]);
        }
    });
}

// ---- a break that others move too ----

#[test]
fn the_heap_goes_on_behind_other_code() {
    EXAM.case("other-code", |desk| {
        let places = play(desk, "m0:100 b:4096 m1:100 m2:130000 m3:100000");
        desk.expect("The old top chunk still serves.", heap(128), places[1]);
        desk.expect("It does as long as it has room.", heap(240), places[2]);
        desk.expect("Then the heap goes on after the other code.", heap(135_168 + 4096 + 16), places[3]);
        desk.snapshot_calls("behind_other_code");
        desk.snapshot("two_fences");
    });
}

#[test]
fn what_is_left_before_the_fences_is_used_again() {
    EXAM.case("other-code", |desk| {
        let places = play(desk, "m0:100 b:4096 m1:100000 m2:100000 m3:200 m4:30000 f1 f3 m5:100200 f0");
        desk.expect("The new block is after the other code.", heap(135_168 + 4096 + 16), places[2]);
        desk.expect("The next one is before it.", heap(100_144), places[3]);
        let places = play(desk, "m0:100 b:4096 m1:100000 m2:100000 f0 f1 m3:135120");
        desk.expect("The rest and what was freed before it are one hole.", heap(16), places[3]);
        desk.snapshot("a_hole_before_the_fences");
        // What is left joins what is free before it at once.
        play(desk, "m0:100 m1:30000 b:4096 m2:60000 m3:8 m4:45000 f1 m5:100000 f2 f0 f3");
    });
}

#[test]
fn a_rest_too_small_belongs_to_the_fence() {
    EXAM.case("other-code", |desk| {
        // What the top chunk has after the first two blocks, the third fills up to 32, 48, 64 or 80 bytes; the fences take 32.
        let first = 16 * desk.rng().below(60) + 8;
        let top = (first + COST + STAYS).next_multiple_of(PAGE) - (first + COST) - 100_016;
        for left in [32, 48, 64, 80] {
            let third = top - left - COST;
            play(desk, &format!("m0:{first} m1:100000 m2:{third} b:4096 m3:1000 m4:20 f3 f2 m5:50 f4 f5 f1 m6:50 f0"));
        }
        play(desk, "m0:100 m1:100000 m2:34984 b:4096 m3:1000");
        desk.snapshot("a_fence_of_32_bytes");
    });
}

#[test]
fn the_heap_goes_on_wherever_the_break_is() {
    EXAM.case("other-code", |desk| {
        let places =
            play(desk, "b:100 m0:100 m1:200000 b:1 m2:100000 m3:100000 f2 b:24 m4:131000 m5:131000 m6:131000 f0 f3 f4");
        desk.expect("The first block is aligned.", heap(128), places[0]);
        desk.snapshot_calls("wherever_the_break_is");
        let mut rng = desk.rng();
        let mut bytes = || 1 + rng.below(10_000);
        let story = format!("b:{} m0:100 b:{} m1:100000 m2:100000", bytes(), bytes());
        play(desk, &format!("{story} b:{} b:{} m3:90000 m4:90000 f3 f1 f2 f4 f0", bytes(), bytes()));
    });
}

#[test]
fn other_code_gives_back_what_it_took() {
    EXAM.case("other-code", |desk| {
        // The break is back where the memory ends, so the top chunk borders on it again.
        let places = play(desk, "m0:100 b:4096 b:-4096 m1:100000 m2:100000 f2");
        desk.expect("The heap goes on without a gap.", heap(100_144), places[2]);
        play(desk, "m0:100 b:4096 m1:90000 b:-4096 m2:130000 f1 f0 f2");
        play(desk, "b:100 b:-100 m0:100 b:3 b:-3 m1:131000");
        let mut rng = desk.rng();
        for _ in 0..4 {
            // Not all of it: the gap is smaller.
            let took = 2 + rng.below(3 * PAGE);
            let back = 1 + rng.below(took - 1);
            let story = format!("m0:100 b:{took} m1:30 b:-{back} m2:100000 m3:100000");
            play(desk, &format!("{story} b:{took} b:-{took} m4:100000 f3 f4 f2 b:{back} f1 b:-{back} f0"));
        }
    });
}

#[test]
fn the_old_top_chunk_serves_on_where_the_break_may_not_move() {
    EXAM.case("other-code", |desk| {
        refused(desk, Refusal::Once(1), "m0:100 b:4096 m1:100000 m2:100000 m3:20 f1 f2 f3");
        refusing_each(
            desk,
            stage,
            &ops("m0:100 b:100 m1:100000 m2:100000 m3:20 b:4096 m4:120000 f1 m5:131000 f2 f4 f3 f0"),
        );
    });
}

// ---- realloc, calloc ----

#[test]
fn a_block_shrinks_in_place() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:1000 m1:8 r0:100 m2:850 r0:90 r2:800 f1 r2:840");
        desk.expect("It stays.", heap(16), places[0]);
        desk.expect("What it had too much serves another block.", heap(128), places[2]);
        desk.snapshot("shrunk");
        play(desk, "m0:100 m1:8 r0:0 f0");
        // What is cut off makes the top chunk large, but only a free trims it.
        play(desk, "m0:100 m1:100000 m2:60000 r1:10 r2:10 f0 f2");
        // A mapping that is freed leaves the top chunk as it is.
        play(desk, "m0:100 m1:100000 m2:60000 m3:40000000 r2:10 f3");
    });
}

#[test]
fn a_block_grows_into_the_top_chunk() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 r1:5000 r1:135000 r1:135016 r1:100 m2:100");
        desk.expect("It stays as long as the top chunk keeps 32 bytes.", heap(128), places[1]);
        desk.snapshot_calls("grown_into_the_top_chunk");
        let places = play(desk, "m0:100 r0:135128 r0:135129");
        desk.expect("With one byte more, it moves.", mapping(1, 16), places[0]);
    });
}

#[test]
fn a_block_grows_into_a_free_chunk() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100 m3:8 f1 r0:200 r0:216 f2 r0:240 r0:300 m4:8");
        desk.expect("It stays.", heap(16), places[0]);
        desk.snapshot("grown_into_free_chunks");
    });
}

#[test]
fn a_block_moves_where_it_has_no_room() {
    EXAM.case("realloc", |desk| {
        let places = play(desk, "m0:100 m1:100 m2:100 m3:8 f1 r0:217 m4:100 r4:150000");
        desk.expect("It moves to the top chunk.", heap(384), places[0]);
        play(desk, "m0:3000 m1:8 m2:2000 f0 r2:2500 r1:2900 m3:500");
        play(desk, "m0:100 m1:100 r0:200 r1:200");
        // The last block moves too, where the top chunk has too little room: the break is not moved for it to stay.
        let places = play(desk, "m0:100000 m1:50000 m2:50000 r2:90000");
        desk.expect("It moves on from its old place.", heap(200_064), places[2]);
        let places = play(desk, "m0:1000 m1:8 r0:140000");
        desk.expect("A large one moves into a mapping.", mapping(1, 16), places[0]);
        desk.snapshot_calls("moved_into_a_mapping");
    });
}

#[test]
fn every_size_becomes_every_other() {
    EXAM.case("realloc", |desk| {
        let mut rng = desk.rng();
        let mut sizes = vec![0, 24, 25, 40, 41, 56, 300, 5000];
        sizes.extend([rng.below(200), rng.below(3000)]);
        // What comes after the block: one in use, a free one of any size, the top chunk.
        for after in 0..3 {
            let (mut story, mut id) = (String::new(), 0);
            for from in &sizes {
                for to in &sizes {
                    let next = sizes[rng.below(sizes.len())];
                    story.push_str(&match after {
                        0 => format!("m{id}:{from} m{}:8 r{id}:{to} f{} f{id} ", id + 1, id + 1),
                        1 => {
                            let [b, c] = [id + 1, id + 2];
                            format!("m{id}:{from} m{b}:{next} m{c}:8 f{b} r{id}:{to} f{id} f{c} ")
                        }
                        _ => format!("m{id}:{from} r{id}:{to} f{id} "),
                    });
                    id += 3;
                }
            }
            play(desk, &story);
        }
    });
}

#[test]
fn a_long_block_moves_with_all_its_bytes() {
    EXAM.case("realloc", |desk| {
        // Without mappings, everything comes from the heap.
        let huge = |story: &str| in_a_huge_heap(desk, Refusal::Mappings, story);
        let size = (1 << 20) + desk.rng().below(2 << 20);
        huge(&format!("m0:{size} m1:8 r0:{} r1:{size} r0:{} f1", size + 100_000, size / 2));
        huge("m0:17000000 m1:8 r0:18000000 f0");
    });
}

#[test]
fn a_realloc_that_is_refused_leaves_the_block() {
    EXAM.case("realloc", |desk| {
        // There is a free chunk after the block, but it is too small.
        refused(desk, Refusal::From(1), "m0:1000 m1:100 m2:8 f1 r0:1048576 r0:140000 r0:1050 f0 m3:100 f2");
        play(desk, "m0:100 m1:100 m2:8 f1 r0:4611686018427387904 f0");
        refusing_each(
            desk,
            stage,
            &ops("m0:100000 m1:100 f0 m2:131000 r1:120000 m4:90000 r2:100 f1 m5:20 f2 r4:131000 f4 f5"),
        );
    });
}

#[test]
fn a_block_does_not_grow_into_a_chunk_with_a_damaged_link() {
    EXAM.case("realloc", |desk| {
        let (system, _) = desk.enter(&stage(ROOM, Refusal::Nothing));
        let first = 16 * (4 + desk.rng().below(20)) + COST;
        let blocks: Vec<usize> =
            [first, 100, 8, 100, 8].iter().filter_map(|&request| ask(desk, Call::Malloc { request })).collect();
        desk.expect("Five small blocks are served.", 5, blocks.len());
        ask(desk, Call::Free { payload: blocks[1] });
        ask(desk, Call::Free { payload: blocks[3] });
        let (word, elsewhere) = (blocks[1] + 8, system.arena().base() + blocks[2] - 16);
        desk.act("a stray write over the bk of the second block, which is free", || {
            system.arena().set_word(word, elsewhere);
        });
        if ask(desk, Call::Realloc { payload: blocks[0], request: first + 60 }) == Some(blocks[0]) {
            let what = "realloc joins a free chunk to its block although that can't be taken out of the list.";
            let finding = Finding::new(what).expected("a block in another place", Offset(blocks[0]).to_string());
            desk.fail(finding.mark(word, "this link was overwritten"));
        }
    });
}

/// Makes one call, as a step of the story. Where the block is.
fn ask(desk: &Desk, call: Call) -> Option<usize> {
    let is_free = matches!(call, Call::Free { .. });
    let show = |(block, _): &(Option<usize>, Vec<usize>)| match block {
        _ if is_free => String::new(),
        Some(at) => Offset(*at).to_string(),
        None => "null".into(),
    };
    let (block, heads) = desk.ask_and_show(&Question::Call { call }, show);
    desk.lists_are(one_list(&heads));
    block
}

#[test]
fn a_mapping_changes_its_length() {
    EXAM.case("mremap", |desk| {
        play(desk, "m0:300000 r0:301000 r0:303088 r0:303089 r0:100000 r0:1 f0");
        desk.snapshot_calls("lengths_change");
        play(desk, "m0:100 m1:8 r0:150000 r0:300 f0");
        play(desk, "m0:20000000 r0:5000000000 r0:6000000000 r0:20000000 f0");
        let mut rng = desk.rng();
        let story: Vec<String> = (0..12).map(|_| format!("r0:{}", rng.below(600_000))).collect();
        play(desk, &format!("m0:200000 {} f0", story.join(" ")));
        play(desk, "m0:300000 r0:4611686018427387904 f0");
    });
}

#[test]
fn a_mapping_that_may_not_grow_moves() {
    EXAM.case("mremap", |desk| {
        let places = refused(desk, Refusal::Once(1), "m0:300000 r0:400000");
        desk.expect("It moves to another mapping.", mapping(2, 16), places[0]);
        desk.snapshot_calls("moved_since_refused");
        refused(desk, Refusal::Once(1), "m0:300000 r0:10000000 r0:20 f0");
        // The mapping has 303104 bytes: as many as the chunk needs, but not a word more.
        let places = refused(desk, Refusal::Once(1), "m0:300000 r0:303089 f0");
        desk.expect("A mapping that is a word too short is too short.", mapping(2, 16), places[0]);
        // What has moved is freed as by free: it raises the threshold.
        refused(desk, Refusal::Once(1), "m0:300000 r0:400000 m1:200000");
        // It may move into the heap, too.
        refused(desk, Refusal::Mappings, "m0:3000000 r0:3100000 m1:8 r0:3500000 f0");
        refused(desk, Refusal::From(1), "m0:300000 r0:400000 r0:300001 r0:303080 f0");
        let mut rng = desk.rng();
        let story: Vec<String> = (0..8).map(|_| format!("r0:{}", rng.below(600_000))).collect();
        refusing_each(desk, stage, &ops(&format!("m0:200000 {} f0", story.join(" "))));
    });
}

#[test]
fn a_mapping_that_may_not_shrink_stays() {
    EXAM.case("mremap", |desk| {
        let places = refused(desk, Refusal::GivingBack, "m0:300000 r0:100000 r0:200000 f0");
        desk.expect("It is where it was.", mapping(1, 16), places[0]);
    });
}

#[test]
fn calloc_clears_what_was_used_before() {
    EXAM.case("calloc", |desk| {
        refused(desk, Refusal::Mappings, "m0:3000000 f0 c1:2000000 f1 c2:2000000");
        play(desk, "c0:1000 m1:8 f0 c2:1000 c3:24 f2 c4:500 c5:400 c6:131048 c7:200000");
        let size = 1 + desk.rng().below(3000);
        play(desk, &format!("m0:{size} m1:8 f0 c2:{size} f2 c3:{} f3 c4:0", size / 2));
        refused(desk, Refusal::BreakUp, "m0:100 f0 c1:100 c2:5000");
        in_a_huge_heap(desk, Refusal::Mappings, "m0:18000000 m1:8 f0 c2:17500000");
    });
}

#[test]
fn a_product_that_overflows_is_refused() {
    EXAM.case("calloc", |desk| {
        let mut rng = desk.rng();
        let half = 1 << 32;
        let drawn = [half + rng.below(half), half + rng.below(half)];
        // One whose product wraps around to a small number.
        let odd = rng.below(1 << 10) << 1 | 1;
        for (count, size) in [
            (1 << 33, 1 << 33),
            (usize::MAX, 2),
            (2, usize::MAX),
            (1 << 63, 2),
            ((1 << 61) + odd, 8),
            (1 << 32, 1 << 32),
            (4, (1 << 62) + 8),
            (drawn[0], drawn[1]),
        ] {
            let (system, _) = desk.enter(&stage(ROOM, Refusal::Nothing));
            let block = ask(desk, Call::Calloc { count, size });
            let shown = |block: Option<usize>| block.map_or("null".into(), |at| system.place(at).to_string());
            desk.expect("More bytes than a word can count.", shown(None), shown(block));
            desk.expect("The system need not be asked.", 0, system.call_count());
        }
        for (count, size) in [(0, 0), (5, 0), (usize::MAX, 0), (0, usize::MAX)] {
            desk.enter(&stage(ROOM, Refusal::Nothing));
            desk.expect("A block of 0 bytes is a block.", true, ask(desk, Call::Calloc { count, size }).is_some());
        }
    });
}

#[test]
fn a_fresh_mapping_is_not_touched() {
    EXAM.case("calloc", |desk| {
        for count in [50, 50 + desk.rng().below(2000), 1_500_000] {
            let (system, _) = desk.enter(&stage(ROOM, Refusal::Nothing));
            let block = ask(desk, Call::Calloc { count, size: PAGE });
            desk.expect("It is a mapping.", mapping(1, 16), block.map(|block| system.place(block)));
            let touched = system.touched_pages(1);
            if touched > 1 {
                let what = "calloc clears a fresh mapping, which is zero already.";
                let seen = format!("{touched} pages touched");
                desk.fail(Finding::new(what).expected("1 page touched, for the header", seen));
            }
        }
    });
}

// ---- aligned ----

#[test]
fn an_aligned_block_leaves_free_chunks_around_it() {
    EXAM.case("aligned", |desk| {
        let places = play(desk, "m0:8 a1:256:100");
        desk.expect("It is at the first multiple with a chunk before it.", heap(256), places[1]);
        desk.snapshot("an_aligned_block");
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
fn every_power_of_two_is_an_alignment() {
    EXAM.case("aligned", |desk| {
        let mut rng = desk.rng();
        for align in (0..64).map(|power| 1_usize << power) {
            let (request, before) = (rng.below(3000), rng.below(200));
            play(desk, &format!("m0:{before} a1:{align}:{request} m2:40 f0 f1"));
        }
        // The same from the heap, where the threshold is out of the way.
        for align in (5..34).map(|power| 1_usize << power) {
            let refusal = Refusal::Mappings;
            in_a_huge_heap(desk, refusal, &format!("m0:{} a1:{align}:5000 m2:40 f1", rng.below(200)));
        }
    });
}

#[test]
fn an_aligned_mapping_knows_its_start() {
    EXAM.case("aligned", |desk| {
        play(desk, "a0:65536:300000 r0:400000 r0:100 f0");
        desk.snapshot_calls("an_aligned_mapping_changes");
        for align in [32, 4096, 65_536, 1 << 20] {
            play(desk, &format!("a0:{align}:200000 r0:250000 a1:{align}:300000 f0 f1"));
        }
        play(desk, "a0:65536:300000 m1:100 f0");
        play(desk, "a0:134217728:100 f0");
        refused(desk, Refusal::Once(1), "a0:65536:300000 r0:400000 f0");
        refused(desk, Refusal::BreakUp, "m0:100 a1:256:50 a2:4096:50 f1 r2:9000 f2");
    });
}

#[test]
fn an_aligned_mapping_raises_the_threshold_to_its_chunk() {
    EXAM.case("aligned", |desk| {
        // Not to the length of the mapping around it.
        play(desk, "a0:1048576:200000 f0 m1:1240000");
        play(desk, &format!("a0:65536:{} f0 m1:400000", 300_000 + desk.rng().below(20_000)));
    });
}

#[test]
fn an_alignment_is_a_power_of_two() {
    EXAM.case("aligned", |desk| {
        let mut rng = desk.rng();
        let drawn = 3 << rng.below(40);
        for align in [24, 0, 3, 48, 4095, usize::MAX, drawn, drawn + 1] {
            let (system, _) = desk.enter(&stage(ROOM, Refusal::Nothing));
            let block = ask(desk, Call::Aligned { align, request: rng.within(&(1..=300_000)) });
            let shown = |block: Option<usize>| block.map_or("null".into(), |at| system.place(at).to_string());
            desk.expect("The alignment is no power of two.", shown(None), shown(block));
            desk.expect("The system need not be asked.", 0, system.call_count());
        }
    });
}

// ---- what no word can count ----

#[test]
fn no_block_can_be_that_large() {
    EXAM.case("overflow", |desk| {
        let [all, most] = [usize::MAX, isize::MAX as usize];
        let drawn = most - desk.rng().below(1 << 40);
        // The last ones are chunks, but what the break or a mapping needs beyond a chunk, is no distance any more.
        let around = [most, most - 8, most - 24, most - 100, most - STAYS, most - 200_000];
        for request in
            [all, all - 7, all - 24, all - 200_000, most + 1, drawn, 1 << 62, 1 << 41].into_iter().chain(around)
        {
            play(
                desk,
                &format!("m0:{request} m1:100 r1:{request} c2:{request} a3:4096:{request} m4:100 f1 m5:{request}"),
            );
            in_a_huge_heap(desk, Refusal::Mappings, &format!("m0:6000000000 m1:{request} r0:{request} m2:100"));
        }
    });
}

#[test]
fn no_sum_wraps_around() {
    EXAM.case("overflow", |desk| {
        let most = isize::MAX as usize;
        for align in [1_usize << 63, 1 << 62, 1 << 45] {
            play(desk, &format!("a0:{align}:100 m1:100 a2:{align}:100 f1"));
            for request in [24, 40, 56, 100, 200, STAYS].map(|less| most - less) {
                play(desk, &format!("a0:{align}:{request} m1:100 a2:{align}:{request} f1"));
            }
        }
        play(desk, &format!("a0:4096:300000 r0:{} r0:{} f0", most - 24, most - 4096));
    });
}

// ---- everything at once ----

/// So many chunks are in a long list.
const LONG: usize = 5_050;

#[test]
fn long_workloads_of_every_operation() {
    EXAM.case("workloads", |desk| {
        let mut rng = desk.rng();
        for (steps, most, live) in
            [(160, 300, 30), (160, 3000, 30), (140, 30_000, 20), (120, 200_000, 8), (30, 2_000_000, 6)]
        {
            desk.play(
                &strict_stage(8 * ROOM, Refusal::Nothing),
                &workload::random_with_other_code(&mut rng, steps, most, live),
            );
        }
    });
}

#[test]
fn any_refusal_is_survived() {
    EXAM.case("workloads", |desk| {
        let mut rng = desk.rng();
        for most in [60_000, 150_000] {
            refusing_each(desk, strict_stage, &workload::random_with_other_code(&mut rng, 32, most, 8));
        }
    });
}

#[test]
fn there_may_be_ten_thousand_chunks() {
    EXAM.case("workloads", |desk| {
        // Only the chunk that was freed first is large enough: every second block is freed.
        let size = |id| if id == 0 { 200 } else { 24 };
        let mut ops: Vec<Op> = (0..2 * LONG).map(|id| Op::Malloc { id, size: size(id) }).collect();
        ops.extend((0..LONG).map(|count| Op::Free { id: 2 * count }));
        let system = serve(desk, ROOM, &ops);
        let end = system.end();
        let block = ask(desk, Call::Malloc { request: 150 });
        desk.expect("The only chunk that is large enough.", heap(16), block.map(|at| system.place(at)));
        desk.expect("The break has not moved for it.", Offset(end), Offset(system.end()));
    });
}

#[test]
fn the_same_code_runs_on_linux() {
    EXAM.case("linux", |desk| {
        let mut rng = desk.rng();
        for most in [500, 50_000, 400_000] {
            let (seed, steps) = (rng.bits(), 200);
            let ops = workload::random_of_all_kinds(seed, steps, 1..=most, 40);
            // Here alone the examiner takes the candidate's word, if the simulated system was served the same.
            serve(desk, ROOM, &ops);
            desk.expect_served_on_linux(&Question::Linux { seed, steps, most }, &ops);
        }
    });
}

// ---- what is too long to be looked at step by step ----

/// What a program took from the system, and what that cost.
#[derive(Clone, Copy)]
struct Bill {
    /// The largest number of bytes below the break and in mappings.
    memory: usize,
    /// How often the list was searched.
    searches: usize,
    /// How many chunks it held then, all times together.
    looked_at: usize,
    /// How often the system was called.
    calls: usize,
}

/// Plays operations that are too many to be looked at one by one, on a fresh malloc.
fn serve(desk: &Desk, room: usize, ops: &[Op]) -> Rc<System> {
    desk.play_long(&stage(room, Refusal::Nothing), |ops| Question::Play { ops }, ops, |_, _, _| {})
}

/// The same for a trace, with what it cost.
fn bill(desk: &Desk, ops: &[Op]) -> Bill {
    let (mut searches, mut looked_at) = (0, 0);
    let look = |system: &System, lists: &[ListHead], few: &[Op]| {
        let asks = few.iter().filter(|op| !matches!(op, Op::Realloc { .. } | Op::Free { .. })).count();
        searches += asks;
        looked_at += asks * listed(system, lists);
    };
    let system = desk.play_long(&stage(64 << 20, Refusal::Nothing), |ops| Question::Play { ops }, ops, look);
    let calls = system.calls();
    Bill { memory: os::peak(&calls), searches, looked_at, calls: calls.len() }
}

/// How many chunks are in the list.
fn listed(system: &System, lists: &[ListHead]) -> usize {
    let (base, end) = (system.arena().base(), system.end());
    let next = |word: usize| word.checked_sub(base).filter(|at| at + LEAST <= end);
    let head = lists.first().and_then(|list| next(list.head));
    std::iter::successors(head, |at| next(system.arena().word(at + 16))).take(LONG * 2).count()
}

// ---- real programs ----

/// Plays the trace of a real program.
fn run(desk: &Desk, program: &str) {
    let path = desk.lab_dir().join(format!("../traces/{program}.rep.gz"));
    let trace = heapkit::trace::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let bill = bill(desk, &trace.ops);
    let each = bill.looked_at / bill.searches.max(1);
    if cfg!(feature = "solution") {
        let text = format!("{} {each} {}", bill.memory, bill.calls);
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
    desk.measured(format!(
        "{program:<7} {} % of the memory used (reference {} %); chunks per search {each} ({looked_at}); calls {} ({calls})",
        used(bill.memory),
        used(memory),
        bill.calls
    ));
    desk.cost(Cost {
        peak: trace.peak as u64,
        memory: bill.memory as u64,
        requests: bill.searches as u64,
        looked_at: bill.looked_at as u64,
    });
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
        desk.expect("malloc and free work.", heap(16), places[2]);
    });
}
