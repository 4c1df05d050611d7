//! The graded cases of lab 1. Each `#[test]` runs in a process of its own; `lab.toml` says what it is worth.

use heapkit::image::Offset;
use heapkit::os::{LinuxOs, Os, PAGE, Refusal, SimOs};
use heapkit::workload::Rng;
use lab01::{ALIGNMENT, Bump, Journey, Observer, Source, TOP_PAD, mapped_flag};
use proctor::{Desk, Exam, Finding};
use std::process::Command;
use std::ptr::{self, NonNull};

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

// ---- the observer, on scripted allocations ----

/// What one call of a `malloc` does, for the observer to see.
#[derive(Clone, Copy, Debug)]
struct Script {
    what: &'static str,
    /// By how much the break moves meanwhile.
    moved: isize,
    block: Block,
    /// The word in front of the block.
    word: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Block {
    Null,
    /// At this offset from the place where the heap starts.
    Heap(isize),
    Mapping,
}

impl Script {
    /// Acts on a fresh system where some memory lies below the heap's start and two pages lie in the heap already.
    fn watch(self, desk: &Desk) -> (Journey, *mut u8) {
        let os = desk.os(false);
        // Other code may leave the break anywhere: the heap need not start where a page does.
        // SAFETY: the break moves up.
        unsafe { os.sbrk(PAGE.cast_signed() - 48) };
        let mapping = os.mmap(PAGE).unwrap_or_else(|| desk.skip("no memory for a mapping"));
        let start = os.program_break();
        desk.step(
            self.what,
            || {
                let observer = Observer::new(os);
                // SAFETY: as above.
                unsafe { os.sbrk(2 * PAGE.cast_signed()) };
                let payload = match self.block {
                    Block::Null => ptr::null_mut(),
                    Block::Heap(offset) => start.as_ptr().wrapping_offset(offset),
                    Block::Mapping => mapping.as_ptr().wrapping_add(ALIGNMENT),
                };
                let malloc = || {
                    let write_word = || {
                        if !payload.is_null() {
                            // SAFETY: each script's block has a word in front of it, in memory of ours.
                            unsafe { payload.wrapping_sub(8).cast::<usize>().write(self.word) };
                        }
                    };
                    // The word lies in what the break adds, or, where it moves down, in the page that it leaves.
                    if self.moved > 0 {
                        // SAFETY: nobody uses what lies there.
                        unsafe { os.sbrk(self.moved) };
                        write_word();
                    } else {
                        write_word();
                        // SAFETY: the same.
                        unsafe { os.sbrk(self.moved) };
                    }
                    payload
                };
                // SAFETY: a word stands in front of every block.
                (unsafe { observer.watch(malloc) }, payload)
            },
            |(journey, _)| said(journey),
        )
    }
}

fn said(journey: &Journey) -> String {
    let Journey { moved, inside, mapped, .. } = journey;
    format!("moved {moved:+}, inside {inside}, mapped {mapped}")
}

#[test]
fn the_distance_that_the_break_moved_is_measured() {
    EXAM.case("moved", |desk| {
        for moved in [0, 135_168, 16, -4096] {
            let script = Script { what: "one malloc", moved, block: Block::Heap(16), word: 113 };
            let (journey, payload) = script.watch(desk);
            desk.expect(format!("moved, when the break moves by {moved:+}"), moved, journey.moved);
            desk.expect("payload is what malloc returned", payload, journey.payload);
        }
    });
}

#[test]
fn each_call_is_measured_by_itself() {
    EXAM.case("moved", |desk| {
        let os = desk.os(false);
        let observer = desk.step("Observer::new(os)", || Observer::new(os), |_| String::new());
        for moved in [4096, 0, 8192, -4096] {
            let malloc = || {
                // SAFETY: nobody uses what lies there.
                unsafe { os.sbrk(moved) };
                ptr::null_mut()
            };
            // SAFETY: there is no block.
            let watch = || unsafe { observer.watch(malloc) };
            let what = format!("watch a malloc that moves the break by {moved:+} and returns null");
            let journey = desk.step(what, watch, said);
            desk.expect("moved", moved, journey.moved);
        }
    });
}

#[test]
fn a_block_between_the_start_and_the_break_is_inside() {
    EXAM.case("inside", |desk| {
        let heap = 2 * PAGE.cast_signed();
        let cases = [
            ("a block at the very start", Block::Heap(0), 0, true),
            ("a block below the start", Block::Heap(-16), 0, false),
            ("the last 16 bytes below the break", Block::Heap(heap - 16), 0, true),
            ("a block in what the break has just added", Block::Heap(heap + 16), 4096, true),
            ("a block that lay below the break until it moved down", Block::Heap(heap - 16), -2048, false),
            ("a mapping", Block::Mapping, 0, false),
            ("a mapping while the break moves", Block::Mapping, 135_168, false),
            ("no block", Block::Null, 0, false),
        ];
        for (what, block, moved, inside) in cases {
            let (journey, _) = Script { what, moved, block, word: 113 }.watch(desk);
            desk.expect(format!("inside, for {what}"), inside, journey.inside);
        }
    });
}

#[test]
fn the_break_itself_is_outside() {
    EXAM.case("inside", |desk| {
        let script =
            Script { what: "a block at the break", moved: 0, block: Block::Heap(2 * PAGE.cast_signed()), word: 113 };
        let (journey, _) = script.watch(desk);
        desk.expect("inside, for a block that starts exactly at the break", false, journey.inside);
    });
}

#[test]
fn bit_1_of_the_word_in_front_is_the_flag() {
    EXAM.case("mapped-flag", |desk| {
        let mut words = [0usize; 4];
        for word in [0, 1, 2, 3, 4, 5, 6, 7, 113, 1_052_674, usize::MAX, usize::MAX - 2] {
            // The neighbours say the opposite: only the word in front counts.
            words = [!word, word, !word, !word];
            let payload = &raw const words[2];
            // SAFETY: a word stands in front of it.
            let flag = || unsafe { mapped_flag(payload.cast()) };
            let seen = desk.step(format!("mapped_flag of a block behind the word {word:#x}"), flag, bool::to_string);
            desk.expect(format!("bit 1 of {word:#x}"), word & 2 != 0, seen);
        }
        assert_eq!(words[1], usize::MAX - 2, "the words are only read");
    });
}

#[test]
fn the_observer_reads_the_flag_of_a_block() {
    EXAM.case("mapped-flag", |desk| {
        for (block, moved, word, mapped) in [
            (Block::Heap(16), 0, 113, false),
            (Block::Heap(16), 0, 1_052_674, true),
            (Block::Mapping, 0, 1_052_674, true),
            (Block::Mapping, 135_168, 1_052_674, true),
            (Block::Mapping, 0, 117, false),
            (Block::Null, 0, 0, false),
        ] {
            let what =
                if block == Block::Null { "a malloc that returns null" } else { "a malloc that returns a block" };
            let (journey, _) = Script { what, moved, block, word }.watch(desk);
            desk.expect(format!("mapped, for {what} behind the word {word}"), mapped, journey.mapped);
        }
    });
}

#[test]
fn the_source_follows_from_what_was_seen() {
    EXAM.case("source", |desk| {
        let block = ptr::without_provenance_mut(0x1000);
        for (payload, moved, inside, mapped, source) in [
            (ptr::null_mut(), 0, false, false, Source::Refused),
            (ptr::null_mut(), 135_168, false, false, Source::Refused),
            (block, 135_168, true, false, Source::Break),
            (block, 0, true, false, Source::Heap),
            (block, -4096, true, false, Source::Heap),
            // Another arena's flags may say anything of a block in the heap.
            (block, 4096, true, true, Source::Break),
            (block, 0, true, true, Source::Heap),
            (block, 0, false, true, Source::Mapping),
            (block, 135_168, false, true, Source::Mapping),
            (block, 0, false, false, Source::Elsewhere),
            (block, 135_168, false, false, Source::Elsewhere),
        ] {
            let journey = Journey { payload, moved, inside, mapped };
            let block = if payload.is_null() { "null" } else { "a block" };
            let what = format!("the source of {block}: {}", said(&journey));
            let seen = desk.step(&what, || journey.source(), |source| format!("{source:?}"));
            desk.expect(what, source, seen);
        }
    });
}

// ---- the bump allocator, on a simulated system ----

/// A bump allocator, and where its system's break started.
struct Ours<'desk> {
    desk: &'desk Desk,
    os: &'static SimOs,
    bump: Bump<&'static SimOs>,
}

