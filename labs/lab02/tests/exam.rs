//! The graded cases of lab 2. Each `#[test]` runs in a process of its own; `lab.toml` says what it is worth.

use heapkit::draw;
use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Heap, PAGE};
use heapkit::workload::Rng;
use lab02::{CHUNK_COST, Chunk, Defect, Header, MIN_CHUNK_SIZE, PAYLOAD_OFFSET, SizeWord, request_to_chunk_size};
use proctor::{Desk, Exam, Finding};
#[cfg(target_env = "gnu")]
use std::ptr::NonNull;

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

/// Chunks of these sizes side by side, all in use, and the rest of a page as the top chunk.
fn laid_out(desk: &Desk, sizes: &[usize]) -> Heap {
    let heap = desk.heap(PAGE);
    let mut at = 0;
    for &size in sizes {
        heap.set_word(at + 8, size | PREV_INUSE);
        at += size;
    }
    heap.set_word(at + 8, (heap.len() - at) | PREV_INUSE);
    heap
}

/// The chunk that the case wrote at the offset `at`.
fn chunk(heap: &Heap, at: usize) -> Chunk {
    // SAFETY: every case wrote a header there.
    unsafe { Chunk::from_header(heap.at(at).cast::<Header>()) }
}

fn place(heap: &Heap, chunk: &Chunk) -> isize {
    heap.offset_of(chunk.header().as_ptr())
}

/// Compares two places in the heap.
fn expect_place(desk: &Desk, what: &str, expected: usize, seen: isize) {
    if usize::try_from(seen) != Ok(expected) {
        let sign = if seen < 0 { "-" } else { "+" };
        desk.fail(
            Finding::new(what)
                .expected(Offset(expected).to_string(), format!("{sign}{:#06x}", seen.unsigned_abs()))
                .mark(expected, "here"),
        );
    }
}

// ---- request to chunk size ----

/// Asks the learner's function, as a story of one step.
fn chunk_size(desk: &Desk, request: usize) -> Option<usize> {
    desk.new_story();
    let call = format!("request_to_chunk_size({})", draw::bytes(request));
    desk.step(call, || request_to_chunk_size(request), |size| format!("{size:?}"))
}

fn expect_size(desk: &Desk, request: usize, expected: Option<usize>) {
    let seen = chunk_size(desk, request);
    desk.expect(format!("The chunk for a request of {} bytes.", draw::bytes(request)), expected, seen);
}

#[test]
fn a_chunk_is_the_request_and_eight_bytes_in_steps_of_sixteen() {
    EXAM.case("rounding", |desk| {
        for (request, size) in [(24, 32), (25, 48), (40, 48), (41, 64), (56, 64), (57, 80), (64, 80), (100, 112)] {
            expect_size(desk, request, Some(size));
        }
        for request in 24..=4096 {
            let possible = (request + CHUNK_COST..request + CHUNK_COST + 16).find(|size| size % 16 == 0);
            expect_size(desk, request, possible);
        }
    });
}

#[test]
fn the_smallest_chunk_has_32_bytes() {
    EXAM.case("rounding", |desk| {
        for request in 0..=24 {
            expect_size(desk, request, Some(MIN_CHUNK_SIZE));
        }
    });
}

#[test]
fn a_request_too_large_for_memory_is_refused() {
    EXAM.case("overflow", |desk| {
        let most = isize::MAX as usize;
        for request in [usize::MAX, usize::MAX - 7, usize::MAX - 8, usize::MAX - 24, most + 1, most] {
            expect_size(desk, request, None);
        }
        expect_size(desk, 64 << 30, Some((64 << 30) + 16));
    });
}

// ---- size and flags ----

/// The word itself, without asking the learner's functions.
fn raw(word: SizeWord) -> usize {
    // SAFETY: `SizeWord` is `repr(transparent)` over a usize.
    unsafe { std::mem::transmute(word) }
}

/// Compares size words by what they say.
fn expect_size_word(desk: &Desk, what: String, expected: usize, seen: SizeWord) {
    if raw(seen) != expected {
        let say = draw::size_word_in_words;
        desk.fail(Finding::new(what).expected(say(expected), say(raw(seen))));
    }
}

const ALL_FLAGS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

