//! Plays workloads on the candidate, under the eyes of the referee, and looks for the shortest one that still fails.

use crate::desk::{Desk, ROOM, System, words_of};
use crate::finding::Finding;
use crate::process::Manner;
use crate::report::Verdict;
use candidate::wire::Words;
use heapkit::image::ListHead;
use heapkit::memory::PAGE;
use heapkit::os::{Place, Refusal};
use heapkit::referee::{Allocator, Call, NoSuchOperation, Referee, Rules};
use heapkit::workload::{self, Op};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// How many shorter workloads to try. A count and not a time, so that the same mistake always ends in the same story.
const TRIES: usize = 150;
/// The same for a case that hangs, where each try takes a while.
const TRIES_WHEN_HUNG: usize = 12;

/// What a workload is played on.
pub struct Stage<'a, Q> {
    /// The memory that the allocator is given.
    pub memory: Memory,
    /// The question that makes the allocator. Its answer is empty.
    pub start: Q,
    /// The question for a call. Its answer: where the block is, if there is one; and the words that lead to the lists.
    pub call: fn(Call) -> Q,
    /// What these words are.
    pub lists: fn(&[usize]) -> Vec<ListHead>,
    /// What the allocator promises.
    pub rules: &'a dyn Fn() -> Box<dyn Rules>,
    /// What plays the same in the book's playground, if something does: see [`playground::link`](crate::playground::link).
    pub playground: Option<&'static str>,
}

/// The memory that an allocator is given.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// A heap of so many bytes.
    Heap(usize),
    /// A simulated system whose break can move up by `room` bytes, and which refuses what `refusal` says.
    System {
        /// How far the break can move.
        room: usize,
        /// What it refuses.
        refusal: Refusal,
    },
}

/// The one free list that most labs have.
pub fn one_list(heads: &[usize]) -> Vec<ListHead> {
    heads.first().map(|&head| ListHead::free_list(head)).into_iter().collect()
}

/// The same in words. What plays on it is compiled once, and not for each lab's questions.
struct Script<'a> {
    memory: Memory,
    start: Vec<u64>,
    call: &'a dyn Fn(Call) -> Vec<u64>,
    lists: fn(&[usize]) -> Vec<ListHead>,
    rules: &'a dyn Fn() -> Box<dyn Rules>,
    playground: Option<&'static str>,
}

impl<'a, Q> Stage<'a, Q> {
    /// A heap of `len` bytes for an allocator with one free list.
    pub fn heap(len: usize, start: Q, call: fn(Call) -> Q, rules: &'a dyn Fn() -> Box<dyn Rules>) -> Self {
        Stage { memory: Memory::Heap(len), start, call, lists: one_list, rules, playground: None }
    }
}

impl<Q: Words> Stage<'_, Q> {
    fn script<'a>(&'a self, call: &'a dyn Fn(Call) -> Vec<u64>) -> Script<'a> {
        let Stage { memory, start, lists, rules, .. } = self;
        // The playground has heaps of these sizes, and a system that refuses nothing.
        let is_there = matches!(memory, Memory::Heap(PAGE) | Memory::System { room: ROOM, refusal: Refusal::Nothing });
        let playground = self.playground.filter(|_| is_there);
        Script { memory: *memory, start: words_of(start), call, lists: *lists, rules, playground }
    }
}

/// The candidate's allocator.
pub struct Remote<'a> {
    desk: &'a Desk,
    call: Box<dyn Fn(Call) -> Vec<u64> + 'a>,
    lists: fn(&[usize]) -> Vec<ListHead>,
    heads: Vec<ListHead>,
}

impl Allocator for Remote<'_> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let (payload, heads): (Option<usize>, Vec<usize>) = self.desk.put_words(&(self.call)(call));
        self.heads = (self.lists)(&heads);
        self.desk.lists_are(self.heads.clone());
        Ok(payload)
    }

    fn lists(&mut self) -> Vec<ListHead> {
        self.heads.clone()
    }
}

