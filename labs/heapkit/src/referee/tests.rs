use super::toy::{Os, Spoiled, Toy};
use super::*;
use crate::memory::{MAPPINGS, PAGE, PrivateArena, ThisProcess};
use crate::os::Refusal;
use crate::workload::{parse, random, random_of_all_kinds};
use std::num::Wrapping;

const LAB3: ListRules = ListRules { fit: Fit::First, splits: false, coalesces: false };
const LAB4: ListRules = ListRules { fit: Fit::Best, splits: true, coalesces: true };

/// An arena as if it were new. Each thread has but one: a process has addresses for some hundreds.
fn arena() -> &'static PrivateArena {
    thread_local! {
        static ARENA: &'static PrivateArena = Box::leak(Box::new(PrivateArena::reserve().unwrap()));
    }
    let arena = ARENA.with(|arena| *arena);
    arena.close(0..MAPPINGS.end);
    arena.discard(0..MAPPINGS.end);
    arena
}

/// The system; no older one of this thread is used any more.
fn system() -> Os {
    SimOs::new(arena(), HEAP_ROOM)
}

/// A fixed heap; no older system of this thread is used any more.
fn fixed(len: usize) -> Os {
    SimOs::with_heap(arena(), len)
}

/// Plays a workload; where each block is afterwards.
fn play<'a>(
    os: &'a Os,
    allocator: &'a mut dyn Allocator,
    rules: impl Rules + 'a,
    ops: &[Op],
) -> Result<Vec<Option<Place>>, Violation> {
    let journal = Journal::default();
    let mut referee = Referee::new(os, allocator, Box::new(rules), &journal);
    ops.iter().try_for_each(|op| referee.play(*op))?;
    Ok((0..8).map(|id| referee.place(id)).collect())
}

/// What comes of a story on a list heap of a page, whose answers are spoiled.
fn spoiled(story: &str, rules: ListRules, spoil: impl FnMut(&Os, Call, Option<usize>) -> Option<usize>) -> Violation {
    let os = fixed(PAGE);
    let mut allocator = Spoiled { toy: Toy::list(&os, rules), spoil };
    play(&os, &mut allocator, rules, &parse(story).unwrap()).unwrap_err()
}

/// What comes of a story on a whole malloc, whose answers are spoiled.
fn spoiled_malloc(story: &str, spoil: impl FnMut(&Os, Call, Option<usize>) -> Option<usize>) -> Violation {
    let os = system();
    let mut allocator = Spoiled { toy: Toy::malloc(&os), spoil };
    play(&os, &mut allocator, MallocRules::new(), &parse(story).unwrap()).unwrap_err()
}

fn is_free(call: Call) -> bool {
    matches!(call, Call::Free { .. })
}

// ---- what is right passes ----

#[test]
fn a_right_list_heap_keeps_the_rules_of_each_fit() {
    for fit in [Fit::First, Fit::Best, Fit::Worst] {
        for (splits, coalesces) in [(false, false), (true, true)] {
            let (rules, os) = (ListRules { fit, splits, coalesces }, fixed(4 * PAGE));
            let ops = random(7, 400, 0..=500, 30);
            play(&os, &mut Toy::list(&os, rules), rules, &ops).unwrap();
            let os = fixed(4 * PAGE);
            play(&os, &mut Toy::list(&os, rules), AnyMalloc, &ops).unwrap();
        }
    }
}

/// Every operation, and other code that moves the break up and down.
fn every_operation(seed: u64, most: usize) -> Vec<Op> {
    let mut ops = random_of_all_kinds(seed, 150, 0..=most, 12);
    for (at, delta) in [(120, -60), (110, 100), (60, 4096), (30, -24), (20, 24)] {
        ops.insert(at, Op::Foreign { delta });
    }
    ops
}

#[test]
fn a_right_malloc_keeps_the_rules_whatever_the_system_refuses() {
    let counted = (0..10).flat_map(|count| [Refusal::Once(count), Refusal::From(count)]);
    let always = [Refusal::Nothing, Refusal::BreakUp, Refusal::Mappings, Refusal::AllMemory, Refusal::GivingBack];
    for (seed, refusal) in (0..).zip(always.into_iter().chain(counted)) {
        for most in [300, 50_000, 300_000] {
            let (os, ops) = (system(), every_operation(seed, most));
            os.refuse(refusal);
            let played = play(&os, &mut Toy::malloc(&os), MallocRules::new(), &ops);
            played.unwrap_or_else(|violation| panic!("{refusal:?}, seed {seed}, at most {most}: {violation:?}"));
            let os = system();
            os.refuse(refusal);
            play(&os, &mut Toy::malloc(&os), AnyMalloc, &ops).unwrap();
        }
    }
}

