//! The graded cases of lab 2. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.

mod bench;
mod oracle;
mod questions;

use bench::{Bench, Laid};
use heapkit::draw;
use heapkit::format::{FLAGS, IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Arena, PAGE};
use heapkit::workload::Rng;
use proctor::{Desk, Exam, Finding};
use questions::{Found, Question};

const EXAM: Exam = Exam::new("lab02", cfg!(feature = "solution"));

/// As many chunks as 16 bits can't count.
const MANY: usize = 70_000;

/// A multiple of 16 that is a possible size, of any order of magnitude.
fn drawn_size(rng: &mut Rng) -> usize {
    let any = rng.bits() as usize >> rng.below(58);
    (any & !0xf).max(32)
}

// ---- request to chunk size ----

fn expect_size(desk: &Desk, request: usize) {
    desk.new_story();
    let seen: Option<usize> = desk.ask(&Question::ChunkSize { request });
    let expected = oracle::chunk_size(request);
    desk.expect(format!("The chunk for a request of {} bytes.", draw::bytes(request)), expected, seen);
}

#[test]
fn a_chunk_is_the_request_and_eight_bytes_in_steps_of_sixteen() {
    EXAM.case("rounding", |desk| {
        for request in [24, 25, 40, 41, 56, 57, 64, 100].into_iter().chain(24..=1100) {
            expect_size(desk, request);
        }
        let mut rng = desk.rng();
        for power in 11..63 {
            expect_size(desk, (1 << power) + rng.below(64) - 32);
            expect_size(desk, (1 << power) + rng.below(1 << power) - 64);
        }
    });
}

#[test]
fn the_smallest_chunk_has_32_bytes() {
    EXAM.case("rounding", |desk| (0..=24).for_each(|request| expect_size(desk, request)));
}

#[test]
fn a_request_too_large_for_memory_is_refused() {
    EXAM.case("overflow", |desk| {
        let most = isize::MAX as usize;
        let mut rng = desk.rng();
        for request in [usize::MAX, usize::MAX - 7, usize::MAX - 8, usize::MAX - 24, most + 1, most, 64 << 30] {
            expect_size(desk, request);
        }
        // The last request that can be served is 23 bytes below isize::MAX.
        (most - 40..most).for_each(|request| expect_size(desk, request));
        for _ in 0..40 {
            expect_size(desk, most - rng.below(1 << 10));
            expect_size(desk, most + rng.below(most));
            expect_size(desk, usize::MAX - rng.below(64));
        }
    });
}

// ---- size and flags ----

/// Compares size words by what they say.
fn expect_word(desk: &Desk, what: &str, expected: usize, question: &Question) {
    desk.new_story();
    let seen: usize = desk.ask_and_show(question, |word| format!("{word:#x}"));
    if seen != expected {
        let say = draw::size_word_in_words;
        desk.fail(Finding::new(format!("{question}: {what}")).expected(say(expected), say(seen)));
    }
}

/// All flags there are, in the order of a good first example.
const ALL_FLAGS: [usize; 8] = [1, 0, 3, 5, 2, 4, 7, 6];

/// Sizes to try: small ones first, then drawn ones, and the largest one.
fn sizes(desk: &Desk) -> Vec<usize> {
    let mut rng = desk.rng();
    [0x50, 0x1_2340].into_iter().chain((0..20).map(|_| drawn_size(&mut rng))).chain([usize::MAX & !0xf]).collect()
}

#[test]
fn a_size_never_contains_flags() {
    EXAM.case("size-word", |desk| {
        for size in sizes(desk) {
            for flags in ALL_FLAGS {
                let new = Question::NewWord { size, flags };
                expect_word(desk, "both in one word.", size | flags, &new);
                desk.new_story();
                let question = Question::SizeIn { word: size | flags };
                let seen: usize = desk.ask_and_show(&question, |size| format!("{size:#x}"));
                if seen != size {
                    let finding = Finding::new(format!("{question}: the size alone, without any flag."));
                    desk.fail(finding.expected(format!("{size:#x}"), format!("{seen:#x}")));
                }
            }
        }
    });
}

