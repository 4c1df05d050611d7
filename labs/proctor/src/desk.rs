//! What the body of a case works with.

use crate::arena::SharedArena;
use crate::exam::Exam;
use crate::finding::Finding;
use crate::judge::judge;
use crate::playground;
use crate::process::{Ended, Manner, Process};
use crate::report::{Cost, Verdict};
use crate::seed;
use candidate::wire::{ANSWER, DISCARD, MMAP, MREMAP, MUNMAP, Reader, SBRK, Words};
use heapkit::image::{Image, ListHead, Offset, Raw};
use heapkit::journal::{Journal, Step};
use heapkit::memory::{Arena, PAGE};
use heapkit::os::{self, SimOs};
use heapkit::snapshot::Snapshot;
use heapkit::workload::Rng;
use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Display};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A simulated system whose memory the candidate shares.
pub type System = SimOs<SharedArena>;

/// A heap of a few pages, where a case doesn't say otherwise.
pub const ROOM: usize = 1024 * PAGE;

/// The thread of the candidate that questions are for, where there are no others.
const MAIN_THREAD: usize = 0;

/// Nobody asks the system that often to answer one question: it is a loop.
const CALLS_AT_MOST: usize = 10_000;

/// The desk at which a case is examined: a candidate to ask, a heap to look at, and ways to say what is wrong.
///
/// All that a case needs to know of the candidate are its answers and its memory. Addresses are offsets from the heap's start.
pub struct Desk {
    exam: Exam,
    rng: RefCell<Rng>,
    pub(crate) manner: Cell<Manner>,
    arena: SharedArena,
    system: RefCell<Option<Rc<System>>>,
    candidate: RefCell<Option<Process>>,
    pub(crate) journal: Journal,
    lists: RefCell<Vec<ListHead>>,
    /// Whether the heap has chunks, so that it can be drawn.
    is_drawn: Cell<bool>,
    /// Whether the story is the shortest that was found.
    pub(crate) is_shrunk: Cell<bool>,
    /// What plays the story in the book's playground, and how many of its steps.
    playground: Cell<Option<(&'static str, usize)>>,
    measured: RefCell<String>,
    pub(crate) cost: Cell<Option<Cost>>,
}

impl Desk {
    /// An empty desk for the case `name`.
    pub(crate) fn new(exam: Exam, name: &str) -> Self {
        let arena = SharedArena::create().unwrap_or_else(|e| panic!("no memory for an arena: {e}"));
        Desk {
            exam,
            rng: RefCell::new(seed::of_case(name)),
            manner: Cell::new(Manner::Patient),
            arena,
            system: RefCell::new(None),
            candidate: RefCell::new(None),
            journal: Journal::default(),
            lists: RefCell::default(),
            is_drawn: Cell::new(true),
            is_shrunk: Cell::new(false),
            playground: Cell::new(None),
            measured: RefCell::default(),
            cost: Cell::new(None),
        }
    }

    /// Numbers drawn from the run's seed and the case's name; other ones each time.
    pub fn rng(&self) -> Rng {
        Rng::new(self.rng.borrow_mut().bits())
    }

    /// The lab's folder.
    pub fn lab_dir(&self) -> &Path {
        self.exam.dir()
    }

    // ---- memory ----

    /// A fresh heap of `len` bytes, whole pages, for a story of its own: every byte is `0xa5`, and what lies around it can't be
    /// touched. The one before is gone.
    pub fn heap(&self, len: usize) -> Rc<System> {
        self.start(|arena| SimOs::with_heap(arena, len))
    }

    /// A fresh simulated system for a story of its own, whose break can move up by `room` bytes. Nothing has been asked for yet.
    pub fn os(&self, room: usize) -> Rc<System> {
        self.start(|arena| SimOs::new(arena, room))
    }

    fn start(&self, system: impl FnOnce(SharedArena) -> System) -> Rc<System> {
        self.expect_no_stray();
        self.new_story();
        self.lists.borrow_mut().clear();
        self.is_drawn.set(true);
        self.arena.reset();
        let system = Rc::new(system(self.arena.clone()));
        self.system.replace(Some(system.clone()));
        system
    }

    /// The memory under test has no chunks: it is not drawn.
    pub fn draws_no_heap(&self) {
        self.is_drawn.set(false);
    }