impl<'desk> Ours<'desk> {
    fn new(desk: &'desk Desk) -> Self {
        Self::on(desk, desk.os(false))
    }

    fn on(desk: &'desk Desk, os: &'static SimOs) -> Self {
        let bump = desk.step("Bump::new(os)", || Bump::new(os), |_| String::new());
        Ours { desk, os, bump }
    }

    /// Where the block is, as an offset from where the break started. It lies below the break, and this fills it.
    fn alloc(&mut self, request: usize) -> Option<Offset> {
        let start = self.os.start().addr().get();
        let place = |block: NonNull<u8>| Offset(block.addr().get().wrapping_sub(start));
        let block = self.desk.step(
            format!("alloc({})", heapkit::draw::bytes(request)),
            || self.bump.alloc(request),
            |block| block.map_or("None".into(), |block| format!("block at {}", place(block))),
        )?;
        if let Some(misuse) = self.os.misuse() {
            self.desk.fail(Finding::new(misuse));
        }
        let (Offset(at), end) = (place(block), self.os.layout().end);
        if at > end || request > end - at {
            let seen = format!("{} to {}", Offset(at), Offset(at.wrapping_add(request)));
            let what = "A block has to lie in the memory that the system granted.";
            self.desk.fail(Finding::new(what).expected(format!("an end at most at {}", Offset(end)), seen));
        }
        // SAFETY: `request` bytes below the break, handed out to this caller.
        unsafe { block.write_bytes(0x77, request) };
        Some(Offset(at))
    }
}