#[test]
fn a_word_has_flags_only_if_it_has_all_of_them() {
    EXAM.case("size-word", |desk| {
        let one_bit_at_a_time = [PREV_INUSE, IS_MMAPPED, NON_MAIN_ARENA];
        for size in sizes(desk).into_iter().take(8) {
            for asked in [1, 2, 4, 3, 5, 6, 7, 0] {
                for flags in [1, 0, 2, 4, 3, 5, 6, 7] {
                    let missing = one_bit_at_a_time.iter().any(|bit| asked & bit != 0 && flags & bit == 0);
                    let question = Question::Has { word: size | flags, flags: asked };
                    desk.new_story();
                    let seen: bool = desk.ask(&question);
                    desk.expect(format!("{question}: are all of these set?"), !missing, seen);
                }
            }
        }
    });
}

#[test]
fn a_new_size_keeps_the_flags_and_a_new_flag_keeps_the_size() {
    EXAM.case("size-word", |desk| {
        for (old, new) in sizes(desk).into_iter().zip([0x20].into_iter().chain(sizes(desk))) {
            for flags in ALL_FLAGS {
                let word = old | flags;
                let question = Question::WithSize { word, size: new };
                expect_word(desk, "the same flags over another size.", new | flags, &question);
                for (in_use, p) in [(true, 1), (false, 0)] {
                    let question = Question::WithPrevInUse { word, in_use };
                    expect_word(desk, "P changes, and nothing else.", old | (flags & !PREV_INUSE) | p, &question);
                }
            }
        }
    });
}

// ---- payload and chunk ----

#[test]
fn the_payload_starts_sixteen_bytes_into_the_chunk() {
    EXAM.case("payload", |desk| {
        Bench::each(desk, |bench| {
            for chunk in &bench.chunks {
                bench.opens_only(&[*chunk]);
                let question = Question::Payload { at: chunk.at };
                bench.expect_place("the payload starts 16 bytes after the header.", chunk.at + 16, &question);
            }
        });
    });
}

#[test]
fn free_finds_the_header_in_front_of_the_payload() {
    EXAM.case("payload", |desk| {
        Bench::each(desk, |bench| {
            for chunk in &bench.chunks {
                bench.opens_only(&[*chunk]);
                let question = Question::FromPayload { payload: chunk.at + 16 };
                bench.expect_place("the header lies 16 bytes before the payload.", chunk.at, &question);
            }
        });
    });
}

// ---- neighbours ----

#[test]
fn the_next_chunk_starts_where_this_one_ends() {
    EXAM.case("next", |desk| {
        Bench::each(desk, |bench| {
            for (chunk, next) in bench.pairs() {
                bench.opens_only(&[chunk, next]);
                let what = format!("this chunk has {} bytes.", chunk.size);
                bench.expect_place(&what, next.at, &Question::Next { at: chunk.at });
            }
        });
    });
}

/// Asks for the previous chunk; `expected` is where it starts.
fn expect_prev(bench: &Bench<'_>, what: &str, at: usize, expected: Option<usize>) {
    let seen: Option<usize> = bench.ask(&Question::Prev { at }, |prev| bench::place_or_none(*prev));
    if seen != expected {
        let show = bench::place_or_none;
        bench.desk.fail(
            Finding::new(what)
                .expected(show(expected), show(seen))
                .mark(at, format!("prev() was asked of this one: its P is {}", u8::from(expected.is_none()))),
        );
    }
}

#[test]
fn a_free_previous_chunk_is_found_through_prev_size() {
    EXAM.case("prev", |desk| {
        Bench::each(desk, |bench| {
            for (prev, chunk) in bench.pairs().filter(|(prev, _)| prev.is_free) {
                bench.opens_only(&[prev, chunk]);
                expect_prev(bench, "prev() finds the free chunk before this one.", chunk.at, Some(prev.at));
            }
        });
    });
}

