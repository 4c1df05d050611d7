//! The graded cases of lab 3. Each `#[test]` runs in a process of its own; `lab.toml` says what it is worth.

use heapkit::draw;
use heapkit::image::{Link, List, Offset};
use heapkit::memory::{Heap, PAGE};
use heapkit::referee::{Allocator, Fit as Rule};
use heapkit::workload::{self, Op};
use lab02::{Chunk, Header};
use lab03::{CorruptedLink, Fit, FreeList, ListHeap};
use proctor::{Desk, Exam, Finding};
use std::ptr::NonNull;

const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));

// ---- a list over chunks that the case itself laid out ----

/// Free chunks of given sizes, with a chunk in use behind each so that no two are neighbours, and a list for them.
struct Bench<'a> {
    desk: &'a Desk,
    heap: Heap,
    list: FreeList,
    chunks: Vec<usize>,
}

impl<'a> Bench<'a> {
    fn new(desk: &'a Desk, sizes: &[usize]) -> Self {
        const KEEPER: usize = 32;
        let heap = desk.heap(PAGE);
        let (mut at, mut chunks) = (0, Vec::new());
        let mut flags = 1;
        for &size in sizes {
            heap.set_header(at, 0, size | flags);
            heap.set_header(at + size, size, KEEPER);
            chunks.push(at);
            at += size + KEEPER;
            flags = 1;
        }
        heap.set_header(at, 0, (heap.len() - at) | flags);
        Bench { desk, heap, list: FreeList::new(), chunks }
    }

    /// The chunk that starts at the offset `at`.
    fn chunk(&self, at: usize) -> Chunk {
        // SAFETY: `new` wrote a header at every offset that a case uses.
        unsafe { Chunk::from_header(self.heap.at(at).cast::<Header>()) }
    }

    /// Where a chunk starts.
    fn place(&self, chunk: &Chunk) -> usize {
        let offset = self.heap.offset_of(chunk.header().as_ptr());
        let inside = usize::try_from(offset).ok().filter(|offset| self.chunks.contains(offset));
        inside.unwrap_or_else(|| {
            self.desk.fail(Finding::new("The list hands out something that is none of its chunks.").expected(
                "one of the chunks that were pushed",
                format!("an address {offset:#x} bytes from the heap's start"),
            ))
        })
    }

    fn show(at: &Option<usize>) -> String {
        at.map_or("nothing".into(), |at| format!("{at:+#07x}"))
    }

    fn push(&mut self, at: usize) {
        self.note_head();
        let chunk = self.chunk(at);
        let list = &mut self.list;
        // SAFETY: a free chunk of the bench that is in no list; the bench lives as long as the list.
        self.desk.act(format!("push({at:+#07x})"), || unsafe { list.push(chunk) });
        self.note_head();
    }

    fn push_all(&mut self) {
        for at in self.chunks.clone() {
            self.push(at);
        }
    }

    fn pop(&mut self) -> Option<Offset> {
        self.note_head();
        let popped = self.desk.step(
            "pop()",
            || self.list.pop().map(|chunk| self.heap.offset_of(chunk.header().as_ptr())),
            |at| Self::show(&at.and_then(|at| usize::try_from(at).ok())),
        );
        self.note_head();
        popped.and_then(|at| usize::try_from(at).ok()).map(Offset)
    }

    fn unlink(&mut self, at: usize) -> Result<(), CorruptedLink> {
        self.note_head();
        let chunk = self.chunk(at);
        let list = &mut self.list;
        let unlinked = self.desk.step(
            format!("unlink({at:+#07x})"),
            // SAFETY: the chunk was pushed, and every link the cases write can be read as a header.
            || unsafe { list.unlink(&chunk) },
            |result| {
                if result.is_ok() { "Ok".into() } else { "Err(CorruptedLink)".into() }
            },
        );
        self.note_head();
        unlinked
    }

    fn find(&self, fit: Fit, size: usize) -> Option<usize> {
        self.note_head();
        self.desk.step(
            format!("find({fit:?}, {size})"),
            || self.list.find(fit, size).map(|chunk| self.place(&chunk)),
            Self::show,
        )
    }

    /// The head, as the picture needs it.
    fn head(&self) -> usize {
        self.list.head().addr()
    }

    fn note_head(&self) {
        self.desk.list_starts_at(self.head());
    }