#[test]
fn a_trim_that_was_refused_is_tried_again_by_the_next_free() {
    let os = system();
    let (mut toy, journal) = (Toy::malloc(&os), Journal::default());
    let mut referee = Referee::new(&os, &mut toy, Box::new(MallocRules::new()), &journal);
    let mut play = |story: &str| parse(story).unwrap().into_iter().try_for_each(|op| referee.play(op)).unwrap();
    play("m0:8 m1:100000 m2:100000 m3:8 m4:40000000 f3");
    os.refuse(Refusal::GivingBack);
    play("f2 f1 r4:39000000");
    os.refuse(Refusal::Nothing);
    let calls = os.call_count();
    // A mapping's free trims nothing; a chunk's does, wherever it is.
    play("f4");
    assert!(matches!(os.calls_after(calls)[..], [os::Call::Munmap { .. }]));
    play("f0");
    assert!(matches!(os.calls().last(), Some(os::Call::Sbrk { delta: ..0, granted: true })));
}

#[test]
fn requests_of_any_size_are_judged() {
    let limits = [0, 1, 1 << 30, 16 << 30, 1 << 40, isize::MAX as usize, usize::MAX];
    let sizes =
        limits.iter().flat_map(|limit| (0..=64).step_by(8).map(move |less| (Wrapping(*limit) - Wrapping(less)).0));
    for size in sizes.filter(|size| *size > 4 << 30) {
        let system = || SimOs::new(arena(), 64 * PAGE);
        for op in ["m9:", "c9:", "a9:4096:", "a9:9223372036854775808:", "r0:", "r1:"] {
            let ops = parse(&format!("m0:100 m1:200000 {op}{size} m2:50 f0 f1")).unwrap();
            let os = system();
            play(&os, &mut Toy::malloc(&os), MallocRules::new(), &ops).unwrap();
            let os = system();
            play(&os, &mut Toy::malloc(&os), AnyMalloc, &ops).unwrap();
        }
        let ops = parse(&format!("m0:100 m1:{size} f0")).unwrap();
        let os = fixed(PAGE);
        play(&os, &mut Toy::list(&os, LAB4), LAB4, &ops).unwrap();
        // A malloc that says that there is a block of that size is wrong.
        let says = |_: &Os, call: Call, answer: Option<usize>| {
            if call.request().is_some_and(|request| request > 4 << 30) { Some(64) } else { answer }
        };
        assert_eq!(spoiled(&format!("m0:8 m1:{size}"), LAB4, says).kind, Kind::OutsideMemory);
        assert_eq!(spoiled(&format!("m0:100 m1:{size}"), LAB4, says).kind, Kind::Overlap);
        let os = system();
        let mut allocator = Spoiled { toy: Toy::malloc(&os), spoil: says };
        let ops = parse(&format!("m0:8 m1:{size}")).unwrap();
        let violation = play(&os, &mut allocator, MallocRules::new(), &ops).unwrap_err();
        assert_eq!(violation.kind, Kind::OutsideMemory);
    }
    // A gibibyte is served.
    let os = system();
    let places =
        play(&os, &mut Toy::malloc(&os), MallocRules::new(), &parse("m0:1073741824 r0:16 f0").unwrap()).unwrap();
    assert_eq!((places[0], os.mappings().len()), (None, 0));
}

#[test]
fn an_alignment_that_is_no_power_of_two_is_refused_without_a_call() {
    for align in [0, 3, 24, usize::MAX] {
        let os = system();
        let ops = [Op::Aligned { id: 0, align, size: 100 }];
        assert_eq!(play(&os, &mut Toy::malloc(&os), MallocRules::new(), &ops).unwrap()[0], None);
        play(&os, &mut Toy::malloc(&os), AnyMalloc, &ops).unwrap();
    }
}

// ---- each kind of failure ----