    /// Closes all pages of the heap but these: code that goes further than it has to, crashes there.
    pub fn opens_only(&self, parts: &[Range<usize>]) {
        let end = self.system.borrow().as_ref().map_or(0, |os| os.end());
        self.arena.close(0..end);
        for part in parts {
            self.arena.open(part.start / PAGE * PAGE..part.end.next_multiple_of(PAGE));
        }
    }

    /// The lists of the heap, as pictures show them from now on.
    pub fn lists_are(&self, lists: Vec<ListHead>) {
        self.lists.replace(lists);
    }

    /// The one free list of the heap starts with this word.
    pub fn list_starts_with(&self, head: usize) {
        self.lists_are(vec![ListHead::free_list(head)]);
    }

    /// The heap as it is now.
    pub fn image(&self) -> Image {
        let Some(os) = self.system.borrow().clone() else { return Image::empty() };
        let (bytes, foreign) = (self.arena.snapshot(0..os.end()), os.layout().foreign);
        Image::decode(&Raw { bytes: &bytes, foreign: &foreign }, &self.lists.borrow())
    }

    /// A copy of the heap's bytes as they are now.
    pub fn bytes(&self) -> Snapshot {
        self.arena.snapshot(0..self.system.borrow().as_ref().map_or(0, |os| os.end()))
    }

    /// The calls that the simulated system has had in this story.
    pub fn calls(&self) -> Vec<os::Call> {
        self.system.borrow().as_ref().map(|os| os.calls()).unwrap_or_default()
    }

    // ---- questions ----

    /// Asks the candidate, as a step of the story.
    pub fn ask<T: Words + Debug>(&self, question: &(impl Words + Display)) -> T {
        self.ask_and_show(question, |answer| format!("{answer:?}"))
    }

    /// Has the candidate do something, as a step of the story that has no result to show.
    pub fn order<T: Words>(&self, question: &(impl Words + Display)) -> T {
        self.ask_and_show(question, |_| String::new())
    }

    /// Asks, as a step of the story whose result is shown like this.
    pub fn ask_and_show<T: Words>(&self, question: &(impl Words + Display), show: impl FnOnce(&T) -> String) -> T {
        self.journal.begin(question.to_string());
        let answer: T = self.put(question);
        self.journal.end(show(&answer));
        answer
    }

    /// Asks without a word in the story.
    pub fn put<T: Words>(&self, question: &impl Words) -> T {
        self.put_words(&words_of(question))
    }

    pub(crate) fn put_words<T: Words>(&self, question: &[u64]) -> T {
        let answer = self.exchange(question).unwrap_or_else(|ended| self.fail(self.explain(&ended)));
        T::read(&mut Reader::new(&answer)).unwrap_or_else(|| self.fail(self.explain(&Ended::Nonsense)))
    }

    /// Something that happens without the candidate, as a step of the story.
    pub fn act(&self, action: impl Display, act: impl FnOnce()) {
        self.journal.begin(action.to_string());
        act();
        self.journal.end("");
    }

    /// Forgets the steps so far: what follows is a story of its own.
    pub fn new_story(&self) {
        self.journal.clear();
        self.playground.set(None);
    }

    /// The steps that follow are calls, which the playground has as well.
    pub(crate) fn is_played_by(&self, playground: Option<&'static str>) {
        self.playground.set(playground.map(|heap| (heap, usize::MAX)));
    }

    /// There are no more steps that the playground has.
    pub(crate) fn has_been_played(&self) {
        self.playground.set(self.playground.get().map(|(heap, _)| (heap, self.journal.len())));
    }

    /// The candidate is another one from now on, which has been asked nothing yet.
    pub fn new_candidate(&self) {
        self.candidate.take();
    }

    /// Asks, and answers what the candidate asks of the system meanwhile.
    fn exchange(&self, question: &[u64]) -> Result<Vec<u64>, Ended> {
        let mut words = self.go_on(MAIN_THREAD, question)?;
        for _ in 0..CALLS_AT_MOST {
            let (kind, rest) = words.split_first().ok_or(Ended::Nonsense)?;
            if *kind == ANSWER {
                return Ok(rest.to_vec());
            }
            let answer = self.serve(*kind, rest).ok_or(Ended::Nonsense)?;
            words = self.go_on(MAIN_THREAD, &answer)?;
        }
        let mut candidate = self.candidate.borrow_mut();
        Err(candidate.as_mut().map_or(Ended::Asking, |candidate| candidate.interrupted(Ended::Asking)))
    }