    /// The list must hold exactly these chunks, in this order, linked in both directions.
    fn expect_list(&self, expected: &[usize]) {
        let image = self.desk.image(Some(self.head()));
        let list = image.list.as_ref().expect("a head was given");
        let right = List { chunks: expected.to_vec(), last: Link::End };
        if *list != right {
            let finding = Finding::new("The list holds other chunks than it should, or in another order.");
            self.desk.fail(finding.expected(draw::list(&right), draw::list(list)));
        }
        if let Some(defect) =
            list.defects(&image).into_iter().find(|defect| expected.iter().any(|at| at + 24 == defect.at))
        {
            let finding = Finding::new("A chunk's bk does not lead to the chunk before it in the list.");
            self.desk.fail(finding.mark(defect.at, defect.what));
        }
        let walked: Vec<Offset> =
            self.list.iter().take(expected.len() + 1).map(|chunk| Offset(self.place(&chunk))).collect();
        let expected: Vec<Offset> = expected.iter().copied().map(Offset).collect();
        self.desk.expect("iter() walks the list from its head to its end.", expected, walked);
    }
}

#[test]
fn freed_last_is_reused_first() {
    EXAM.case("lifo", |desk| {
        let mut bench = Bench::new(desk, &[80, 80, 80]);
        bench.push_all();
        let mut pushed = bench.chunks.clone();
        while let Some(last) = pushed.pop() {
            desk.expect("pop() gives back what was pushed last.", Some(Offset(last)), bench.pop());
            let left: Vec<usize> = pushed.iter().rev().copied().collect();
            bench.expect_list(&left);
        }
        desk.expect("pop() on an empty list.", None, bench.pop());
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

#[test]
fn links_lead_both_ways() {
    EXAM.case("links", |desk| {
        let mut bench = Bench::new(desk, &[80, 96, 112]);
        bench.push_all();
        let [a, b, c] = [bench.chunks[0], bench.chunks[1], bench.chunks[2]];
        bench.expect_list(&[c, b, a]);
        desk.snapshot("three_in_a_list", Some(bench.head()));
    });
}

#[test]
fn the_links_stand_in_the_chunks_and_nothing_else_changes() {
    EXAM.case("links", |desk| {
        let mut bench = Bench::new(desk, &[80, 80]);
        let before = bench.heap.bytes();
        bench.push_all();
        let after = bench.heap.bytes();
        let links = |at: usize| bench.chunks.iter().any(|chunk| (chunk + 16..chunk + 32).contains(&at));
        if let Some(at) = (0..before.len()).find(|&at| before[at] != after[at] && !links(at)) {
            desk.fail(
                Finding::new("push changes a byte that is neither fd nor bk of a chunk in the list.")
                    .expected(format!("{:#04x}", before[at]), format!("{:#04x}", after[at]))
                    .mark(at, format!("the byte at {at:+#07x} changed")),
            );
        }
        bench.expect_list(&[bench.chunks[1], bench.chunks[0]]);
    });
}

fn unlinks(desk: &Desk, victim: usize) {
    let mut bench = Bench::new(desk, &[80, 80, 80]);
    bench.push_all();
    let mut order: Vec<usize> = bench.chunks.iter().rev().copied().collect();
    let gone = order.remove(victim);
    desk.expect("unlink accepts a chunk whose neighbours point back to it.", Ok(()), bench.unlink(gone));
    bench.expect_list(&order);
}

#[test]
fn unlinking_the_head_makes_the_second_the_head() {
    EXAM.case("unlink", |desk| unlinks(desk, 0));
}

#[test]
fn unlinking_the_middle_joins_its_neighbours() {
    EXAM.case("unlink", |desk| unlinks(desk, 1));
}

#[test]
fn unlinking_the_tail_ends_the_list_one_chunk_earlier() {
    EXAM.case("unlink", |desk| {
        unlinks(desk, 2);
        let mut bench = Bench::new(desk, &[80]);
        bench.push_all();
        let only = bench.chunks[0];
        desk.expect("unlink takes the only chunk.", Ok(()), bench.unlink(only));
        bench.expect_list(&[]);
    });
}

/// Overwrites one link of a list c → b → a, asks for `b` to be unlinked, and expects a refusal that changes nothing.
fn refuses(desk: &Desk, word: impl Fn(&Bench<'_>) -> usize, wrong: impl Fn(&Bench<'_>) -> usize, unlink: usize) {
    let mut bench = Bench::new(desk, &[80, 80, 80, 80]);
    for index in 0..3 {
        let at = bench.chunks[index];
        bench.push(at);
    }
    let (word, wrong) = (word(&bench), wrong(&bench));
    desk.act(format!("a stray write to {word:+#07x}"), || bench.heap.set_word(word, wrong));
    let (bytes, head) = (bench.heap.bytes(), bench.head());
    let victim = bench.chunks[unlink];
    let refused = bench.unlink(victim);
    if refused.is_ok() {
        desk.fail(
            Finding::new("unlink goes on although a neighbour does not point back to the chunk.")
                .expected("Err(CorruptedLink)", "Ok")
                .mark(word, "this link was overwritten"),
        );
    }
    desk.expect("A refused unlink leaves the head as it was.", head, bench.head());
    if bench.heap.bytes() != bytes {
        desk.fail(
            Finding::new("unlink refuses, but it had already changed the list.")
                .mark(word, "this link was overwritten"),
        );
    }
}

fn address(bench: &Bench<'_>, chunk: usize) -> usize {
    bench.heap.at(bench.chunks[chunk]).as_ptr().addr()
}

#[test]
fn a_wrong_back_link_is_refused() {
    // fd.bk: b's next is a, whose bk should lead to b.
    EXAM.case("integrity", |desk| {
        refuses(desk, |bench| bench.chunks[0] + 24, |bench| address(bench, 3), 1);
        // The head c has no bk, but its fd is b, whose bk should lead to c.
        refuses(desk, |bench| bench.chunks[1] + 24, |bench| address(bench, 3), 2);
    });
}

#[test]
fn a_wrong_forward_link_is_refused() {
    // bk.fd: b's previous is c, whose fd should lead to b.
    EXAM.case("integrity", |desk| {
        refuses(desk, |bench| bench.chunks[2] + 16, |bench| address(bench, 3), 1);
        // The tail a has no fd, but its bk is b, whose fd should lead to a.
        refuses(desk, |bench| bench.chunks[1] + 16, |bench| address(bench, 3), 0);
        // b's bk is overwritten with null, so only the list's own head could lead to b.
        refuses(desk, |bench| bench.chunks[1] + 24, |_| 0, 1);
    });
}

// ---- which chunk fits ----

/// The chapter's list, first to last: blocks that were asked for with 100, 50, 200 and 80 bytes.
const CHAPTER: [usize; 4] = [112, 64, 208, 96];
/// The chunk size that 60 bytes need.
const SIXTY: usize = 80;

/// A bench whose list holds chunks of these sizes, in this order, and where they stand.
fn listed<'a>(desk: &'a Desk, sizes: &[usize]) -> (Bench<'a>, Vec<usize>) {
    let mut bench = Bench::new(desk, sizes);
    let order = bench.chunks.clone();
    for &at in order.iter().rev() {
        bench.push(at);
    }
    (bench, order)
}

fn finds(desk: &Desk, fit: Fit, sizes: &[usize], need: usize, expected: Option<usize>) {
    let (bench, order) = listed(desk, sizes);
    let found = bench.find(fit, need);
    let expected = expected.map(|index| order[index]);
    if found != expected {
        let mut finding = Finding::new(format!("{fit:?} fit chooses another chunk for {need} bytes."))
            .expected(Bench::show(&expected), Bench::show(&found));
        if let Some(at) = expected {
            finding = finding.mark(at, "the one to choose");
        }
        desk.fail(finding);
    }
    bench.expect_list(&order);
}

#[test]
fn first_fit_takes_the_first_that_is_large_enough() {
    EXAM.case("first-fit", |desk| {
        finds(desk, Fit::First, &CHAPTER, SIXTY, Some(0));
        finds(desk, Fit::First, &CHAPTER, 128, Some(2));
        finds(desk, Fit::First, &CHAPTER, 224, None);
    });
}

#[test]
fn best_fit_takes_the_smallest_that_is_large_enough() {
    EXAM.case("best-fit", |desk| {
        finds(desk, Fit::Best, &CHAPTER, SIXTY, Some(3));
        finds(desk, Fit::Best, &CHAPTER, 112, Some(0));
        finds(desk, Fit::Best, &CHAPTER, 224, None);
        finds(desk, Fit::Best, &[128, 96, 112, 96], SIXTY, Some(1));
    });
}

#[test]
fn worst_fit_takes_the_largest() {
    EXAM.case("worst-fit", |desk| {
        finds(desk, Fit::Worst, &CHAPTER, SIXTY, Some(2));
        finds(desk, Fit::Worst, &CHAPTER, 224, None);
        finds(desk, Fit::Worst, &[96, 208, 112, 208], SIXTY, Some(1));
    });
}

// ---- a malloc of nothing but a list and a top chunk ----

struct Ours(ListHeap);

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

/// Plays a workload; returns where each block was, or `None` for a request that was refused.
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
    // SAFETY: a heap of whole pages that nobody else uses.
    let payloads = desk.play(len, rule, ops, |heap| Ours(unsafe { ListHeap::new(heap.region(), fit) }));
    payloads.into_iter().map(|at| at.map(Offset)).collect()
}

fn ops(text: &str) -> Vec<Op> {
    workload::parse(text).expect("the cases write their workloads correctly")
}

#[test]
fn the_chapters_a_b_c_d() {
    EXAM.case("story", |desk| {
        // a b c d of 64 bytes; b and c are freed; 64 bytes again; then 32.
        let at = play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 f1 f2"));
        desk.snapshot("b_and_c_are_free", desk.list_head());
        desk.expect(
            "a, b, c and d stand side by side, 80 bytes apart.",
            [0x10, 0x60, 0xb0, 0x100].map(|at| Some(Offset(at))).to_vec(),
            at,
        );
        let at = play(desk, Fit::First, &ops("m0:64 m1:64 m2:64 m3:64 f1 f2 m4:64 m5:32"));
        desk.expect("e stands where c stood, and f where b stood.", (at[2], at[1]), (at[4], at[5]));
        desk.snapshot("c_and_b_are_used_again", desk.list_head());
    });
}

#[test]
fn a_chunk_from_the_list_is_used_whole() {
    EXAM.case("story", |desk| {
        let at = play(desk, Fit::First, &ops("m0:1000 m1:8 f0 m2:1 m3:1"));
        desk.expect("One byte takes all of the free chunk that fits.", at[0], at[2]);
        desk.snapshot("one_byte_in_a_large_chunk", desk.list_head());
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
    });
}

#[test]
fn an_absurd_request_is_refused() {
    EXAM.case("refusal", |desk| {
        let [all, most] = [usize::MAX, isize::MAX as usize];
        let absurd = format!("m0:64 m1:{all} m2:{most} m3:{} m4:{} m5:64", all - 8, 64usize << 30);
        let at = play(desk, Fit::First, &ops(&absurd));
        desk.expect("Only the two small requests are served.", [0x10, 0x60].map(|at| Some(Offset(at))), [at[0], at[5]]);
        desk.expect("No absurd request is.", vec![None; 4], at[1..5].to_vec());
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
    });
}

/// So many chunks are in a long list: more than a byte can count.
const LONG: usize = 300;

#[test]
fn every_fit_survives_long_workloads() {
    EXAM.case("workloads", |desk| {
        for fit in [Fit::First, Fit::Best, Fit::Worst] {
            for seed in 0..3 {
                play(desk, fit, &workload::random(desk.seed(seed), 120, 0..=200, 16));
            }
            // A long list in which only the last chunk is large enough, and a request of 0 bytes.
            let size = |id| if id == 0 { 200 } else { 24 };
            let mut long_list: Vec<Op> = (0..LONG).map(|id| Op::Malloc { id, size: size(id) }).collect();
            long_list.extend((0..LONG).map(|id| Op::Free { id }));
            long_list.extend([Op::Malloc { id: LONG, size: 150 }, Op::Malloc { id: LONG + 1, size: 0 }]);
            play_on(desk, 4 * PAGE, fit, &long_list);
            play_on(desk, 4 * PAGE, fit, &workload::random(desk.seed(99), 400, 1..=300, 60));
        }
    });
}

// ---- what the types forbid ----

#[test]
fn the_types_refuse_misuse() {
    EXAM.case_with_types("types", |desk| {
        let mut bench = Bench::new(desk, &[80]);
        bench.push_all();
        let only = bench.chunks[0];
        desk.expect("pop() gives the chunk back.", Some(Offset(only)), bench.pop());
    });
}