#[test]
fn an_operation_that_is_missing_is_named() {
    let violation = spoiled("m0:8 r0:16", LAB3, |_, _, answer| answer);
    assert_eq!(
        (violation.kind, violation.what.as_str()),
        (Kind::NoSuchOperation, "This allocator has no operation `realloc`.")
    );
}

#[test]
fn giving_up_is_found_where_the_request_can_be_served() {
    for violation in [spoiled("m0:8", LAB3, |_, _, _| None), spoiled_malloc("m0:8", |_, _, _| None)] {
        assert_eq!(violation.kind, Kind::GaveUp);
    }
    let os = system();
    let mut allocator = Spoiled { toy: Toy::malloc(&os), spoil: |_: &Os, _, _| None };
    let ops = parse("m0:8").unwrap();
    assert_eq!(play(&os, &mut allocator, AnyMalloc, &ops).unwrap_err().kind, Kind::GaveUp);
}

#[test]
fn a_block_outside_of_memory_is_found_and_never_touched() {
    for wrong in
        [PAGE, PAGE - 16, HEAP_ROOM, 64 << 30, 1 << 50, usize::MAX - 15, usize::MAX - 99, 0_usize.wrapping_sub(32)]
    {
        let violation = spoiled("m0:100", LAB3, |_, _, _| Some(wrong));
        assert_eq!(violation.kind, Kind::OutsideMemory, "{wrong:#x}");
    }
    let (_, seen) = spoiled("m0:100", LAB3, |_, _, _| Some(0_usize.wrapping_sub(32))).expected_and_seen.unwrap();
    assert!(seen.starts_with("0x20 bytes before the heap"), "{seen}");
    let past = spoiled_malloc("m0:200000", |_, _, answer| answer.map(|at| at + 4096));
    assert_eq!(
        (past.kind, past.what.as_str()),
        (Kind::OutsideMemory, "malloc returns bytes past the end of its mapping.")
    );
}

#[test]
fn a_misaligned_block_is_found() {
    assert_eq!(spoiled("m0:100", LAB3, |_, _, answer| answer.map(|at| at + 8)).kind, Kind::Misaligned);
    let story = "a0:256:10";
    assert_eq!(spoiled_malloc(story, |_, _, answer| answer.map(|at| at + 16)).kind, Kind::Misaligned);
}

#[test]
fn an_overlap_is_found_before_anything_that_comes_of_it() {
    let inside = |distance: usize| {
        move |os: &Os, call: Call, answer: Option<usize>| match call {
            Call::Malloc { request: 64 } => {
                // A header in the middle of the other block, which makes the heap unreadable.
                os.arena().set_word(16 + distance - 8, 7);
                Some(16 + distance)
            }
            _ => answer,
        }
    };
    for distance in [0, 16, 96] {
        let violation = spoiled("m0:100 m1:64", LAB3, inside(distance));
        assert_eq!(violation.kind, Kind::Overlap);
        assert_eq!(violation.what, "malloc returns bytes that still belong to a.");
        assert!(violation.heap_is_before && violation.heap.defects.is_empty());
    }
    // The other way round: a long block around a short one.
    let around = |_: &Os, call: Call, answer: Option<usize>| match call {
        Call::Malloc { request: 200 } => Some(32),
        _ => answer,
    };
    assert_eq!(spoiled("m0:8 m1:8 m2:8 f0 m3:200", LAB3, around).kind, Kind::Overlap);
    // Not one byte in common, but no room for a header.
    let close = spoiled("m0:108 m1:64", LAB3, inside(112));
    assert_eq!(close.what, "malloc returns a block that leaves no room for a header between it and a.");
    // A call that is wrong as well comes second.
    let twice = spoiled_malloc("m0:8 m1:8", |os, _, _| {
        os.sbrk(16);
        Some(16)
    });
    assert_eq!(twice.kind, Kind::WrongCall);
    let twice = spoiled_malloc("m0:8 m1:8", |os, call, answer| match answer {
        Some(48) => {
            os.sbrk(16);
            Some(16)
        }
        _ => {
            assert!(!is_free(call));
            answer
        }
    });
    assert_eq!(twice.kind, Kind::Overlap);
}

