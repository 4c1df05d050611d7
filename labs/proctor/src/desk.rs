//! What the body of a case works with.

use crate::finding::{Finding, Kind};
use crate::inside::{Finished, is_replay};
use crate::recorder::{Recorder, Word};
use heapkit::image::{Image, Offset, Raw};
use heapkit::journal::Journal;
use heapkit::memory::Heap;
use heapkit::os::{Place, Refusal, SimOs};
use heapkit::referee::whole::{WholeMalloc, WholeReferee};
use heapkit::referee::{Allocator, Promise, Referee};
use heapkit::workload::{self, Op};
use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::path::PathBuf;

/// The desk at which a case is written: a heap, a journal, and ways to say what is wrong.
pub struct Desk {
    pub(crate) recorder: &'static Recorder,
    pub(crate) journal: Journal,
    pub(crate) heap: Cell<Option<Heap>>,
    pub(crate) os: Cell<Option<&'static SimOs>>,
    pub(crate) snapshots: PathBuf,
    /// The watcher's own workload, instead of the case's: it looks for the shortest that fails.
    pub(crate) instead: Option<(usize, Vec<Op>)>,
    pub(crate) plays: Cell<usize>,
}

impl Desk {
    /// A fresh heap of `len` bytes, a multiple of 4096: every byte is `0xa5`, and what lies around it can't be touched.
    /// The heap before it is gone.
    pub fn heap(&self, len: usize) -> Heap {
        self.journal.clear();
        self.os.set(None);
        let heap = match self.heap.get() {
            Some(heap) if heap.len() == len => {
                heap.refresh();
                heap
            }
            _ => self.recorder.heap(len).unwrap_or_else(|e| panic!("the recorder has no heap of {len} bytes: {e}")),
        };
        self.heap.set(Some(heap));
        heap
    }