    /// Sends a thread of the candidate what it waits for, and waits for its next frame.
    pub(crate) fn go_on(&self, thread: usize, words: &[u64]) -> Result<Vec<u64>, Ended> {
        let mut candidate = self.candidate.borrow_mut();
        let candidate = candidate.get_or_insert_with(|| {
            let manner = self.manner.get();
            Process::start(self.exam.name(), &self.arena, manner)
                .unwrap_or_else(|e| panic!("the candidate can't be started: {e}"))
        });
        candidate.send(&self.frame(thread, words))?;
        candidate.receive()
    }

    /// The words of the answer to a call of the system; `None` if it is no call.
    pub(crate) fn serve(&self, call: u64, words: &[u64]) -> Option<Vec<u64>> {
        let system = self.system.borrow().clone()?;
        Some(words_of(&serve(&system, call, words)?))
    }

    /// The examiner's frame: what has changed, the thread that goes on, and then these words.
    fn frame(&self, thread: usize, words: &[u64]) -> Vec<u64> {
        let orders = self.arena.take_orders();
        let mut frame = vec![orders.len() as u64];
        for (start, end, open) in orders {
            frame.extend([start as u64, end as u64, u64::from(open)]);
        }
        frame.extend([self.system.borrow().as_ref().map_or(0, |system| system.end()) as u64, thread as u64]);
        frame.extend(words);
        frame
    }

    /// Why there is no answer. The candidate is gone after this.
    pub(crate) fn explain(&self, ended: &Ended) -> Finding {
        let output = self.candidate.take().map(|mut candidate| candidate.output()).unwrap_or_default();
        judge(&self.arena, self.system.borrow().as_deref(), ended, &output)
    }

    // ---- verdicts ----

    /// Ends the case if the story so far has left something where no memory was given. A write there ends the candidate, unless it
    /// has opened the page by itself.
    pub(crate) fn expect_no_stray(&self) {
        let stray = self.system.borrow().as_ref().and_then(|os| os.stray());
        if let Some(at) = stray {
            self.fail(Finding::new(format!(
                "Your code has written past {}, where it was given no memory.",
                Offset(at)
            )));
        }
    }

    /// Ends the case unless both are the same.
    pub fn expect<T: PartialEq + Debug>(&self, what: impl Display, expected: T, seen: T) {
        if expected != seen {
            self.fail(Finding::new(what.to_string()).expected(format!("{expected:?}"), format!("{seen:?}")));
        }
    }

    /// Ends the case unless the word at `at` is this; `show` says what a word means.
    pub fn expect_word(&self, what: impl Display, at: usize, expected: usize, show: impl Fn(usize) -> String) {
        let seen = self.arena.word(at);
        if expected != seen {
            let finding = Finding::new(what.to_string()).expected(show(expected), show(seen));
            // The picture marks its own defects.
            let marked = self.image().defects.iter().any(|defect| defect.at == at);
            self.fail(if marked { finding } else { finding.mark(at, format!("the word at {}", Offset(at))) });
        }
    }

    /// Ends the case if a byte of the heap isn't what it was `before`; those that `may_change` holds for don't count. `what` has
    /// changed it.
    pub fn expect_untouched(&self, what: &str, before: &Snapshot, may_change: impl Fn(usize) -> bool) {
        let after = self.bytes();
        let Some(at) = before.differences(&after).find(|at| !may_change(*at)) else { return };
        let at = at / 8 * 8;
        // An address in the heap is shown as the picture shows it.
        let [was, is] = [before, &after].map(|bytes| {
            let word = bytes.word(at).unwrap_or_default();
            let in_heap = word.checked_sub(bytes.base()).filter(|at| *at < bytes.end());
            in_heap.map_or_else(|| heapkit::draw::word(word), |at| Offset(at).to_string())
        });
        let note = format!("the word at {}: was {was}, is {is}", Offset(at));
        let finding = Finding::new(format!("{what} changes a word that is none of its business."));
        self.fail(finding.expected(was, is).mark(at, note));
    }