#[test]
fn a_previous_chunk_in_use_is_not_guessed_at() {
    EXAM.case("prev", |desk| {
        let what = "The previous chunk is in use: this chunk's prev_size is bytes of its payload, and leads nowhere.";
        Bench::each(desk, |bench| {
            for (_, chunk) in bench.pairs().filter(|(prev, _)| !prev.is_free) {
                bench.opens_only(&[chunk]);
                expect_prev(bench, what, chunk.at, None);
            }
            // Always to say None is no answer.
            for (prev, chunk) in bench.pairs().filter(|(prev, _)| prev.is_free) {
                bench.opens_only(&[prev, chunk]);
                let found: Option<usize> =
                    bench.ask(&Question::Prev { at: chunk.at }, |prev| bench::place_or_none(*prev));
                desk.expect("prev() of a chunk whose P is 0 is some chunk", true, found.is_some());
            }
        });
    });
}

// ---- in use or free ----

/// Has a chunk marked, and compares the whole heap with what it was before.
fn marks(bench: &Bench<'_>, chunk: Laid, next: Laid, free: bool) {
    let (name, question) = match free {
        true => ("mark_free", Question::MarkFree { at: chunk.at }),
        false => ("mark_in_use", Question::MarkInUse { at: chunk.at }),
    };
    let before = bench.desk.bytes();
    bench.opens_only(&[chunk, next]);
    let () = bench.ask(&question, |()| String::new());
    let after = bench.desk.bytes();
    let written = if free { next.at..next.at + 16 } else { next.at + 8..next.at + 16 };
    let stray = before.differences(&after).find(|at| !written.contains(at)).map(|at| at / 8 * 8);
    let expect = |what: &str, at: usize, expected: usize| {
        let seen = after.word(at).unwrap_or_default();
        if seen == expected {
            return;
        }
        let is_size_word = bench.chunks.iter().any(|chunk| chunk.at + 8 == at);
        let say = if is_size_word { draw::size_word_in_words } else { draw::word };
        let finding = Finding::new(what).expected(say(expected), say(seen));
        // The picture marks its own defects.
        let is_marked = bench.desk.image().defects.iter().any(|defect| defect.at == at);
        let finding = if is_marked { finding } else { finding.mark(at, format!("the word at {}", Offset(at))) };
        // Perhaps what should be here was written there.
        bench.desk.fail(match stray.filter(|stray| *stray != at) {
            Some(stray) => finding.mark(stray, format!("{name} has written to {}", Offset(stray))),
            None => finding,
        });
    };
    let word = before.word(next.at + 8).unwrap_or_default();
    if free {
        let what = "mark_free clears the P of the next chunk, and nothing else in that word.";
        expect(what, next.at + 8, word & !PREV_INUSE);
        expect("mark_free writes the chunk's size into the next chunk's prev_size.", next.at, chunk.size);
    } else {
        let what = "mark_in_use sets the P of the next chunk, and nothing else in that word.";
        expect(what, next.at + 8, word | PREV_INUSE);
    }
    if let Some(stray) = stray {
        let what = format!("{name} changes a word that it should leave alone.");
        expect(&what, stray, before.word(stray).unwrap_or_default());
    }
}

/// Every combination of flags in both headers. A mapped chunk has no next one, so the first is none.
fn marks_whatever_the_flags(desk: &Desk, free: bool) {
    // The clearest first: both have the flags that they have every day.
    for own in [PREV_INUSE, 0, PREV_INUSE | NON_MAIN_ARENA, NON_MAIN_ARENA] {
        for others in [0, NON_MAIN_ARENA, IS_MMAPPED, NON_MAIN_ARENA | IS_MMAPPED] {
            for is_free in [!free, free] {
                let chunks = [(48, 0, own & PREV_INUSE == 0), (80, own & NON_MAIN_ARENA, is_free), (64, others, false)];
                let bench = Bench::new(desk, &chunks);
                marks(&bench, bench.chunks[1], bench.chunks[2], free);
            }
        }
    }
}