#[test]
fn a_size_never_contains_flags() {
    EXAM.case("size-word", |desk| {
        for size in [32, 48, 4096, 0x10_1000] {
            for flags in ALL_FLAGS {
                let word = SizeWord::new(size, flags);
                expect_size_word(desk, format!("SizeWord::new({size:#x}, {flags:#b})"), size | flags, word);
                desk.expect(format!("SizeWord::new({size:#x}, {flags:#b}).size()"), size, word.size());
                for asked in ALL_FLAGS {
                    desk.expect(
                        format!("SizeWord::new({size:#x}, {flags:#b}).has({asked:#b}): are all of these set?"),
                        flags & asked == asked,
                        word.has(asked),
                    );
                }
            }
        }
    });
}

#[test]
fn a_new_size_keeps_the_flags_and_a_new_flag_keeps_the_size() {
    EXAM.case("size-word", |desk| {
        for flags in ALL_FLAGS {
            let word = SizeWord::new(0x50, flags);
            let what = format!("SizeWord::new(0x50, {flags:#b}).with_size(0x20) has the same flags over another size.");
            expect_size_word(desk, what, 0x20 | flags, word.with_size(0x20));
            for in_use in [true, false] {
                let expected = if in_use { flags | PREV_INUSE } else { flags & !PREV_INUSE };
                let what = format!("SizeWord::new(0x50, {flags:#b}).with_prev_in_use({in_use}) changes P alone.");
                expect_size_word(desk, what, 0x50 | expected, word.with_prev_in_use(in_use));
            }
        }
    });
}

// ---- payload and chunk ----

#[test]
fn the_payload_starts_sixteen_bytes_into_the_chunk() {
    EXAM.case("payload", |desk| {
        let heap = laid_out(desk, &[48, 80]);
        for at in [0, 48, 128] {
            let payload = chunk(&heap, at).payload();
            expect_place(desk, "payload() of the marked chunk", at + PAYLOAD_OFFSET, heap.offset_of(payload.as_ptr()));
        }
    });
}

#[test]
fn free_finds_the_header_in_front_of_the_payload() {
    EXAM.case("payload", |desk| {
        let heap = laid_out(desk, &[48, 80]);
        for at in [0, 48, 128] {
            // SAFETY: 16 bytes after a header that the case wrote.
            let found = unsafe { Chunk::from_payload(heap.at(at + PAYLOAD_OFFSET)) };
            expect_place(desk, "from_payload() of the marked chunk's payload", at, place(&heap, &found));
        }
    });
}

// ---- neighbours ----

#[test]
fn the_next_chunk_starts_where_this_one_ends() {
    EXAM.case("next", |desk| {
        let sizes = [32, 80, 48, 1024];
        for flags in [0, PREV_INUSE, NON_MAIN_ARENA | PREV_INUSE] {
            let heap = laid_out(desk, &sizes);
            let mut at = 0;
            for size in sizes {
                heap.set_word(at + 8, size | flags);
                // SAFETY: every one of these chunks has a next one.
                let next = unsafe { chunk(&heap, at).next() };
                expect_place(desk, &format!("next() of the chunk at {}", Offset(at)), at + size, place(&heap, &next));
                at += size;
            }
        }
    });
}

#[test]
fn a_free_previous_chunk_is_found_through_prev_size() {
    EXAM.case("prev", |desk| {
        for size in [32, 80, 1024] {
            let heap = laid_out(desk, &[64, size, 48]);
            let at = 64 + size;
            heap.set_header(at, size, 48);
            // SAFETY: the case has just written what mark_free would.
            let prev = unsafe { chunk(&heap, at).prev() };
            match prev {
                Some(prev) => {
                    expect_place(desk, &format!("prev() of the chunk at {}", Offset(at)), 64, place(&heap, &prev));
                }
                None => desk.fail(
                    Finding::new("prev() finds nothing, but the previous chunk is free.")
                        .expected(Offset(64).to_string(), "None")
                        .mark(at, "its P is 0, and its prev_size is right"),
                ),
            }
        }
    });
}