#[test]
fn other_codes_memory_is_nobodys_to_hand_out() {
    let violation = spoiled_malloc("m0:8 b:4096 m1:8", |_, _, answer| match answer {
        Some(48) => Some(135_168 + 64),
        other => other,
    });
    assert_eq!(violation.kind, Kind::Overlap);
    assert!(violation.what.contains("other code"), "{}", violation.what);
}

#[test]
fn the_header_instead_of_the_payload_has_its_own_sentence() {
    let header = |_: &Os, _: Call, answer: Option<usize>| answer.map(|at| at - 16);
    assert_eq!(spoiled("m0:8", LAB3, header).kind, Kind::HeaderReturned);
    assert_eq!(spoiled_malloc("m0:8", header).kind, Kind::HeaderReturned);
    assert_eq!(spoiled_malloc("m0:300000", header).kind, Kind::HeaderReturned);
    assert_eq!(spoiled_malloc("a0:4096:300000", header).kind, Kind::HeaderReturned);
    for story in ["m0:8", "m0:8 m1:8"] {
        let os = system();
        let mut allocator = Spoiled { toy: Toy::malloc(&os), spoil: header };
        let violation = play(&os, &mut allocator, AnyMalloc, &parse(story).unwrap()).unwrap_err();
        assert_eq!(violation.kind, Kind::HeaderReturned);
    }
}

#[test]
fn another_chunk_than_the_rule_says_is_found() {
    let os = fixed(PAGE);
    let mut toy = Toy::list(&os, ListRules { fit: Fit::First, ..LAB4 });
    let ops = parse("m0:200 m1:8 m2:100 m3:8 f2 f0 m4:90").unwrap();
    let violation = play(&os, &mut toy, LAB4, &ops).unwrap_err();
    assert_eq!(violation.kind, Kind::WrongPlace);
    let (expected, seen) = violation.expected_and_seen.clone().unwrap();
    assert_eq!((expected.as_str(), seen.as_str()), ("+0x0100, the smallest with at least 112 bytes (112)", "+0x0010"));
    assert_eq!(violation.marks[0].at, 0xf0);
    // A block where there should be none.
    let violation = spoiled("m0:4000 m1:100", LAB3, |_, _, answer| answer.or(Some(0xfb0 - 64)));
    assert_eq!(violation.kind, Kind::Overlap);
    let violation = spoiled("m0:3900 m1:140", LAB3, |_, _, answer| answer.or(Some(0xf60)));
    assert_eq!(
        (violation.kind, violation.what.as_str()),
        (Kind::WrongPlace, "malloc returns a block, but the rule says null.")
    );
}

#[test]
fn a_chunk_of_the_wrong_size_is_found_before_anybody_writes_to_the_block() {
    // The top chunk starts inside the block.
    let small = |os: &Os, _: Call, answer: Option<usize>| {
        os.arena().set_word(8, 0x21);
        os.arena().set_word(0x28, (PAGE - 0x20) | 1);
        answer
    };
    assert_eq!(spoiled("m0:100", LAB3, small).kind, Kind::ChunkTooSmall);
    let os = fixed(PAGE);
    let mut allocator = Spoiled { toy: Toy::list(&os, LAB3), spoil: small };
    let violation = play(&os, &mut allocator, AnyMalloc, &parse("m0:100").unwrap()).unwrap_err();
    assert_eq!(violation.kind, Kind::ChunkTooSmall);

    let os = fixed(PAGE);
    let mut whole = Toy::list(&os, ListRules { splits: false, ..LAB4 });
    let violation = play(&os, &mut whole, LAB4, &parse("m0:100 m1:8 f0 m2:8").unwrap()).unwrap_err();
    assert_eq!(violation.kind, Kind::ChunkTooLarge);
}

#[test]
fn calloc_that_does_not_clear_is_found() {
    let dirty = |os: &Os, call: Call, answer: Option<usize>| {
        if let (Call::Calloc { .. }, Some(at)) = (call, answer) {
            os.arena().write(at + 4321, &[7]);
        }
        answer
    };
    assert_eq!(spoiled_malloc("c0:6000", dirty).kind, Kind::NotZero);
    assert_eq!(spoiled_malloc("c0:600000", dirty).kind, Kind::NotZero);
}