#[test]
fn a_freed_chunk_is_free_in_the_next_ones_header() {
    EXAM.case("mark-free", |desk| {
        let bench = Bench::in_use(desk, &[48, 80, 64]);
        marks(&bench, bench.chunks[1], bench.chunks[2], true);
        desk.snapshot("the_middle_is_free");
        Bench::each(desk, |bench| {
            for (chunk, next) in bench.pairs().filter(|(chunk, _)| !chunk.is_free) {
                marks(bench, chunk, next, true);
            }
        });
    });
}

#[test]
fn freeing_writes_two_words_and_no_more() {
    EXAM.case("mark-free", |desk| marks_whatever_the_flags(desk, true));
}

#[test]
fn a_chunk_in_use_is_in_use_in_the_next_ones_header() {
    EXAM.case("mark-in-use", |desk| {
        Bench::each(desk, |bench| {
            for (chunk, next) in bench.pairs().filter(|(chunk, _)| chunk.is_free) {
                marks(bench, chunk, next, false);
            }
        });
    });
}

#[test]
fn using_a_chunk_changes_one_bit_and_no_more() {
    EXAM.case("mark-in-use", |desk| marks_whatever_the_flags(desk, false));
}

#[test]
fn whether_a_chunk_is_in_use_says_the_next_one() {
    EXAM.case("mark-in-use", |desk| {
        Bench::each(desk, |bench| {
            for (chunk, next) in bench.pairs() {
                bench.opens_only(&[chunk, next]);
                let seen: bool = bench.ask(&Question::IsInUse { at: chunk.at }, bool::to_string);
                if seen == chunk.is_free {
                    let p = u8::from(!chunk.is_free);
                    desk.fail(
                        Finding::new(format!("Whether the chunk at {} is in use.", Offset(chunk.at)))
                            .expected((!chunk.is_free).to_string(), seen.to_string())
                            .mark(next.at, format!("the next chunk's P is {p}")),
                    );
                }
            }
        });
    });
}

// ---- usable bytes ----

/// Lays out a chunk of `size` bytes with these flags, which costs so much, and asks what of it may be used.
fn expect_usable(desk: &Desk, size: usize, flags: usize, cost: usize) {
    let bench = Bench::new(desk, &[(size, flags, false)]);
    bench.system.arena().set_word(8, size | flags);
    let seen: usize = bench.ask(&Question::UsableSize { at: 0 }, usize::to_string);
    let flags = questions::Flags(flags);
    desk.expect(format!("What may be used of a chunk of {size} bytes with these flags: {flags}."), size - cost, seen);
}

#[test]
fn usable_bytes_reach_into_the_next_header() {
    EXAM.case("usable", |desk| {
        let mut rng = desk.rng();
        let drawn = (0..10).map(|_| drawn_size(&mut rng) % (16 << 30)).map(|size| size.max(32));
        for size in [64, 32, 48, 1024, 5 << 30].into_iter().chain(drawn) {
            for flags in [PREV_INUSE, 0, PREV_INUSE | NON_MAIN_ARENA, NON_MAIN_ARENA] {
                expect_usable(desk, size, flags, 8);
            }
        }
    });
}

#[test]
fn a_mapped_chunk_has_no_next_header_to_use() {
    EXAM.case("usable", |desk| {
        let mut rng = desk.rng();
        let drawn = (0..10).map(|_| PAGE * (1 + (drawn_size(&mut rng) % (16 << 30)) / PAGE));
        for size in [PAGE, 5 << 30].into_iter().chain(drawn) {
            for flags in [0, PREV_INUSE, NON_MAIN_ARENA, PREV_INUSE | NON_MAIN_ARENA] {
                expect_usable(desk, size, flags | IS_MMAPPED, 16);
            }
        }
    });
}

// ---- the whole heap ----

/// Some chunks, a line each.
fn chunk_lines(chunks: &[(usize, usize)]) -> String {
    const MOST: usize = 8;
    let line = |(at, size): &(usize, usize)| format!("{}  {size:>6}", bench::place(*at));
    let mut lines: Vec<String> = chunks.iter().take(MOST).map(line).collect();
    if chunks.len() > MOST {
        lines.push(format!("… and {} more", chunks.len() - MOST));
    }
    lines.join("\n")
}

