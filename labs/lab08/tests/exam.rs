//! The graded cases of lab 8. They ask the lab's candidate (`tests/candidate.rs`), another process; `lab.toml` says what each
//! rule is worth.
//!
//! Stories of threads are written as `1m0:100 2f0`: thread 1 calls `a = malloc(100)`, then thread 2 calls `free(a)`. `c` is calloc,
//! `a1:64:100` is aligned(64, 100), `r` is realloc. Which thread goes on after each step, a plan says.

mod oracle;
mod questions;
mod watch;

use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use heapkit::image::Offset;
use heapkit::memory::{Arena, HEAP_ROOM, PAGE};
use heapkit::os::Refusal;
use heapkit::referee::Call;
use heapkit::workload::{Op, Rng};
use proctor::{Desk, Exam, Finding, Moment, Next, Plan, System, Threads};
use questions::{CFunction, Question};
use std::collections::BTreeSet;
use std::rc::Rc;
use watch::{ARENAS, Job, Outcome, REGION, Watch, jobs, region_of};

const EXAM: Exam = Exam::new("lab08", cfg!(feature = "solution"));

/// So many threads a candidate has.
const THREADS: usize = 9;

// ---- a lock ----

/// What a thread says inside, and when it is about to leave.
const ENTERS: u64 = 0;
const LEAVES: u64 = 1;

/// Threads that use one lock: so many times each.
struct Lockers<'a> {
    desk: &'a Desk,
    threads: Threads<'a>,
    left: Vec<usize>,
    /// What the counter was, for each that has been inside.
    counted: Vec<usize>,
    inside: Option<usize>,
    last: Option<Moment>,
    question: Question,
}

impl<'a> Lockers<'a> {
    fn new(desk: &'a Desk, threads: usize, times: usize, question: Question) -> Self {
        desk.heap(PAGE);
        desk.draws_no_heap();
        let () = desk.put(&Question::Threads { count: THREADS });
        let () = desk.put(&Question::NewLock { counter: 0 });
        desk.new_story();
        Lockers {
            desk,
            threads: Threads::new(desk, threads),
            left: vec![times; threads + 1],
            counted: Vec::new(),
            inside: None,
            last: None,
            question,
        }
    }

    fn play(&mut self, plan: &mut Plan) {
        loop {
            for thread in 1..self.left.len() {
                if self.threads.rests(thread) && self.left[thread] > 0 {
                    self.left[thread] -= 1;
                    self.threads.begin(thread, &self.question);
                }
            }
            let Some(thread) = self.threads.choose(plan) else { break };
            self.step(thread);
        }
        if self.question == Question::With {
            self.counted.sort_unstable();
            let all: Vec<usize> = (0..self.counted.len()).collect();
            self.desk.expect("Each thread counts one further than the one before it.", all, self.counted.clone());
        }
    }

    fn step(&mut self, thread: usize) {
        let step = self.threads.step(thread);
        if step.did == Next::Mark(LEAVES) {
            self.last = Some(self.threads.now(thread));
            self.inside = None;
        }
        if *self.threads.next(thread) == Next::Mark(ENTERS) {
            if let Some(other) = self.inside.replace(thread) {
                self.desk.fail(Finding::new(format!(
                    "Thread {thread} has taken the lock, but thread {other} has not given it back yet: both use the value."
                )));
            }
            if let Some(last) = self.last.filter(|last| !self.threads.knows(thread, *last)) {
                self.desk.fail(Finding::new(format!(
                    "Thread {thread} has taken the lock, but need not see what thread {} has done with the value: no Release and Acquire \
                     lead from one to the other.",
                    last.thread
                )));
            }
        }
        if self.threads.rests(thread) {
            if self.question == Question::With {
                let was: usize = self.threads.answer(thread);
                self.threads.show(thread, format!("the counter was {was}"));
                self.counted.push(was);
            }
            let held = self.threads.held_by(thread);
            self.desk.expect(format!("How many flags thread {thread} has set when it is back."), 0, held.len());
        }
    }
}

/// Every way in which two threads can be switched once or twice, and drawn ones for more threads.
fn plans_for_locks(desk: &Desk) -> Vec<(usize, Plan)> {
    let mut rng = desk.rng();
    let mut plans: Vec<(usize, Plan)> =
        (0..=2).flat_map(|count| Plan::all(count, &[8, 8])).map(|plan| (2, plan)).collect();
    for round in 0..60 {
        let threads = 2 + round % 3;
        plans.push((threads, Plan::drawn(&mut rng, threads, 60, [2, 3, 6][round % 3])));
    }
    plans
}

fn use_a_lock(desk: &Desk, question: &Question) {
    let plans = plans_for_locks(desk);
    desk.explore(plans.into_iter().map(|(threads, plan)| (vec![(); threads], plan)), |threads, plan| {
        Lockers::new(desk, threads.len().max(1), 2, question.clone()).play(plan);
    });
}

#[test]
fn one_thread_at_a_time_is_inside() {
    EXAM.case("lock", |desk| use_a_lock(desk, &Question::With));
}

#[test]
fn acquire_and_release_are_a_pair() {
    EXAM.case("lock", |desk| use_a_lock(desk, &Question::AcquireAndRelease));
}

#[test]
fn a_waiting_thread_lets_others_go_on() {
    EXAM.case("lock", |desk| {
        let mut lockers = Lockers::new(desk, 3, 1, Question::With);
        for thread in 1..=3 {
            lockers.threads.begin(thread, &Question::With);
            // The first one until it is inside, the others until they pause.
            while lockers.threads.can_go(thread) && *lockers.threads.next(thread) != Next::Mark(ENTERS) {
                lockers.step(thread);
            }
        }
        for thread in 1..=3 {
            while !lockers.threads.rests(thread) {
                lockers.step(thread);
            }
        }
        desk.expect("In which order they were inside.", vec![0, 1, 2], lockers.counted.clone());
    });
}