#[test]
fn a_previous_chunk_in_use_is_not_guessed_at() {
    EXAM.case("prev", |desk| {
        let heap = laid_out(desk, &[64, 80, 48]);
        // The payload of the chunk in use ends in the next one's prev_size, and looks like a size there.
        heap.set_word(144, 80);
        // SAFETY: a well-formed heap.
        if unsafe { chunk(&heap, 144).prev() }.is_some() {
            desk.fail(
                Finding::new(
                    "prev() reads prev_size although the previous chunk is in use: these are bytes of its payload.",
                )
                .expected("None", "a chunk")
                .mark(144, "its P is 1"),
            );
        }
        // The other direction, so that always saying None is no answer.
        heap.set_header(144, 80, 48);
        // SAFETY: a well-formed heap.
        desk.expect(
            "prev() of a chunk whose P is 0 is some chunk",
            true,
            unsafe { chunk(&heap, 144).prev() }.is_some(),
        );
    });
}

// ---- in use or free ----

/// Compares the word at `at`: in these heaps, every second word of a header is a size word.
fn expect_heap_word(desk: &Desk, heap: &Heap, what: &str, at: usize, expected: usize) {
    let is_size_word = [8, 56, 136, 200].contains(&at);
    desk.expect_word(
        what,
        at,
        expected,
        heap.word(at),
        if is_size_word { draw::size_word_in_words } else { draw::word },
    );
}

#[test]
fn a_freed_chunk_is_free_in_the_next_ones_header() {
    EXAM.case("mark-free", |desk| {
        let heap = laid_out(desk, &[48, 80, 64]);
        desk.act("mark_free of the chunk at +0x0030", || {
            let mut freed = chunk(&heap, 48);
            // SAFETY: it has a next chunk, and nobody uses its payload.
            unsafe { freed.mark_free() }
        });
        expect_heap_word(desk, &heap, "The next chunk keeps its size, and its P is clear.", 136, 64);
        expect_heap_word(desk, &heap, "The next chunk's prev_size is the freed chunk's size.", 128, 80);
        // SAFETY: both have a next chunk.
        let in_use = unsafe { [chunk(&heap, 0).is_in_use(), chunk(&heap, 48).is_in_use()] };
        desk.expect("is_in_use() of the chunk before and of the freed chunk", [true, false], in_use);
        desk.snapshot("the_middle_is_free", None);
    });
}

#[test]
fn freeing_writes_two_words_and_no_more() {
    EXAM.case("mark-free", |desk| {
        // Its own P is clear and A is set: mark_free has to keep both, here and in the next chunk.
        let heap = laid_out(desk, &[48, 80, 64]);
        heap.set_header(48, 48, 80 | NON_MAIN_ARENA);
        heap.set_word(136, 64 | NON_MAIN_ARENA | PREV_INUSE);
        let before = heap.bytes();
        desk.act("mark_free of the chunk at +0x0030", || {
            let mut freed = chunk(&heap, 48);
            // SAFETY: it has a next chunk, and nobody uses its payload.
            unsafe { freed.mark_free() }
        });
        for at in (0..before.len()).step_by(8) {
            let before = usize::from_ne_bytes(before[at..at + 8].try_into().expect("eight bytes"));
            let (what, expected) = match at {
                128 => ("mark_free writes the chunk's size into the next chunk's prev_size.", 80),
                136 => ("mark_free clears the next chunk's P, and nothing else in that word.", 64 | NON_MAIN_ARENA),
                _ => ("mark_free changes a word that it should leave alone.", before),
            };
            expect_heap_word(desk, &heap, what, at, expected);
        }
    });
}

#[test]
fn a_chunk_in_use_is_in_use_in_the_next_ones_header() {
    EXAM.case("mark-in-use", |desk| {
        let heap = laid_out(desk, &[48, 80, 64]);
        heap.set_header(128, 80, 64 | NON_MAIN_ARENA);
        let mut used = chunk(&heap, 48);
        // SAFETY: it has a next chunk.
        desk.expect("is_in_use() while the next chunk's P is 0", false, unsafe { used.is_in_use() });
        // SAFETY: as above.
        desk.act("mark_in_use of the chunk at +0x0030", || unsafe { used.mark_in_use() });
        let expected = 64 | NON_MAIN_ARENA | PREV_INUSE;
        expect_heap_word(desk, &heap, "The next chunk keeps its size and its A, and its P is set.", 136, expected);
        expect_heap_word(desk, &heap, "The chunk's own size word stays as it was.", 56, 80 | PREV_INUSE);
        // SAFETY: as above.
        desk.expect("is_in_use() now", true, unsafe { used.is_in_use() });
    });
}

// ---- usable bytes ----