#[test]
fn a_first_request_of_100_bytes_moves_the_break_by_135168() {
    EXAM.case("first-growth", |desk| {
        let mut ours = Ours::new(desk);
        desk.expect("calls before the first request", 0, ours.os.call_count());
        desk.expect("where the first block starts", Some(Offset(0)), ours.alloc(100));
        desk.snapshot_calls("first_request");
    });
}

#[test]
fn the_second_request_asks_for_nothing() {
    EXAM.case("first-growth", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        let calls = ours.os.call_count();
        desk.expect("where the second block starts", Some(Offset(112)), ours.alloc(100));
        desk.expect("calls for the second request", 0, ours.os.call_count() - calls);
    });
}

#[test]
fn blocks_stand_side_by_side() {
    EXAM.case("side-by-side", |desk| {
        let mut ours = Ours::new(desk);
        let mut next = 0;
        for request in [1, 15, 16, 17, 0, 100, 0, 32, 1000] {
            desk.expect(format!("where the block of {request} bytes starts"), Some(Offset(next)), ours.alloc(request));
            next += request.max(1).next_multiple_of(ALIGNMENT);
        }
    });
}

#[test]
fn the_first_block_is_aligned_wherever_the_break_is() {
    EXAM.case("side-by-side", |desk| {
        for (bytes, start) in [(1, 16), (100, 112), (112, 112), (4095, 4096)] {
            let os = desk.os(false);
            os.foreign_sbrk(bytes);
            let mut ours = Ours::on(desk, os);
            let what = format!("where the first block starts, with the break at +{bytes}");
            desk.expect(what, Some(Offset(start)), ours.alloc(24));
            desk.expect("where the second block starts", Some(Offset(start + 32)), ours.alloc(24));
            // The bytes skipped in front are no longer there behind: this one needs a break that moves.
            let left = os.layout().end - (start + 64);
            let what = "where a block starts that is a byte longer than all that is left";
            desk.expect(what, Some(Offset(start + 64)), ours.alloc(left + 1));
        }
    });
}

#[test]
fn not_a_byte_is_lost_at_an_odd_break() {
    EXAM.case("side-by-side", |desk| {
        let os = desk.os(false);
        desk.act("other code moves the break by 1", || os.foreign_sbrk(1));
        let mut ours = Ours::on(desk, os);
        // 15 bytes are skipped, and a byte is left when the third block needs 16.
        let places = [100, 135_040, 16, 100].map(|request| ours.alloc(request));
        desk.expect("where the blocks start", [16, 128, 135_168, 135_184].map(|at| Some(Offset(at))), places);
        desk.expect("calls of the system", 3, os.call_count());
    });
}

#[test]
fn what_is_missing_and_the_pad_are_asked_for() {
    EXAM.case("growth", |desk| {
        let mut ours = Ours::new(desk);
        let places = [100, 200_000, 3000, 300_000, 1].map(|request| ours.alloc(request));
        desk.expect("where the blocks start", [0, 112, 200_112, 203_120, 503_120].map(|at| Some(Offset(at))), places);
        desk.snapshot_calls("growth");
        // The bytes that are skipped come out of the pad: these are 33 pages, whatever the break.
        let os = desk.os(false);
        desk.act("other code moves the break by 1", || os.foreign_sbrk(1));
        let mut ours = Ours::on(desk, os);
        desk.expect("where the block starts, behind 15 bytes that are skipped", Some(Offset(16)), ours.alloc(4096));
        desk.expect("where the break stands", Offset(1 + 135_168), Offset(os.layout().end));
    });
}