fn expect_walk(bench: &Bench<'_>) {
    let expected: Vec<(usize, usize)> = bench.chunks.iter().map(|chunk| (chunk.at, chunk.size)).collect();
    // A walk without end is cut short.
    let question = Question::Walk { len: bench.system.end(), most: expected.len() + 10 };
    let seen: Vec<(usize, usize)> = bench.ask(&question, |chunks: &Vec<_>| format!("{} chunks", chunks.len()));
    if seen == expected {
        return;
    }
    let first = seen.iter().zip(&expected).take_while(|(seen, expected)| seen == expected).count();
    let what = match (seen.get(first), expected.get(first)) {
        (None, _) => format!("The walk ends after {first} chunks, but the heap has {}.", expected.len()),
        (_, None) => "The walk has visited every chunk, and goes on.".to_owned(),
        _ if first == 0 => "The walk visits another chunk first.".to_owned(),
        _ => format!("The walk takes the right way to {first} chunks, and then another one."),
    };
    let from = first.saturating_sub(3);
    let finding = Finding::new(what);
    bench.desk.fail(finding.expected(chunk_lines(&expected[from..]), chunk_lines(&seen[from.min(seen.len())..])));
}

#[test]
fn a_walk_visits_every_chunk_up_to_the_top() {
    EXAM.case("walk", |desk| {
        Bench::each(desk, expect_walk);
        expect_walk(&Bench::in_use(desk, &[]));
        let count = desk.rng().within(&(12..=20));
        expect_walk(&Bench::drawn(desk, count, 32, 160));
    });
}

#[test]
fn a_walk_may_be_long() {
    EXAM.case("walk", |desk| expect_walk(&Bench::drawn(desk, MANY, 32, 32)));
}

/// A checker's answer, as the lab's types would be printed, but with places that a picture shows too.
fn shown(found: Option<&Found>) -> String {
    let number = |n: usize| if n < 1 << 20 { n.to_string() } else { format!("{n:#x}") };
    let sized =
        |name: &str, at: usize, size: usize| format!("Err({name} {{ at: {}, size: {} }})", Offset(at), number(size));
    let Some(found) = found else { return "Ok(())".to_owned() };
    match *found {
        Found::SizeTooSmall { at, size } => sized("SizeTooSmall", at, size),
        Found::SizeNotAligned { at, size } => sized("SizeNotAligned", at, size),
        Found::PastTheEnd { at, size } => sized("PastTheEnd", at, size),
        Found::NothingBefore => "Err(NothingBefore)".to_owned(),
        Found::WrongBoundaryTag { at, prev_size, size } => {
            let (at, prev_size, size) = (Offset(at), number(prev_size), number(size));
            format!("Err(WrongBoundaryTag {{ at: {at}, prev_size: {prev_size}, size: {size} }})")
        }
    }
}

/// Asks for a check of the heap's end from `start` on, which is a heap too, and compares the answer.
fn expect_check(bench: &Bench<'_>, what: &str, start: usize, expected: Option<&Found>) {
    let end = bench.system.end();
    bench.desk.opens_only(std::slice::from_ref(&(start..end)));
    let question = Question::Check { start, len: end - start };
    let seen: Option<Found> = bench.desk.ask_and_show(&question, |found: &Option<Found>| shown(found.as_ref()));
    if seen.as_ref() != expected {
        bench.desk.fail(Finding::new(what).expected(shown(expected), shown(seen.as_ref())));
    }
}

/// The same; what is right, says the oracle.
fn expect_right_check(bench: &Bench<'_>, start: usize) {
    let heap = bench.desk.bytes();
    let expected = oracle::first_defect(bench.system.end() - start, |at| heap.word(start + at).unwrap_or_default());
    let what = match &expected {
        None => "Nothing is wrong with this heap.",
        Some(_) => "What is wrong first, seen from the heap's start?",
    };
    expect_check(bench, what, start, expected.as_ref());
}