    /// A fresh simulated system: its break can move up to 4 MiB, and nothing has been asked for yet. `drawn` says whether
    /// the heap that will stand below the break has chunks, so that it can be drawn.
    pub fn os(&self, drawn: bool) -> &'static SimOs {
        self.journal.clear();
        self.heap.set(None);
        let recorder = self.recorder;
        recorder.set(Word::Bare, u64::from(!drawn));
        let room = recorder.room().unwrap_or_else(|e| panic!("the recorder has no room for a heap: {e}"));
        let os = Box::leak(Box::new(SimOs::new(room, |layout| recorder.set_layout(layout))));
        self.os.set(Some(os));
        os
    }

    /// The memory under test, if there is any yet.
    fn memory(&self) -> Option<Heap> {
        self.heap.get().or_else(|| self.os.get()?.heap())
    }

    /// Takes a step and writes it down, with its result as `show` words it.
    pub fn step<R>(&self, action: impl Display, step: impl FnOnce() -> R, show: impl FnOnce(&R) -> String) -> R {
        if let Some(heap) = self.memory() {
            self.recorder.keep_before(&heap);
        }
        self.journal.begin(&action.to_string());
        let result = step();
        self.journal.end(&show(&result));
        result
    }

    /// Takes a step that has no result.
    pub fn act(&self, action: impl Display, step: impl FnOnce()) {
        self.step(action, step, |()| String::new());
    }

    /// What the random numbers of a workload start from: `own`, or another number in a run with a seed of its own.
    pub fn seed(&self, own: u64) -> u64 {
        crate::seed::of_workload(own)
    }

    /// A line that the learner sees when the case has passed.
    pub fn measured(&self, line: impl Display) {
        self.recorder.set_measured(&line.to_string());
    }

    /// The free list starts at this address: the picture will show it.
    pub fn list_starts_at(&self, address: usize) {
        self.journal.list_starts_at(address);
    }

    /// Where the free list starts, as the journal last heard: after [`Desk::play`], as the allocator left it.
    pub fn list_head(&self) -> Option<usize> {
        self.recorder.story().list_head
    }

    /// The heap as it is now; `head` is the address of the free list's first chunk, 0 for an empty list.
    pub fn image(&self, head: Option<usize>) -> Image {
        let Some(heap) = self.memory() else { return Image::empty() };
        let bytes = heap.bytes();
        let foreign = self.os.get().map(|os| os.layout().foreign).unwrap_or_default();
        Image::decode(&Raw { base: heap.start().addr().get(), bytes: &bytes, foreign: &foreign }, head)
    }

    /// Forgets the steps so far: what follows is a story of its own.
    pub fn new_story(&self) {
        self.journal.clear();
    }

    /// Ends the case unless both are the same.
    pub fn expect<T: PartialEq + Debug>(&self, what: impl Display, expected: T, seen: T) {
        if expected != seen && !self.is_waiting() {
            self.fail(Finding::new(what.to_string()).expected(format!("{expected:?}"), format!("{seen:?}")));
        }
    }

    /// As [`Desk::expect`], for the word at `at` of the heap; `show` says what a word means.
    pub fn expect_word(
        &self,
        what: impl Display,
        at: usize,
        expected: usize,
        seen: usize,
        show: impl Fn(usize) -> String,
    ) {
        if expected != seen && !self.is_waiting() {
            let finding = Finding::new(what.to_string()).expected(show(expected), show(seen));
            // The picture marks its own defects.
            let marked = self.image(None).defects.iter().any(|defect| defect.at == at);
            self.fail(if marked { finding } else { finding.mark(at, format!("the word at {}", Offset(at))) });
        }
    }

    /// Whether the watcher's workload stands for one that has not been played yet: then what the case asserts on the way
    /// there says nothing.
    fn is_waiting(&self) -> bool {
        is_replay() && self.instead.as_ref().is_some_and(|(play, _)| self.plays.get() <= *play)
    }

    /// Ends the case: something is wrong.
    pub fn fail(&self, finding: Finding) -> ! {
        std::panic::resume_unwind(Box::new(finding))
    }

    /// Ends the case: it can't be tried here.
    pub fn skip(&self, why: impl Display) -> ! {
        self.fail(Finding { kind: Kind::Skipped, ..Finding::new(why.to_string()) })
    }

    /// Plays `ops` on the allocator that `start` makes of a fresh heap of `len` bytes; the referee checks every step.
    /// Returns where each block's payload was last, by the block's number: an offset into the heap, or `None` for a
    /// request that was refused.
    pub fn play<A: Allocator>(
        &self,
        len: usize,
        promise: impl Into<Promise>,
        ops: &[Op],
        start: impl FnOnce(Heap) -> A,
    ) -> Vec<Option<usize>> {
        let Some(ops) = self.next_workload(ops) else { return vec![None; blocks(ops)] };
        let heap = self.heap(len);
        self.journal.begin("the allocator takes the fresh heap");
        let mut allocator = start(heap);
        self.journal.clear();
        let promise = promise.into();
        let mut referee = Referee::new(heap, &mut allocator, promise, &self.journal);
        let mut payloads = vec![None; blocks(ops)];
        for &op in ops {
            self.recorder.keep_before(&heap);
            if let Err(violation) = referee.play(op) {
                self.fail(violation.into());
            }
            if referee.promise() != promise {
                self.written_over();
            }
            if let Op::Malloc { id, .. } = op {
                payloads[id] = referee.payload(id).and_then(|p| usize::try_from(heap.offset_of(p.as_ptr())).ok());
            }
        }
        self.played(ops);
        payloads
    }

    /// Plays `ops` on the whole malloc that `start` makes of a fresh simulated system, which refuses what `refusal` says.
    /// Returns where each block was last, by its number, or `None` for a request that was refused.
    pub fn play_whole<M: WholeMalloc>(
        &self,
        refusal: Refusal,
        ops: &[Op],
        start: impl FnOnce(&'static SimOs) -> M,
    ) -> Vec<Option<Place>> {
        let Some(ops) = self.next_workload(ops) else { return vec![None; blocks(ops)] };
        let os = self.os(true);
        os.refuse(refusal);
        if let Some(refusal) = refusal.in_words() {
            self.journal.begin(&refusal);
            self.journal.end("");
        }
        let mut malloc = start(os);
        let mut referee = WholeReferee::new(os, &mut malloc, &self.journal);
        let mut places = vec![None; blocks(ops)];
        for &op in ops {
            if let Some(heap) = self.memory() {
                self.recorder.keep_before(&heap);
            }
            if let Err(violation) = referee.play(op) {
                self.fail(violation.into());
            }
            if let Some(id) = op.id().filter(|_| !matches!(op, Op::Free { .. })) {
                places[id] = referee.place(id);
            }
        }
        self.played(ops);
        places
    }

    /// What to play next in the place of `ops`; `None` if the watcher asks for another play of this case.
    fn next_workload<'a>(&'a self, ops: &'a [Op]) -> Option<&'a [Op]> {
        let index = self.plays.replace(self.plays.get() + 1);
        let ops = match self.instead.as_ref().filter(|_| is_replay()) {
            Some((instead, _)) if *instead != index => return None,
            Some((_, ops)) => ops,
            None => ops,
        };
        self.recorder.set_workload(&workload_line(index, ops));
        Some(ops)
    }

    /// Ends the case if that was the watcher's workload: what the case asserts about its own says nothing about another one.
    fn played(&self, ops: &[Op]) {
        let index = self.plays.get() - 1;
        // The recorder keeps the beginning of a very long one.
        let kept = self.recorder.workload().unwrap_or_default();
        if kept.is_empty() || !workload_line(index, ops).starts_with(&kept) {
            self.written_over();
        }
        if is_replay() {
            std::panic::resume_unwind(Box::new(Finished));
        }
    }

    /// Ends the case: what it works with isn't what it was any more.
    fn written_over(&self) -> ! {
        self.fail(Finding::new("Your code writes over the exam's own memory."))
    }

    /// Compares the heap's picture, with the free list that starts at `head`, with the one kept under `name`.
    pub fn snapshot(&self, name: &str, head: Option<usize>) {
        let image = self.image(head);
        let mut picture = heapkit::draw::heap(&image, &[]);
        if let Some(list) = &image.list {
            picture.push_str(&format!("list: {}\n", heapkit::draw::list(list)));
        }
        self.compare(name, "The heap does not look as it should.", &picture, true);
    }

    /// Compares the calls that the simulated system has had with those kept under `name`.
    pub fn snapshot_calls(&self, name: &str) {
        let calls: String = self.os.get().iter().flat_map(|os| os.calls()).map(|call| format!("{call}\n")).collect();
        self.compare(name, "The system was asked for something else than the rule says.", &calls, false);
    }

    /// Compares a text with the one kept under `name`.
    pub fn snapshot_text(&self, name: &str, what: &str, text: &str) {
        self.compare(name, what, text, false);
    }

    /// The text kept under `name`.
    pub fn kept(&self, name: &str) -> Option<String> {
        let kept = std::fs::read_to_string(self.snapshots.join(format!("{name}.snap"))).ok()?;
        // A snapshot file is a head between two lines of dashes, then the text.
        Some(kept.splitn(3, "---\n").nth(2)?.trim_end().to_owned())
    }

    fn compare(&self, name: &str, what: &str, text: &str, shows_the_heap: bool) {
        if self.is_waiting() {
            return;
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&self.snapshots);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            settings.bind(|| insta::assert_snapshot!(name, text));
        }));
        if compared.is_err() {
            let expected = self.kept(name).unwrap_or("(no such snapshot)".into());
            let seen = marked_where_different(&expected, text);
            self.fail(Finding { shows_the_heap, ..Finding::new(what).expected(expected, seen) });
        }
    }
}

/// A workload as the recorder keeps it: the how-manieth of the case it is, and its operations.
fn workload_line(index: usize, ops: &[Op]) -> String {
    format!("{index} {}", workload::format(ops))
}

/// How many blocks the operations name.
fn blocks(ops: &[Op]) -> usize {
    ops.iter().filter_map(|op| op.id()).map(|id| id + 1).max().unwrap_or(0)
}

/// `seen`, with an arrow behind each line that isn't the same in `expected`.
fn marked_where_different(expected: &str, seen: &str) -> String {
    let mut expected = expected.lines();
    let mark = |line: &str| match expected.next() {
        Some(same) if same == line => line.to_owned(),
        _ => format!("{line}   ◄ different"),
    };
    seen.trim_end().lines().map(mark).collect::<Vec<_>>().join("\n")
}