#[test]
fn a_request_that_takes_all_that_is_left_moves_nothing() {
    EXAM.case("growth", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(16);
        let calls = ours.os.call_count();
        desk.expect("where the block starts", Some(Offset(16)), ours.alloc(135_168 - 16));
        desk.expect("calls for all that is left", 0, ours.os.call_count() - calls);
        desk.expect("where the next one starts", Some(Offset(135_168)), ours.alloc(1));
        desk.expect("calls for one byte more", 1, ours.os.call_count() - calls);
    });
}

#[test]
fn the_break_moves_no_more_often_than_it_has_to() {
    EXAM.case("growth", |desk| {
        for seed in 0..3 {
            let mut rng = Rng::new(desk.seed(seed));
            let mut ours = Ours::new(desk);
            let (mut next, mut end) = (0, 0);
            for _ in 0..60 {
                let request = rng.within(&(0..=40_000));
                let size = request.max(1).next_multiple_of(ALIGNMENT);
                if size > end - next {
                    end += (size - (end - next) + TOP_PAD).next_multiple_of(PAGE);
                }
                desk.expect("where the block starts", Some(Offset(next)), ours.alloc(request));
                desk.expect("where the break stands", Offset(end), Offset(ours.os.layout().end));
                next += size;
            }
        }
    });
}

#[test]
fn blocks_go_on_behind_memory_that_other_code_took() {
    EXAM.case("other-code", |desk| {
        let mut ours = Ours::new(desk);
        ours.alloc(100);
        desk.act("other code moves the break by 100 bytes", || ours.os.foreign_sbrk(100));
        // 135056 bytes are left, but not behind each other with what comes next.
        desk.expect("what is left still serves", Some(Offset(112)), ours.alloc(100));
        let behind = (135_168 + 100_usize).next_multiple_of(ALIGNMENT);
        desk.expect("behind the other code's memory", Some(Offset(behind)), ours.alloc(200_000));
        desk.expect("and so do the next ones", Some(Offset(behind + 200_000)), ours.alloc(16));
        desk.snapshot_calls("other_code");
        // Other code moves it by whole pages too, and when nothing is left.
        let mut ours = Ours::new(desk);
        desk.act("other code moves the break by 4096 bytes", || ours.os.foreign_sbrk(4096));
        desk.expect("behind memory taken before the first request", Some(Offset(4096)), ours.alloc(16));
        desk.act("other code moves the break by 4096 bytes", || ours.os.foreign_sbrk(4096));
        desk.expect("what is left still serves, all of it", Some(Offset(4112)), ours.alloc(135_168 - 16));
        desk.expect("behind the other code's second page", Some(Offset(143_360)), ours.alloc(16));
        desk.act("other code moves the break by 4096 bytes", || ours.os.foreign_sbrk(4096));
        desk.expect("behind its third page", Some(Offset(282_624)), ours.alloc(200_000));
    });
}

#[test]
fn a_refused_request_loses_nothing() {
    EXAM.case("refusal", |desk| {
        let mut ours = Ours::new(desk);
        desk.act("from now on the system refuses", || ours.os.refuse(Refusal::Break));
        desk.expect("a first request that is refused", None, ours.alloc(100));
        desk.act("from now on the system grants", || ours.os.refuse(Refusal::Nothing));
        desk.expect("the same again, granted", Some(Offset(0)), ours.alloc(100));
        desk.act("from now on the system refuses", || ours.os.refuse(Refusal::Break));
        desk.expect("a large request that is refused", None, ours.alloc(200_000));
        desk.expect("what was left is still there", Some(Offset(112)), ours.alloc(100));
        desk.act("from now on the system grants", || ours.os.refuse(Refusal::Nothing));
        desk.expect("the large one, granted", Some(Offset(224)), ours.alloc(200_000));
        desk.act("other code moves the break by 100 bytes", || ours.os.foreign_sbrk(100));
        desk.act("from now on the system refuses", || ours.os.refuse(Refusal::Break));
        desk.expect("refused after other code moved the break", None, ours.alloc(400_000));
        desk.expect("what was left is still there", Some(Offset(200_224)), ours.alloc(100));
    });
}

#[test]
fn no_block_can_be_that_large() {
    EXAM.case("refusal", |desk| {
        for request in [
            usize::MAX,
            usize::MAX - 15,
            usize::MAX - 16,
            usize::MAX - TOP_PAD,
            usize::MAX - TOP_PAD - 2 * PAGE,
            isize::MAX as usize,
            isize::MAX as usize + 1,
            1 << 40,
        ] {
            let mut ours = Ours::new(desk);
            desk.expect(format!("alloc({request}) in a fresh heap"), None, ours.alloc(request));
            desk.expect("the break has not moved", 0, ours.os.layout().end);
            ours.alloc(100);
            desk.expect(format!("alloc({request}) with something left"), None, ours.alloc(request));
            desk.expect("the next block", Some(Offset(112)), ours.alloc(100));
        }
    });
}