impl Desk {
    /// Makes the stage's allocator, on fresh memory: for a case that has a player of its own.
    pub fn enter<Q: Words + 'static>(&self, stage: &Stage<'_, Q>) -> (Rc<System>, Remote<'_>) {
        let call = stage.call;
        let system = self.set_up(stage.memory, &words_of(&stage.start));
        let call = Box::new(move |asked| words_of(&call(asked)));
        (system, Remote { desk: self, call, lists: stage.lists, heads: Vec::new() })
    }

    /// Plays `ops`; the referee checks every step. Returns where each block was last, by its number, or `None` for a request that
    /// was refused. What fails, ends the case with the shortest story that fails in the same way.
    pub fn play<Q: Words>(&self, stage: &Stage<'_, Q>, ops: &[Op]) -> Vec<Option<Place>> {
        self.play_script(&stage.script(&|call| words_of(&(stage.call)(call))), ops)
    }

    fn play_script(&self, script: &Script<'_>, ops: &[Op]) -> Vec<Option<Place>> {
        match self.try_play(script, ops) {
            Ok(places) => places,
            Err(finding) => {
                let finding = self.shrink(script, ops, *finding);
                self.fail(finding)
            }
        }
    }

    /// Fresh memory, and an allocator that was made and has done nothing yet.
    pub(crate) fn set_up(&self, memory: Memory, start: &[u64]) -> Rc<System> {
        let (system, refusal) = match memory {
            Memory::Heap(len) => (self.heap(len), Refusal::Nothing),
            Memory::System { room, refusal } => (self.os(room), refusal),
        };
        system.refuse(refusal);
        self.journal.begin("the allocator is made");
        let () = self.put_words(start);
        self.new_story();
        if let Some(refusal) = refusal.in_words() {
            self.journal.note(refusal);
        }
        system
    }

    fn try_play(&self, script: &Script<'_>, ops: &[Op]) -> Result<Vec<Option<Place>>, Box<Finding>> {
        self.attempt(|| {
            let system = self.set_up(script.memory, &script.start);
            let mut allocator =
                Remote { desk: self, call: Box::new(script.call), lists: script.lists, heads: Vec::new() };
            self.is_played_by(script.playground);
            let mut referee = Referee::new(&*system, &mut allocator, (script.rules)(), &self.journal);
            let mut places = vec![None; blocks(ops)];
            for &op in ops {
                referee.play(op).map_err(|violation| Box::new(Finding::from(violation)))?;
                if let Some(id) = op.id().filter(|_| !matches!(op, Op::Free { .. })) {
                    places[id] = referee.place(id);
                }
            }
            self.has_been_played();
            Ok(places)
        })
    }

    /// Does `work`, which may end the case: then, what it has found.
    pub(crate) fn attempt<T>(&self, work: impl FnOnce() -> Result<T, Box<Finding>>) -> Result<T, Box<Finding>> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match panic.downcast::<Finding>() {
            Ok(finding) => Err(finding),
            Err(other) => resume_unwind(other),
        })
    }

    /// The same mistake in as few steps as can be found. The desk then shows that story.
    fn shrink(&self, script: &Script<'_>, ops: &[Op], finding: Finding) -> Finding {
        let tries = match finding.verdict {
            Verdict::Wrong | Verdict::Crashed | Verdict::Exited => TRIES,
            Verdict::Hung => TRIES_WHEN_HUNG,
            _ => return finding,
        };
        self.manner.set(Manner::Hasty);
        self.new_candidate();
        let shortest = workload::shrink(ops, tries, |ops| {
            self.try_play(script, ops).is_err_and(|other| {
                // What is wrong with one story must not reach the next.
                self.new_candidate();
                other.is_like(&finding)
            })
        });
        self.manner.set(Manner::Patient);
        self.new_candidate();
        if let Err(shorter) = self.try_play(script, &shortest)
            && shorter.is_like(&finding)
        {
            self.is_shrunk.set(true);
            return *shorter;
        }
        // Renaming the blocks changes the bytes they hold; if that hides the mistake, the long story has to do.
        self.new_candidate();
        match self.try_play(script, ops) {
            Err(again) => *again,
            Ok(_) => finding,
        }
    }
}

/// How many blocks the operations name.
fn blocks(ops: &[Op]) -> usize {
    ops.iter().filter_map(|op| op.id()).map(|id| id + 1).max().unwrap_or(0)
}