    /// Ends the case: something is wrong.
    pub fn fail(&self, finding: Finding) -> ! {
        finding.end_case()
    }

    /// Ends the case: it can't be tried here.
    pub fn skip(&self, why: impl Display) -> ! {
        self.fail(Finding::ended(Verdict::Skipped, why.to_string()))
    }

    /// A line that the learner sees when the case has passed.
    pub fn measured(&self, line: impl Display) {
        self.measured.replace(line.to_string());
    }

    /// What the case has cost, for the report. A leaderboard is made of it, so it has to be what the examiner has counted.
    pub fn cost(&self, cost: Cost) {
        self.cost.set(Some(cost));
    }

    // ---- snapshots ----

    /// Compares the heap's picture with the one kept under `name`.
    pub fn snapshot(&self, name: &str) {
        let image = self.image();
        let mut picture = heapkit::draw::heap(&image, &[]);
        for list in &image.lists {
            picture.push_str(&format!("{}: {}\n", list.name, heapkit::draw::list(list)));
        }
        self.compare(name, "The heap does not look as it should.", &picture, true);
    }

    /// Compares the calls that the simulated system has had with those kept under `name`.
    pub fn snapshot_calls(&self, name: &str) {
        let calls: String = self.calls().iter().map(|call| format!("{call}\n")).collect();
        self.compare(name, "The system was asked for something else than the rule says.", &calls, false);
    }

    /// Compares a text with the one kept under `name`.
    pub fn snapshot_text(&self, name: &str, what: &str, text: &str) {
        self.compare(name, what, text, false);
    }

    /// The text kept under `name`.
    pub fn kept(&self, name: &str) -> Option<String> {
        let kept = std::fs::read_to_string(self.snapshots().join(format!("{name}.snap"))).ok()?;
        // A snapshot file is a head between two lines of dashes, then the text.
        Some(kept.splitn(3, "---\n").nth(2)?.trim_end().to_owned())
    }

    fn snapshots(&self) -> PathBuf {
        self.exam.dir().join("tests/snapshots")
    }

    fn compare(&self, name: &str, what: &str, text: &str, shows_the_heap: bool) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(self.snapshots());
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

    // ---- what is left of a case ----

    /// The story as a link to the book's playground, if that can play all of it.
    pub(crate) fn link(&self) -> Option<String> {
        let steps = self.journal.steps();
        let (heap, playable) = self.playground.get()?;
        let is_story = (1..=playable).contains(&steps.len());
        is_story.then(|| playground::link(heap, steps.iter().map(|step| step.action.as_str())))
    }

    /// The steps of the story, and the heap to show beside a finding.
    pub(crate) fn remains(&self, finding: &Finding) -> (Vec<Step>, Option<Image>) {
        let heap = || finding.heap.clone().unwrap_or_else(|| self.image());
        let is_drawn = self.is_drawn.get() && self.system.borrow().as_ref().is_some_and(|os| os.end() > 0);
        (self.journal.steps(), is_drawn.then(heap))
    }

    pub(crate) fn take_measured(&self) -> String {
        self.measured.take()
    }
}

pub(crate) fn words_of(value: &impl Words) -> Vec<u64> {
    let mut words = Vec::new();
    value.write(&mut words);
    words
}

/// Answers a call of the system; `None` if it is no call.
fn serve(system: &System, call: u64, words: &[u64]) -> Option<Option<usize>> {
    let word = |index: usize| usize::try_from(*words.get(index)?).ok();
    Some(match call {
        SBRK => system.sbrk(word(0)?.cast_signed()),
        MMAP => system.mmap(word(0)?),
        MUNMAP => {
            system.munmap(word(0)?, word(1)?);
            None
        }
        MREMAP => system.mremap(word(0)?, word(1)?, word(2)?),
        DISCARD => {
            system.discard(word(0)?, word(1)?);
            None
        }
        _ => return None,
    })
}

/// `seen`, with an arrow after each line that isn't the same in `expected`.
fn marked_where_different(expected: &str, seen: &str) -> String {
    let mut expected = expected.lines();
    let mark = |line: &str| match expected.next() {
        Some(same) if same == line => line.to_owned(),
        _ => format!("{line}   ◄ different"),
    };
    seen.trim_end().lines().map(mark).collect::<Vec<_>>().join("\n")
}