#[test]
fn bytes_that_changed_are_found_in_the_heap_and_in_a_mapping() {
    for story in ["m0:5000 m1:8 f1", "m0:500000 m1:8 f1"] {
        let mut first = None;
        let violation = spoiled_malloc(story, |os, call, answer| {
            let at = *first.get_or_insert(answer.unwrap_or(0));
            if is_free(call) {
                os.arena().write(at + 100, &[0x11; 8]);
            }
            answer
        });
        assert_eq!(
            (violation.kind, violation.what.as_str()),
            (Kind::ContentChanged, "The bytes of a changed while the program held them.")
        );
    }
}

#[test]
fn realloc_that_does_not_copy_is_found() {
    let forgets = |os: &Os, call: Call, answer: Option<usize>| {
        if let (Call::Realloc { .. }, Some(at)) = (call, answer) {
            os.arena().write(at + 256, &[0; 64]);
        }
        answer
    };
    assert_eq!(spoiled_malloc("m0:1000 m1:8 r0:2000", forgets).kind, Kind::ContentLost);
    assert_eq!(spoiled_malloc("m0:1000 m1:8 r0:500", forgets).kind, Kind::ContentLost);
    assert_eq!(spoiled_malloc("m0:300000 r0:400000", forgets).kind, Kind::ContentLost);
}

#[test]
fn a_word_that_this_step_broke_says_what_it_was() {
    let violation = spoiled("m0:24 m1:24 f0", LAB3, |os, call, answer| {
        if is_free(call) {
            os.arena().set_word(0x28, 0x10);
        }
        answer
    });
    assert_eq!(violation.kind, Kind::HeapUnreadable);
    assert_eq!(
        violation.expected_and_seen.unwrap().0,
        "0x0021: size 0x20, P = 1 \"the chunk before is in use\", as before this step"
    );
    let notes: Vec<&str> = violation.marks.iter().map(|mark| mark.note.as_str()).collect();
    assert!(
        notes.iter().any(|note| note.starts_with("changed in this step: was 0x0021: size 0x20, P = 1")),
        "{notes:?}"
    );
}

#[test]
fn a_heap_that_was_never_readable_is_said_to_be_so() {
    let os = fixed(PAGE);
    let mut toy = Toy::list(&os, LAB3);
    os.arena().set_word(8, 0);
    let violation = play(&os, &mut toy, LAB3, &parse("m0:8").unwrap()).unwrap_err();
    assert_eq!(violation.kind, Kind::HeapUnreadable);
}

#[test]
fn a_block_that_was_never_marked_as_in_use_is_named() {
    let violation = spoiled("m0:8 m1:8", LAB3, |os, _, answer| {
        if answer == Some(0x30) {
            os.arena().set_word(0x28, 0x20);
        }
        answer
    });
    assert_eq!(violation.kind, Kind::BlockLost);
    assert_eq!(violation.what, "a is in use, but its chunk is marked free.");
    let says = "P is 0 here: it says that a's chunk is free";
    assert_eq!((violation.marks[0].at, violation.marks[0].note.as_str()), (0x28, says));
}

#[test]
fn a_chunk_in_the_heap_is_no_mapping() {
    let violation = spoiled("m0:8 m1:8", LAB3, |os, _, answer| {
        os.arena().set_word(8, 0x23);
        answer
    });
    assert_eq!(violation.kind, Kind::HeapUnreadable);
}

#[test]
fn a_block_that_the_heap_has_forgotten_is_found() {
    let free_again = |os: &Os, call: Call, answer: Option<usize>| {
        if is_free(call) {
            os.arena().set_word(0x20, 0x20);
            os.arena().set_word(0x28, 0x20);
        }
        answer
    };
    let violation = spoiled("m0:8 m1:8 m2:8 f2", LAB3, free_again);
    assert_eq!(
        (violation.kind, violation.what.as_str()),
        (Kind::BlockLost, "a is in use, but its chunk is marked free.")
    );
    let joined = spoiled("m0:8 m1:8 m2:8 f2", LAB4, |os, call, answer| {
        if is_free(call) {
            os.arena().set_word(8, 0x41);
        }
        answer
    });
    assert_eq!(
        (joined.kind, joined.what.as_str()),
        (Kind::BlockLost, "b is in use, but no chunk starts in front of its bytes.")
    );
    let trimmed = spoiled_malloc("m0:100000 m1:8 f1", |os, call, answer| {
        if is_free(call) {
            os.sbrk(-(1 << 16));
        }
        answer
    });
    assert_eq!(trimmed.kind, Kind::WrongCall);
}