#[test]
fn usable_bytes_reach_into_the_next_header() {
    EXAM.case("usable", |desk| {
        for size in [32, 48, 80, 1024] {
            let heap = laid_out(desk, &[size]);
            desk.expect(format!("usable_size() of a chunk of {size} bytes"), size - 8, chunk(&heap, 0).usable_size());
        }
    });
}

#[test]
fn a_mapped_chunk_has_no_next_header_to_use() {
    EXAM.case("usable", |desk| {
        let heap = desk.heap(PAGE);
        heap.set_header(0, 0, PAGE | IS_MMAPPED);
        desk.expect("usable_size() of a mapped chunk of 4096 bytes", PAGE - 16, chunk(&heap, 0).usable_size());
    });
}

// ---- the whole heap ----

fn walked(desk: &Desk, heap: &Heap) -> Vec<(isize, usize)> {
    // More than fit into the heap: a walk without end is cut short here, and fails.
    let most = heap.len() / MIN_CHUNK_SIZE + 1;
    desk.step(
        "walk(heap)",
        // SAFETY: a well-formed heap.
        || unsafe { lab02::walk(heap.region()) }.take(most).map(|chunk| (place(heap, &chunk), chunk.size())).collect(),
        |chunks: &Vec<_>| format!("{} chunks", chunks.len()),
    )
}

#[test]
fn a_walk_visits_every_chunk_up_to_the_top() {
    EXAM.case("walk", |desk| {
        let mut rng = Rng::new(desk.seed(2));
        for round in 0..20 {
            let sizes: Vec<usize> = (0..round).map(|_| 32 + 16 * rng.below(8)).collect();
            let heap = laid_out(desk, &sizes);
            let (mut at, mut expected) = (0, Vec::new());
            for size in sizes {
                expected.push((at as isize, size));
                at += size;
            }
            expected.push((at as isize, PAGE - at));
            let seen = walked(desk, &heap);
            if seen != expected {
                let show = |chunks: &[(isize, usize)]| {
                    const MOST: usize = 8;
                    let mut lines: Vec<String> =
                        chunks.iter().take(MOST).map(|(at, size)| format!("{at:+#07x} {size:>6}")).collect();
                    if chunks.len() > MOST {
                        lines.push(format!("… and {} more", chunks.len() - MOST));
                    }
                    lines.join("\n")
                };
                desk.fail(
                    Finding::new("The walk visits other chunks than the heap has.")
                        .expected(show(&expected), show(&seen)),
                );
            }
        }
    });
}

/// What the learner's checker says of the heap.
fn checked(desk: &Desk, heap: &Heap) -> Result<(), Defect> {
    // SAFETY: a page of the heap, aligned and not empty; the checker has to cope with what stands in it.
    desk.step("check(heap)", || unsafe { lab02::check(heap.region()) }, |result| format!("{result:?}"))
}

#[test]
fn a_healthy_heap_has_no_defect() {
    EXAM.case("check", |desk| {
        let heap = laid_out(desk, &[48, 80, 64]);
        desk.expect("a heap of chunks in use", Ok(()), checked(desk, &heap));
        heap.set_header(128, 80, 64);
        desk.expect("the chunk at +0x0030 is free", Ok(()), checked(desk, &heap));
        heap.set_header(192, 64, (PAGE - 192) & !PREV_INUSE);
        desk.expect("two free neighbours", Ok(()), checked(desk, &heap));
        let heap = laid_out(desk, &[32, 48, 32]);
        desk.expect("the smallest chunks there are", Ok(()), checked(desk, &heap));
        let heap = laid_out(desk, &[]);
        desk.expect("nothing but a top chunk", Ok(()), checked(desk, &heap));
    });
}