#[test]
fn a_healthy_heap_has_no_defect() {
    EXAM.case("check", |desk| {
        let plans: [(&str, &[bench::Plan]); 5] = [
            ("All chunks are in use.", &[(48, 0, false), (80, 0, false), (64, 0, false)]),
            ("A free chunk is no defect.", &[(48, 0, false), (80, 0, true), (64, 0, false)]),
            ("Two free neighbours are no defect.", &[(48, 0, false), (80, 0, true), (64, 0, true)]),
            ("These are the smallest chunks that there are.", &[(32, 0, false), (48, 0, false), (32, 0, false)]),
            ("A heap may have nothing but a top chunk.", &[]),
        ];
        for (what, plans) in plans {
            let bench = Bench::new(desk, plans);
            desk.new_story();
            expect_check(&bench, what, 0, None);
        }
        Bench::each(desk, |bench| {
            for (before, chunk) in bench.pairs().filter(|(before, _)| !before.is_free) {
                desk.new_story();
                expect_right_check(bench, before.at);
                expect_right_check(bench, chunk.at);
            }
        });
    });
}

#[test]
fn a_heap_may_be_long() {
    EXAM.case("check", |desk| {
        let bench = Bench::drawn(desk, MANY, 32, 32);
        expect_right_check(&bench, 0);
        // Two defects, in chunks close to the end.
        for chunk in bench.chunks.iter().rev().skip(2).take(2) {
            desk.new_story();
            desk.act(format!("the exam writes 0x0 to {}", Offset(chunk.at + 8)), || {
                bench.system.arena().set_word(chunk.at + 8, 0);
            });
            expect_right_check(&bench, 0);
        }
    });
}

#[test]
fn the_checker_names_each_defect_and_its_place() {
    EXAM.case("check", |desk| {
        use Found::{NothingBefore, PastTheEnd, SizeNotAligned, SizeTooSmall, WrongBoundaryTag};
        const HUGE: usize = usize::MAX & !0xf;
        const TEXT: usize = 0x4141_4141_4141_4141;
        // What is written where, in a heap of 48, 80, 64 and the top chunk, and what the checker says.
        type Damage = (&'static str, &'static [(usize, usize)], Found);
        let damages: [Damage; 13] = [
            ("a size of 0", &[(56, 1)], SizeTooSmall { at: 48, size: 0 }),
            ("a size of 16", &[(56, 17)], SizeTooSmall { at: 48, size: 16 }),
            ("a size of 88", &[(56, 89)], SizeNotAligned { at: 48, size: 88 }),
            ("a size beyond the end", &[(56, 4097)], PastTheEnd { at: 48, size: 4096 }),
            ("a size that is nearly everything", &[(56, HUGE | 1)], PastTheEnd { at: 48, size: HUGE }),
            ("a size of 8", &[(56, 9)], SizeTooSmall { at: 48, size: 8 }),
            ("a size neither aligned nor inside the heap", &[(56, 0x1009)], SizeNotAligned { at: 48, size: 0x1008 }),
            ("a size of 16, and a wrong prev_size", &[(128, 0), (136, 16)], SizeTooSmall { at: 128, size: 16 }),
            ("the first P is 0", &[(8, 48)], NothingBefore),
            (
                "P is 0, but prev_size is wrong",
                &[(128, 64), (136, 64)],
                WrongBoundaryTag { at: 128, prev_size: 64, size: 80 },
            ),
            (
                "the top chunk's prev_size is wrong",
                &[(192, 0), (200, 3904)],
                WrongBoundaryTag { at: 192, prev_size: 0, size: 64 },
            ),
            ("two defects: the first counts", &[(136, 1), (56, 17)], SizeTooSmall { at: 48, size: 16 }),
            (
                "a text was written past the end of a payload",
                &[(120, TEXT), (128, TEXT), (136, TEXT)],
                PastTheEnd { at: 128, size: TEXT & !7 },
            ),
        ];
        for (what, words, found) in damages {
            let bench = Bench::in_use(desk, &[48, 80, 64]);
            desk.act(format!("damage: {what}"), || {
                words.iter().for_each(|&(at, word)| bench.system.arena().set_word(at, word));
            });
            expect_check(&bench, &format!("A heap with this damage: {what}."), 0, Some(&found));
        }
    });
}