#[test]
fn memory_that_is_given_back_under_a_block_is_found_without_rules_too() {
    for (story, says) in [
        ("m0:300000 m1:8 f1", "a is in use, but its mapping M1 is gone."),
        ("m2:8 m0:100000 m1:8 f1", "The heap no longer makes sense from its first chunk to the top chunk."),
    ] {
        let os = system();
        let spoil = |os: &Os, call: Call, answer| {
            if is_free(call) {
                match os.mappings().first() {
                    Some((_, mapping)) => os.munmap(mapping.start, mapping.len),
                    None => {
                        os.sbrk(-(1 << 17));
                    }
                }
            }
            answer
        };
        let mut allocator = Spoiled { toy: Toy::malloc(&os), spoil };
        assert_eq!(play(&os, &mut allocator, AnyMalloc, &parse(story).unwrap()).unwrap_err().what, says);
    }
}

#[test]
fn a_list_that_disagrees_with_the_heap_is_found() {
    let violation = spoiled("m0:24 m1:24 m2:24 f0 f1", LAB3, |os, call, answer| {
        if call == (Call::Free { payload: 0x30 }) {
            os.arena().set_word(0x18, 0);
        }
        answer
    });
    assert_eq!((violation.kind, violation.marks[0].at), (Kind::ListBroken, 0x18));
}

/// Puts what is freed at the end of its list.
struct AtTheTail<'a>(Toy<'a>);

impl Allocator for AtTheTail<'_> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let answer = self.0.call(call)?;
        if is_free(call) {
            self.0.list.rotate_left(1);
            self.0.write_links();
        }
        Ok(answer)
    }

    fn lists(&mut self) -> Vec<ListHead> {
        self.0.lists()
    }
}

#[test]
fn a_list_in_another_order_is_found() {
    let ops = parse("m0:24 m1:24 m2:24 f0 f1").unwrap();
    let os = fixed(PAGE);
    let violation = play(&os, &mut AtTheTail(Toy::list(&os, LAB3)), LAB3, &ops).unwrap_err();
    let lists = ("head → +0x0020 → +0x0000 → end".into(), "head → +0x0000 → +0x0020 → end".into());
    assert_eq!((violation.kind, violation.expected_and_seen), (Kind::ListOrder, Some(lists)));
    // Nobody else has such a rule.
    let os = fixed(PAGE);
    play(&os, &mut AtTheTail(Toy::list(&os, LAB3)), AnyMalloc, &ops).unwrap();
}

#[test]
fn free_neighbours_that_are_not_joined_are_found() {
    let os = fixed(PAGE);
    let mut apart = Toy::list(&os, ListRules { coalesces: false, ..LAB4 });
    let violation = play(&os, &mut apart, LAB4, &parse("m0:24 m1:24 m2:24 f0 f1").unwrap()).unwrap_err();
    assert_eq!((violation.kind, violation.marks[0].at), (Kind::NotJoined, 0));
}

/// Forgets every `free`.
struct Forgetful<'a>(Toy<'a>);

impl Allocator for Forgetful<'_> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        if is_free(call) { Ok(None) } else { self.0.call(call) }
    }

    fn lists(&mut self) -> Vec<ListHead> {
        self.0.lists()
    }
}

#[test]
fn a_chunk_that_nobody_holds_is_found() {
    let ops = parse("m0:8 m1:8 f0").unwrap();
    let os = fixed(PAGE);
    let violation = play(&os, &mut Forgetful(Toy::list(&os, LAB3)), AnyMalloc, &ops).unwrap_err();
    assert_eq!((violation.kind, violation.marks[0].at), (Kind::ChunkLost, 0));
    let os = system();
    let violation = play(&os, &mut Forgetful(Toy::malloc(&os)), MallocRules::new(), &ops).unwrap_err();
    assert_eq!(violation.kind, Kind::ChunkLost);
}

/// A malloc that keeps what is freed in a list that leads one way, as a cache for each thread does.
struct Cached<'a> {
    toy: Toy<'a>,
    os: &'a Os,
    cached: Vec<usize>,
}