#[test]
fn the_checker_names_each_defect_and_its_place() {
    EXAM.case("check", |desk| {
        // (what is done to a heap of 48, 80, 64 and the top chunk, what the checker says)
        type Damage = (&'static str, fn(&Heap), Defect);
        let damages: [Damage; 13] = [
            ("a size of 0", |heap| heap.set_word(56, 1), Defect::SizeTooSmall { at: 48, size: 0 }),
            ("a size of 16", |heap| heap.set_word(56, 17), Defect::SizeTooSmall { at: 48, size: 16 }),
            ("a size of 88", |heap| heap.set_word(56, 89), Defect::SizeNotAligned { at: 48, size: 88 }),
            ("a size beyond the end", |heap| heap.set_word(56, 4097), Defect::PastTheEnd { at: 48, size: 4096 }),
            (
                "a size that is nearly everything",
                |heap| heap.set_word(56, usize::MAX & !0xf | 1),
                Defect::PastTheEnd { at: 48, size: usize::MAX & !0xf },
            ),
            ("a size of 8", |heap| heap.set_word(56, 9), Defect::SizeTooSmall { at: 48, size: 8 }),
            (
                "a size that is neither aligned nor inside the heap",
                |heap| heap.set_word(56, 0x1008 | 1),
                Defect::SizeNotAligned { at: 48, size: 0x1008 },
            ),
            (
                "a size of 16, and a wrong prev_size",
                |heap| heap.set_header(128, 0, 16),
                Defect::SizeTooSmall { at: 128, size: 16 },
            ),
            ("the first P is 0", |heap| heap.set_word(8, 48), Defect::NothingBefore),
            (
                "P is 0, but prev_size is wrong",
                |heap| heap.set_header(128, 64, 64),
                Defect::WrongBoundaryTag { at: 128, prev_size: 64, size: 80 },
            ),
            (
                "the top chunk's prev_size is wrong",
                |heap| heap.set_header(192, 0, PAGE - 192),
                Defect::WrongBoundaryTag { at: 192, prev_size: 0, size: 64 },
            ),
            (
                "two defects: the first counts",
                |heap| {
                    heap.set_word(136, 1);
                    heap.set_word(56, 17);
                },
                Defect::SizeTooSmall { at: 48, size: 16 },
            ),
            (
                "a string was written past the end of a payload",
                |heap| (64..136).step_by(8).for_each(|at| heap.set_word(at + 8, 0x4141_4141_4141_4141)),
                Defect::PastTheEnd { at: 128, size: 0x4141_4141_4141_4140 },
            ),
        ];
        for (what, damage, defect) in damages {
            let heap = laid_out(desk, &[48, 80, 64]);
            desk.act(format!("damage: {what}"), || damage(&heap));
            desk.expect(format!("check() of a heap with this damage: {what}"), Err(defect), checked(desk, &heap));
        }
    });
}

// ---- the C library's own heap ----

/// Reads one live chunk of the C library's malloc, and gives it back.
#[cfg(target_env = "gnu")]
fn live_chunk(request: usize) -> (usize, SizeWord, usize, usize) {
    // SAFETY: a block of the C library, read through its header and freed once.
    unsafe {
        let payload = NonNull::new(libc::malloc(request).cast::<u8>()).expect("the C library has memory");
        let chunk = Chunk::from_payload(payload);
        let read =
            (chunk.size(), chunk.size_word(), chunk.usable_size(), libc::malloc_usable_size(payload.as_ptr().cast()));
        libc::free(payload.as_ptr().cast());
        read
    }
}

#[test]
fn the_decoder_reads_glibcs_own_chunks() {
    EXAM.case("live", |desk| {
        // A block as glibc lays it out, so that this is no free lunch where the C library is another one.
        let heap = laid_out(desk, &[48]);
        // SAFETY: 16 bytes after a header that the case wrote.
        let canned = unsafe { Chunk::from_payload(heap.at(16)) };
        desk.expect("the usable size of a chunk of 48 bytes", 40, canned.usable_size());
        desk.expect("the chunk size for 40 bytes", Some(48), request_to_chunk_size(40));
        #[cfg(not(target_env = "gnu"))]
        desk.skip("the C library here is not glibc, and other allocators have other chunks, or none.");
        #[cfg(target_env = "gnu")]
        {
            for request in 0..=4096 {
                let (size, _, usable, truth) = live_chunk(request);
                desk.expect(
                    format!("the size in the header of a live malloc({request})"),
                    request_to_chunk_size(request),
                    Some(size),
                );
                desk.expect(format!("usable_size() and malloc_usable_size of a live malloc({request})"), truth, usable);
            }
            let (size, word, ..) = live_chunk(10 << 20);
            desk.expect("a live malloc of 10 MiB is a mapping of its own", true, word.has(IS_MMAPPED));
            desk.expect("its size reaches over the 10 MiB", true, size > 10 << 20);
        }
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let heap = laid_out(desk, &[48, 80]);
        desk.expect("size() of the first chunk", 48, chunk(&heap, 0).size());
    });
}