/// Overwrites a word or some of the heap, in one chunk of those after `first`.
fn damage(bench: &Bench<'_>, rng: &mut Rng, first: usize) {
    let chunk = bench.chunks[rng.within(&(first..=bench.chunks.len() - 1))];
    let left = bench.system.end() - chunk.at;
    let arena = bench.system.arena();
    // Not M: a mapping has no chunk before it, so that its P says nothing.
    let flags = [0, PREV_INUSE, NON_MAIN_ARENA, PREV_INUSE | NON_MAIN_ARENA][rng.below(4)];
    let (at, word) = match rng.below(9) {
        0 => (chunk.at + 8, (8 * rng.below(4)) | flags),
        1 => (chunk.at + 8, (chunk.size + 8) | flags),
        2 => (chunk.at + 8, (left + 16 * (1 + rng.below(100))) | flags),
        3 => (chunk.at + 8, ((usize::MAX & !0xf) - 16 * rng.below(100)) | flags),
        4 => (chunk.at + 8, rng.bits() as usize),
        5 => (chunk.at + 8, arena.word(chunk.at + 8) ^ PREV_INUSE),
        6 => (chunk.at, arena.word(chunk.at).wrapping_add(16)),
        // To the middle of some payload, or over a whole chunk, or exactly to the end.
        7 => (chunk.at + 8, (16 * rng.within(&(2..=left / 16))) | flags),
        _ => (chunk.at + 8, left | flags),
    };
    bench.desk.act(format!("the exam writes {word:#x} to {}", Offset(at)), || arena.set_word(at, word));
}

#[test]
fn the_first_of_drawn_defects_is_named() {
    EXAM.case("check", |desk| {
        let mut rng = desk.rng();
        for round in 0..200 {
            let bench = match round % 20 {
                18 => Bench::drawn(desk, 4, (4 << 30) + 32, 1 << 30),
                19 => Bench::drawn(desk, 100, 32, 4096),
                _ => Bench::drawn(desk, 1 + round / 20, 32, 480),
            };
            desk.new_story();
            let first = if round < 20 { 0 } else { rng.below(bench.chunks.len()) };
            damage(&bench, &mut rng, first);
            if rng.below(2) == 0 {
                damage(&bench, &mut rng, first);
            }
            expect_right_check(&bench, bench.chunks[first].at);
        }
    });
}

#[test]
fn nothing_is_read_past_the_end_of_the_heap() {
    EXAM.case("check", |desk| {
        // A header of 16 bytes ends the page, and with it the heap: there is room for it, but not for a chunk.
        for size in [32, 16, 0, 4096, 16 * (2 + desk.rng().below(1 << 20))] {
            let bench = Bench::in_use(desk, &[PAGE - 48]);
            desk.act("the top chunk now ends 16 bytes before the end of the heap", || {
                bench.system.arena().set_word(PAGE - 40, 32 | PREV_INUSE);
                bench.system.arena().set_header(PAGE - 16, 0, size | PREV_INUSE);
            });
            expect_right_check(&bench, 0);
            expect_right_check(&bench, PAGE - 16);
        }
    });
}

// ---- the C library's own heap ----

/// What the C library's malloc has written around one of its blocks.
struct Live {
    /// The words of its header, and the ones of the next header where there is one.
    header: [usize; 2],
    next: Option<[usize; 2]>,
    /// What `malloc_usable_size` says.
    usable: usize,
}

impl Live {
    /// Asks for a block, copies these words, and gives the block back. `None` if this is no block of glibc's malloc.
    fn malloc(request: usize) -> Option<Self> {
        // SAFETY: a block of the C library, which is freed once. A word of a header lies before it, and `malloc_usable_size` only asks.
        unsafe {
            let payload = libc::malloc(request).cast::<usize>();
            let usable = if payload.is_null() { 0 } else { libc::malloc_usable_size(payload.cast()) };
            let live = (usable >= request && usable > 0).then(|| {
                let header = [payload.sub(2).read(), payload.sub(1).read()];
                // The next header begins with the last word that may be used, as the page says. Only then is there one.
                let is_glibcs = header[1] & IS_MMAPPED == 0 && header[1] & !FLAGS == usable + 8;
                let next =
                    is_glibcs.then(|| payload.byte_add(usable - 8)).map(|next| [next.read(), next.add(1).read()]);
                Live { header, next, usable }
            });
            libc::free(payload.cast());
            live
        }
    }
}