impl Allocator for Cached<'_> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let Call::Free { payload } = call else { return self.toy.call(call) };
        let first = self.cached.last().map_or(0, |chunk| self.os.arena().base() + chunk);
        self.os.arena().set_word(payload, first);
        self.cached.push(payload - PAYLOAD);
        Ok(None)
    }

    fn lists(&mut self) -> Vec<ListHead> {
        let head = self.cached.last().map_or(0, |chunk| self.os.arena().base() + chunk);
        let cache = ListHead { name: "cache".into(), head, links: Links::OneWay };
        [self.toy.lists(), vec![cache]].concat()
    }
}

#[test]
fn a_chunk_in_a_cache_is_not_lost() {
    let os = system();
    let mut cached = Cached { toy: Toy::malloc(&os), os: &os, cached: Vec::new() };
    play(&os, &mut cached, AnyMalloc, &parse("m0:8 m1:8 m2:8 f0 f1").unwrap()).unwrap();
}

#[test]
fn a_mapping_without_a_block_is_lost() {
    let (layout, image) = (
        Layout { mappings: vec![os::Mapping { start: 0, len: PAGE, alive: true }], ..Layout::default() },
        Image::empty(),
    );
    let step = StepView {
        call: Call::Free { payload: 16 },
        old: None,
        seen: None,
        before: &image,
        after: &image,
        base: 0,
        end: 0,
        layout: &layout,
        is_fixed: false,
        calls: &[],
        held: &[],
    };
    assert_eq!(MallocRules::new().after(&step).unwrap_err().kind, Kind::MappingLost);
}

#[test]
fn a_mapping_with_a_wrong_header_is_found() {
    let violation = spoiled_malloc("m0:300000", |os, _, answer| {
        os.arena().set_word(answer? - 8, 0x4b003);
        answer
    });
    assert_eq!(violation.kind, Kind::MappingHeader);
}

#[test]
fn a_wrong_call_is_found() {
    let more = |os: &Os, _: Call, answer| {
        os.sbrk(4096);
        answer
    };
    let violation = spoiled_malloc("m0:8", more);
    assert_eq!(
        (violation.kind, violation.expected_and_seen),
        (Kind::WrongCall, Some(("no call".into(), "sbrk(+4096)".into())))
    );
    // A mapping that isn't given back.
    let os = system();
    let ops = parse("m0:300000 f0").unwrap();
    let violation = play(&os, &mut Forgetful(Toy::malloc(&os)), MallocRules::new(), &ops).unwrap_err();
    assert_eq!(
        (violation.kind, violation.expected_and_seen),
        (Kind::WrongCall, Some(("munmap(M1, 303104)".into(), "no call".into())))
    );
    assert_eq!(
        spoiled_malloc("m0:8 f0", |os, call, answer| if is_free(call) { more(os, call, answer) } else { answer }).kind,
        Kind::WrongCall
    );
    assert_eq!(spoiled("m0:8", LAB3, more).kind, Kind::WrongCall);
}

#[test]
fn a_system_that_is_told_something_wrong_says_so() {
    let violation = spoiled_malloc("m0:8", |os, _, answer| {
        os.munmap(0, PAGE);
        answer
    });
    assert_eq!(violation.kind, Kind::SystemMisused);
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    assert_eq!(Kind::ChunkTooSmall.to_string(), "chunk-too-small");
}

// ---- the light player ----

#[test]
fn payloads_plays_on_any_malloc() {
    let os = system();
    let (mut toy, mut program) = (Toy::malloc(&os), Payloads::new(os.arena()));
    random_of_all_kinds(3, 300, 0..=200_000, 20).into_iter().try_for_each(|op| program.play(&mut toy, op)).unwrap();
    assert!(program.requested() > 0);
    program.free_all(&mut toy).unwrap();
    assert_eq!((program.requested(), os.misuse(), os.mappings().len()), (0, None, 0));
}