// ---- the real thing ----

/// What the rules say holds for pages of [`PAGE`] bytes.
fn needs_pages_of_4096(desk: &Desk) {
    // SAFETY: sysconf only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if usize::try_from(page) != Ok(PAGE) {
        desk.skip(format!("this system's pages have {page} bytes, not {PAGE}"));
    }
}

/// Runs a probe in a process of its own, where nothing has been allocated before, and returns its lines.
fn probe(desk: &Desk, name: &str) -> Vec<String> {
    if !cfg!(target_env = "gnu") {
        desk.skip("this C library is not glibc");
    }
    needs_pages_of_4096(desk);
    // Here first: a body that isn't written yet ends this process, whose journal names it.
    let observer = desk.step("Observer::new(LinuxOs)", || Observer::new(LinuxOs), |_| String::new());
    // SAFETY: there is no block.
    desk.step("watch a malloc that returns null", || unsafe { observer.watch(ptr::null_mut) }, said);
    let run = || Command::new(env!("CARGO_BIN_EXE_lab01-probe")).env_clear().arg(name).output();
    let output = desk.step(format!("run the probe \"{name}\" on your observer"), run, |output| match output {
        Ok(output) => output.status.to_string(),
        Err(e) => e.to_string(),
    });
    let output = output.unwrap_or_else(|e| panic!("the probe can't be started: {e}"));
    if !output.status.success() {
        let end = format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        desk.fail(
            Finding::new("Your observer ended the process that it watched.").expected("exit status: 0", end.trim_end()),
        );
    }
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn glibc_moves_the_break_once_for_many_small_blocks() {
    EXAM.case("real", |desk| {
        let seen = probe(desk, "small");
        let expected = ["100 bytes: moved +135168, Break", "200 bytes: moved +0, Heap"];
        desk.expect("what your observer says of glibc", expected.map(str::to_owned).to_vec(), seen);
    });
}

#[test]
fn ten_mebibytes_have_a_mapping_of_their_own() {
    EXAM.case("real", |desk| {
        let seen = probe(desk, "large");
        // The first call of malloc moves the break even where the block is mapped: glibc prepares its heap then or later,
        // version by version. Where the block comes from is the same in all.
        let sources: Vec<&str> = seen.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        desk.expect("what your observer says of 10 MiB in glibc", vec!["Mapping"], sources);
    });
}

#[test]
fn a_thread_gets_its_blocks_from_elsewhere() {
    EXAM.case("real", |desk| {
        let seen = probe(desk, "thread");
        let sources: Vec<&str> = seen.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        desk.expect("what your observer says of a thread's block in glibc", vec!["Elsewhere"], sources);
    });
}

#[test]
fn the_same_allocator_runs_on_linux() {
    EXAM.case("real", |desk| {
        needs_pages_of_4096(desk);
        let mut bump = desk.step("Bump::new(LinuxOs)", || Bump::new(LinuxOs), |_| String::new());
        let mut blocks: Vec<(NonNull<u8>, usize)> = Vec::with_capacity(200);
        for (count, request) in (0..200).map(|count| (count, 1 + 1009 * count)) {
            let step = || bump.alloc(request);
            let block = desk.step(format!("alloc({request})"), step, |block| format!("{}", block.is_some()));
            let Some(block) = block else {
                desk.fail(Finding::new("Linux has memory for this, but alloc returned None."))
            };
            desk.expect("the block starts at a multiple of 16", 0, block.addr().get() % ALIGNMENT);
            let end = LinuxOs.program_break().addr().get();
            desk.expect("the block lies below the break", true, block.addr().get() + request <= end);
            // SAFETY: `request` bytes that were handed out to this caller.
            desk.act("the program fills it", || unsafe { block.write_bytes(count as u8, request) });
            blocks.push((block, request));
        }
        for (count, (block, request)) in blocks.into_iter().enumerate() {
            // SAFETY: filled above.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), request) };
            let whole = bytes.iter().all(|&byte| byte == count as u8);
            desk.expect(format!("the block of {request} bytes holds what was written there"), true, whole);
        }
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let mut ours = Ours::new(desk);
        desk.expect("where the first block starts", Some(Offset(0)), ours.alloc(100));
        let (journey, _) = Script { what: "one malloc", moved: 0, block: Block::Heap(16), word: 113 }.watch(desk);
        desk.expect("inside", true, journey.inside);
    });
}