/// Copies the words to a heap of the exam's own, and asks what the candidate reads there.
fn expect_to_read(desk: &Desk, what: &str, live: &Live) {
    let [_, word] = live.header;
    let size = word & !FLAGS;
    let at = 16 * desk.rng().below(100);
    let system = desk.heap((at + size + 16).next_multiple_of(PAGE));
    // The copy is a chunk or two, and no heap.
    desk.draws_no_heap();
    desk.act(format!("the exam copies the header of {what} to {}", Offset(at)), || {
        system.arena().set_header(at, live.header[0], word);
        if let Some([prev_size, next_word]) = live.next {
            system.arena().set_header(at + size, prev_size, next_word);
        }
    });
    let place = |at: &usize| bench::place(*at);
    let found: usize = desk.ask_and_show(&Question::FromPayload { payload: at + 16 }, place);
    desk.expect("from_payload() finds the header.", Offset(at), Offset(found));
    let seen: usize = desk.ask_and_show(&Question::SizeWord { at }, |word| format!("{word:#x}"));
    desk.expect("size_word() is the word in the header.", Offset(word), Offset(seen));
    let seen: usize = desk.ask(&Question::Size { at });
    desk.expect(format!("The size in the header of {what}: the word there is {word:#x}."), size, seen);
    // Since glibc 2.43 a mapped chunk costs 24 bytes: there is no word of this lab's in it to compare.
    if live.next.is_some() || live.usable + 16 == size {
        let seen: usize = desk.ask(&Question::UsableSize { at });
        desk.expect(format!("usable_size() and malloc_usable_size() of {what}."), live.usable, seen);
    }
    if live.next.is_some() {
        let in_use: bool = desk.ask(&Question::IsInUse { at });
        desk.expect(format!("{what} is in use."), true, in_use);
    }
}

#[test]
fn the_decoder_reads_glibcs_own_chunks() {
    EXAM.case("live", |desk| {
        // As glibc would lay it out, so that this is no free lunch where the C library is another one.
        let block = Live { header: [0, 49], next: Some([0, 4049]), usable: 40 };
        expect_to_read(desk, "a block of 40 bytes", &block);
        expect_size(desk, 40);
        if !cfg!(target_env = "gnu") {
            desk.skip("the C library here is not glibc, and other allocators have other chunks, or none.");
        }
        let mut rng = desk.rng();
        let small: Vec<usize> = (0..80).map(|_| rng.below(4097)).collect();
        let large: Vec<usize> = (0..10).map(|_| rng.below(100_000)).collect();
        for request in [100, 24, 25, 0].into_iter().chain(small).chain(large) {
            let Some(live) = Live::malloc(request) else {
                desk.skip("malloc here isn't glibc's: other code has taken its place.");
            };
            let what = format!("a live malloc({request})");
            expect_to_read(desk, &what, &live);
            // Where the rest of a free chunk is too small to be one, a block gets all of it.
            let size = live.header[1] & !FLAGS;
            if oracle::chunk_size(request) == Some(size) {
                let seen: Option<usize> = desk.ask(&Question::ChunkSize { request });
                desk.expect(format!("request_to_chunk_size({request}) and the size of {what}."), Some(size), seen);
            }
        }
        // No threshold is higher than 32 MiB.
        for request in [10 << 20, (33 << 20) + rng.below(8 << 20)] {
            if let Some(live) = Live::malloc(request).filter(|live| live.next.is_none()) {
                expect_to_read(desk, &format!("a live malloc({request}), a mapping of its own"), &live);
            }
        }
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let bench = Bench::drawn(desk, 3, 32, 480);
        for (chunk, next) in bench.pairs() {
            bench.expect_place("the next chunk.", next.at, &Question::Next { at: chunk.at });
        }
    });
}