#[test]
fn payloads_finds_what_a_program_would_notice() {
    let found = |story: &str, spoil: fn(&Os, Call, Option<usize>) -> Option<usize>| {
        let os = system();
        let mut malloc = Spoiled { toy: Toy::malloc(&os), spoil };
        let mut program = Payloads::new(os.arena());
        let played = parse(story).unwrap().into_iter().try_for_each(|op| program.play(&mut malloc, op));
        played.unwrap_err().kind
    };
    assert_eq!(found("m0:8", |_, _, _| None), Kind::GaveUp);
    assert_eq!(found("m0:8", |_, _, _| Some(usize::MAX - 15)), Kind::OutsideMemory);
    assert_eq!(found("m0:8 m1:8", |_, _, _| Some(16)), Kind::Overlap);
    assert_eq!(found("m0:8", |_, _, at| Some(at? + 1)), Kind::Misaligned);
    let dirty = |os: &Os, call, at: Option<usize>| {
        if !matches!(call, Call::Malloc { .. }) {
            os.arena().write(at.unwrap_or(16) + 3, &[0x77]);
        }
        at
    };
    assert_eq!(found("c0:8", dirty), Kind::NotZero);
    assert_eq!(found("m0:8 r0:16", dirty), Kind::ContentLost);
    assert_eq!(found("m0:8 m1:8 f1 f0", dirty), Kind::ContentChanged);
}

#[test]
fn many_steps_at_once_are_looked_at_as_well() {
    let found = |story: &str, spoil: fn(&Os, Call, Option<usize>) -> Option<usize>| {
        let os = system();
        let mut malloc = Spoiled { toy: Toy::malloc(&os), spoil };
        let mut program = Payloads::new(os.arena());
        let mut at = BTreeMap::new();
        let ops = parse(story).unwrap();
        let played = ops.chunks(4).try_for_each(|few| {
            program.play_at_once(few, |few| {
                let play = |op: &Op| {
                    let (id, call) = Call::of(*op, |id| at.get(&id).copied())?;
                    let payload = malloc.call(call).unwrap()?;
                    at.insert(id, payload);
                    Some(payload)
                };
                few.iter().map(play).collect()
            })
        });
        played.err().map(|violation| violation.kind)
    };
    let well = |_: &Os, _, at| at;
    assert_eq!(found("m0:8 m1:9 f0 c2:30 r1:40 r1:20 a3:64:8 f2 r1:100 f1 m1:7 f3", well), None);
    assert_eq!(found("m0:8 m1:8", |_, _, _| Some(16)), Some(Kind::Overlap));
    let dirty = |os: &Os, call, at: Option<usize>| {
        if !matches!(call, Call::Malloc { .. }) {
            os.arena().write(at.unwrap_or(16) + 3, &[0x77]);
        }
        at
    };
    assert_eq!(found("m0:8 c1:8", dirty), Some(Kind::NotZero));
    assert_eq!(found("m0:8 m1:8 m2:8 m3:8 r0:16 r0:32", dirty), Some(Kind::ContentLost));
    assert_eq!(found("m0:8 m1:8 m2:8 m3:8 f1 m1:8 m4:8 m5:8 f0", dirty), Some(Kind::ContentChanged));
}

/// Rust's own allocator, in this process.
struct System(BTreeMap<usize, std::alloc::Layout>);

impl Allocator for System {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        match call {
            Call::Malloc { request } => {
                let layout = std::alloc::Layout::from_size_align(request.max(1), 16).unwrap();
                // SAFETY: the layout has at least one byte.
                let at = unsafe { std::alloc::alloc(layout) }.expose_provenance();
                self.0.insert(at, layout);
                Ok((at != 0).then_some(at))
            }
            Call::Free { payload } => {
                let layout = self.0.remove(&payload).unwrap();
                // SAFETY: the block came from `alloc` with this layout, and was not freed yet: the map had it.
                unsafe { std::alloc::dealloc(std::ptr::with_exposed_provenance_mut(payload), layout) };
                Ok(None)
            }
            _ => Err(NoSuchOperation),
        }
    }

    fn lists(&mut self) -> Vec<ListHead> {
        Vec::new()
    }
}

#[test]
fn a_malloc_of_this_process_is_played_by_addresses() {
    // SAFETY: only blocks of `System` are read and written, while they are alive.
    let arena = unsafe { ThisProcess::new() };
    let (mut malloc, mut program) = (System(BTreeMap::new()), Payloads::new(&arena));
    random(1, 200, 0..=5000, 20).into_iter().try_for_each(|op| program.play(&mut malloc, op)).unwrap();
    program.free_all(&mut malloc).unwrap();
}
