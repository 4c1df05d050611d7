//! Threads of the candidate. The examiner is the scheduler: one thread goes on at a time, step by step, and what a step is about
//! to do is known before it is done. So every order of steps can be tried, and comes back in the next run.
//!
//! It also keeps what the flags are, and what each thread knows of the others: a thread that acquires a flag knows what was done
//! before that flag was released. Steps that happen one after the other in this exam may happen at the same time on a machine, unless
//! the later thread knows of the earlier step.

use crate::desk::{Desk, words_of};
use crate::finding::Finding;
use crate::process::{Ended, Manner};
use crate::report::Verdict;
use candidate::wire::{ANSWER, FLAG, MARK, Reader, THREADS, Words, step};
use heapkit::workload::Rng;
use std::fmt::Display;

/// No story is longer, in steps.
const STEPS_AT_MOST: usize = 20_000;
/// So often a thread may find a flag taken before it pauses.
const LOOKS_AT_MOST: usize = 1000;
/// So often threads go on from a pause although nothing has changed: they may count.
const PAUSES_IN_VAIN: usize = 64;
/// So many shorter stories are tried.
const TRIES: usize = 200;
/// The same where each of them hangs.
const TRIES_WHEN_HUNG: usize = 60;

/// In which order other threads see what was done before a step, and what is done after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In any.
    Relaxed,
    /// What was done before, is seen by those who acquire.
    Release,
    /// What was done before a release, is seen from here on.
    Acquire,
    /// Both.
    AcqRel,
    /// Both, and all agree on one order.
    SeqCst,
}

impl Order {
    fn read(word: u64) -> Option<Self> {
        [Order::Relaxed, Order::Release, Order::Acquire, Order::AcqRel, Order::SeqCst]
            .get(usize::try_from(word).ok()?)
            .copied()
    }

    fn acquires(self) -> bool {
        matches!(self, Order::Acquire | Order::AcqRel | Order::SeqCst)
    }

    fn releases(self) -> bool {
        matches!(self, Order::Release | Order::AcqRel | Order::SeqCst)
    }
}

/// What a thread is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it waits for a question.
    Rest,
    /// To answer a question.
    Begin(Vec<u64>),
    /// To look at a flag.
    Load(usize, Order),
    /// To change a flag.
    Store(usize, bool, Order),
    /// Both at once.
    Swap(usize, bool, Order),
    /// To let others go on, since a flag was taken.
    Pause(usize),
    /// To call the system.
    System(u64, Vec<u64>),
    /// To go on from a place that the lab's candidate has named.
    Mark(u64),
}

impl Next {
    /// The flag that it is about.
    pub fn flag(&self) -> Option<usize> {
        match self {
            Next::Load(flag, _) | Next::Store(flag, ..) | Next::Swap(flag, ..) | Next::Pause(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// What was done before: for each thread, up to which of its releases.
type Clock = [u64; THREADS];

/// A moment of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The thread.
    pub thread: usize,
    time: u64,
}

struct Flag {
    address: u64,
    is_set: bool,
    /// What those who acquire it know from then on.
    released: Clock,
    /// The thread that has set it.
    holder: Option<usize>,
}

struct Thread {
    next: Next,
    /// What it has said last.
    answer: Vec<u64>,
    clock: Clock,
    /// Whether another thread has changed a flag since it has looked at one.
    has_news: bool,
    /// How often it has found a flag taken since it has paused.
    looks: usize,
    /// How many steps it has done.
    steps: usize,
    /// What it was asked, in words.
    job: String,
}

/// The candidate's threads, numbered from 1 on.
pub struct Threads<'a> {
    desk: &'a Desk,
    threads: Vec<Thread>,
    flags: Vec<Flag>,
    steps: usize,
    /// How often a thread has gone on from a pause since a flag has changed, although it had no reason to.
    in_vain: usize,
    /// The thread that has gone on last.
    current: usize,
    /// The thread whose job has begun last, and its line in the story.
    begun: Option<(usize, usize)>,
    /// What a thread did in the newest line of the story, that line, and how often it has done it one time after the other.
    repeated: ((usize, Next), usize, usize),
}

/// A step that was done.
#[derive(Clone, Debug)]
pub struct Step {
    /// By this thread.
    pub thread: usize,
    /// What it was.
    pub did: Next,
    /// What a look at a flag has found.
    pub found: Option<bool>,
}

impl<'a> Threads<'a> {
    /// So many threads, none of which has been asked anything. The lab's candidate has started them.
    pub fn new(desk: &'a Desk, count: usize) -> Self {
        let thread = |number| {
            let mut clock = [0; THREADS];
            clock[number] = 1;
            let next = Next::Rest;
            Thread { next, answer: Vec::new(), clock, has_news: false, looks: 0, steps: 0, job: String::new() }
        };
        let threads = (0..=count).map(thread).collect();
        Threads {
            desk,
            threads,
            flags: Vec::new(),
            steps: 0,
            in_vain: 0,
            current: 1,
            begun: None,
            repeated: ((0, Next::Rest), 0, 0),
        }
    }

    /// Asks a thread, which answers when it is let.
    pub fn begin(&mut self, thread: usize, question: &(impl Words + Display)) {
        self.begin_as(thread, question, &question.to_string());
    }

    /// The same, with other words for it in the story.
    pub fn begin_as(&mut self, thread: usize, question: &impl Words, job: &str) {
        self.threads[thread].next = Next::Begin(words_of(question));
        job.clone_into(&mut self.threads[thread].job);
    }

    /// What a thread is about to do.
    pub fn next(&self, thread: usize) -> &Next {
        &self.threads[thread].next
    }

    /// Whether a thread has nothing to do.
    pub fn rests(&self, thread: usize) -> bool {
        self.threads[thread].next == Next::Rest
    }

    /// What a thread has answered.
    pub fn answer<T: Words>(&self, thread: usize) -> T {
        let answer = T::read(&mut Reader::new(&self.threads[thread].answer));
        answer.unwrap_or_else(|| self.desk.fail(self.desk.explain(&Ended::Nonsense)))
    }

    /// The flags that a thread has set.
    pub fn held_by(&self, thread: usize) -> Vec<usize> {
        (0..self.flags.len()).filter(|flag| self.flags[*flag].holder == Some(thread)).collect()
    }

    /// This moment of a thread.
    pub fn now(&self, thread: usize) -> Moment {
        Moment { thread, time: self.threads[thread].clock[thread] }
    }

    /// Whether all that was done up to a moment is there to see for a thread.
    pub fn knows(&self, thread: usize, moment: Moment) -> bool {
        self.threads[thread].clock[moment.thread] >= moment.time
    }

    /// Whether a thread can do its next step. One that has found a flag taken can't go on from its pause before a flag changes.
    pub fn can_go(&self, thread: usize) -> bool {
        let thread = &self.threads[thread];
        match thread.next {
            Next::Rest => false,
            Next::Pause(_) => thread.has_news,
            _ => true,
        }
    }

    /// Lets a thread do its next step, and everything up to the one after that.
    pub fn step(&mut self, thread: usize) -> Step {
        self.steps += 1;
        if self.steps > STEPS_AT_MOST {
            self.hung(format!(
                "After {STEPS_AT_MOST} steps the threads have not come to an end: some of them wait again and again, and never get on."
            ));
        }
        self.current = thread;
        self.threads[thread].steps += 1;
        let did = self.threads[thread].next.clone();
        let line = self.tell(thread, &did);
        let (words, found) = self.carry_out(thread, &did);
        if let (Some(line), Some(found)) = (line, found) {
            let times = if self.repeated.2 > 1 { format!(", {} times", self.repeated.2) } else { String::new() };
            self.desk.journal.end_at(line, format!("{found}{times}"));
        }
        let received = self.desk.go_on(thread, &words).unwrap_or_else(|ended| {
            let finding = self.desk.explain(&ended);
            self.desk.fail(finding)
        });
        let next = self.read(thread, &received);
        self.threads[thread].next = next.unwrap_or_else(|| self.desk.fail(self.desk.explain(&Ended::Nonsense)));
        if self.threads[thread].looks > LOOKS_AT_MOST {
            self.desk.fail(Finding::new(format!(
                "Thread {thread} has found a flag taken {LOOKS_AT_MOST} times, and has never paused: on a machine with one processor, the \
                 thread that could clear the flag waits meanwhile."
            )));
        }
        Step { thread, did, found }
    }

    /// Lets one thread alone do what it is about to do, to the end.
    pub fn finish(&mut self, thread: usize) {
        while !self.rests(thread) {
            if !self.can_go(thread) {
                self.in_vain += 1;
                if self.in_vain > PAUSES_IN_VAIN {
                    self.deadlock(&[thread]);
                }
            }
            self.step(thread);
        }
    }

    /// Asks one thread, while all others stand still. Its answer.
    pub fn ask<T: Words>(&mut self, thread: usize, question: &(impl Words + Display)) -> T {
        self.begin(thread, question);
        self.finish(thread);
        self.answer(thread)
    }

    /// Tells what came of a thread's job.
    pub fn show(&mut self, thread: usize, result: String) {
        match self.begun.take() {
            Some((of, line)) if of == thread && line + 1 == self.desk.journal.len() => {
                self.desk.journal.end_at(line, result);
            }
            _ => {
                self.desk.journal.begin(format!("thread {thread} is back from {}", self.threads[thread].job));
                self.desk.journal.end(result);
            }
        }
    }

    /// Which thread goes on, as `plan` says; `None` if all rest. Ends the case if none of them can ever go on.
    pub fn choose(&mut self, plan: &mut Plan) -> Option<usize> {
        let count = self.threads.len() - 1;
        let after = (1..=count).map(|distance| (self.current - 1 + distance) % count + 1);
        let order: Vec<usize> = [self.current].into_iter().chain(after).collect();
        let can: Vec<usize> = order.iter().copied().filter(|thread| self.can_go(*thread)).collect();
        if let Some(first) = can.first() {
            let planned = plan.switch(self.current, self.threads[self.current].steps, &can);
            return Some(planned.unwrap_or(*first));
        }
        let waiting: Vec<usize> = (1..=count).filter(|thread| !self.rests(*thread)).collect();
        if waiting.is_empty() {
            return None;
        }
        self.in_vain += 1;
        if self.in_vain > PAUSES_IN_VAIN * waiting.len() {
            self.deadlock(&waiting);
        }
        Some(waiting[self.in_vain % waiting.len()])
    }

    /// None of these threads can go on.
    fn deadlock(&self, waiting: &[usize]) -> ! {
        let why = waiting.iter().map(|thread| {
            let job = &self.threads[*thread].job;
            match self.threads[*thread].next.flag() {
                Some(flag) => match self.flags[flag].holder {
                    Some(holder) if holder == *thread => {
                        format!("Thread {thread}, in {job}, waits for flag {flag}, which it has set itself.")
                    }
                    Some(holder) => {
                        format!("Thread {thread}, in {job}, waits for flag {flag}, which thread {holder} has set.")
                    }
                    None => format!("Thread {thread}, in {job}, waits although flag {flag} is clear."),
                },
                None => format!("Thread {thread} waits in {job}."),
            }
        });
        let why: Vec<String> = why.collect();
        let what = match waiting {
            [_] => "This thread waits, and nobody will ever wake it.",
            _ => "All threads wait for each other, and none of them can ever go on.",
        };
        self.hung(format!("{what} {}", why.join(" ")))
    }

    fn hung(&self, what: String) -> ! {
        self.desk.fail(Finding::ended(Verdict::Hung, what))
    }

    /// Does a step to the flags, or asks the system: the words of the answer, and what a look at a flag has found.
    fn carry_out(&mut self, thread: usize, next: &Next) -> (Vec<u64>, Option<bool>) {
        let found = match *next {
            Next::Rest => unreachable!("a thread that rests has no step"),
            Next::Begin(ref words) => return (words.clone(), None),
            Next::System(call, ref words) => {
                let answer = self.desk.serve(call, words);
                return (answer.unwrap_or_else(|| self.desk.fail(self.desk.explain(&Ended::Nonsense))), None);
            }
            Next::Mark(_) => return (Vec::new(), None),
            Next::Pause(_) => {
                self.threads[thread].looks = 0;
                return (vec![0], None);
            }
            Next::Load(flag, order) => {
                let found = self.look_at(thread, flag, order);
                Some(found)
            }
            Next::Store(flag, value, order) => {
                self.change(thread, flag, value, order, false);
                None
            }
            Next::Swap(flag, value, order) => {
                let found = self.look_at(thread, flag, order);
                self.change(thread, flag, value, order, true);
                Some(found)
            }
        };
        (vec![u64::from(found == Some(true))], found)
    }

    fn look_at(&mut self, thread: usize, flag: usize, order: Order) -> bool {
        let (flag, thread) = (&self.flags[flag], &mut self.threads[thread]);
        thread.has_news = false;
        thread.looks = if flag.is_set { thread.looks + 1 } else { 0 };
        if order.acquires() {
            join(&mut thread.clock, &flag.released);
        }
        flag.is_set
    }

    /// `swapped`: what was released before stays released, since nobody comes in between.
    fn change(&mut self, thread: usize, flag: usize, value: bool, order: Order, swapped: bool) {
        let state = &mut self.flags[flag];
        if !swapped {
            state.released = [0; THREADS];
        }
        let clock = &mut self.threads[thread].clock;
        if order.releases() {
            join(&mut state.released, clock);
            // What the thread does from here on was not released.
            clock[thread] += 1;
        }
        if state.is_set != value {
            state.holder = value.then_some(thread);
            state.is_set = value;
            self.in_vain = 0;
            let others = self.threads.iter_mut().enumerate().filter(|(other, _)| *other != thread);
            others.for_each(|(_, other)| other.has_news = true);
        }
    }

    /// What a frame of a thread says that it is about to do.
    fn read(&mut self, thread: usize, words: &[u64]) -> Option<Next> {
        let (kind, words) = words.split_first()?;
        Some(match *kind {
            ANSWER => {
                self.threads[thread].answer = words.to_vec();
                Next::Rest
            }
            FLAG => {
                let [what, address, value, order] = *words else { return None };
                let known = self.flags.iter().position(|flag| flag.address == address);
                let flag = known.unwrap_or_else(|| {
                    self.flags.push(Flag { address, is_set: false, released: [0; THREADS], holder: None });
                    self.flags.len() - 1
                });
                let (value, order) = (value != 0, Order::read(order)?);
                match what {
                    step::LOAD => Next::Load(flag, order),
                    step::STORE => Next::Store(flag, value, order),
                    step::SWAP => Next::Swap(flag, value, order),
                    step::PAUSE => Next::Pause(flag),
                    _ => return None,
                }
            }
            MARK => Next::Mark(*words.first()?),
            call => Next::System(call, words.to_vec()),
        })
    }

    /// Writes a step into the story, if it is one that a reader wants to know. The number of the line.
    fn tell(&mut self, thread: usize, next: &Next) -> Option<usize> {
        let what = match next {
            Next::Begin(_) => self.threads[thread].job.clone(),
            Next::Load(flag, order) => format!("flag {flag}: load({order:?})"),
            Next::Store(flag, value, order) => format!("flag {flag}: store({value}, {order:?})"),
            Next::Swap(flag, value, order) => format!("flag {flag}: swap({value}, {order:?})"),
            Next::Pause(_) | Next::System(..) | Next::Mark(_) | Next::Rest => return None,
        };
        if self.in_vain > self.threads.len() {
            // Nothing can change any more: each of them has looked once, and it goes on like this.
            return None;
        }
        let (before, last, times) = &mut self.repeated;
        let is_look = matches!(next, Next::Load(..) | Next::Swap(..));
        if is_look && *last + 1 == self.desk.journal.len() && *before == (thread, next.clone()) {
            *times += 1;
            return Some(*last);
        }
        self.desk.journal.note(format!("thread {thread}: {what}"));
        let line = self.desk.journal.len() - 1;
        self.repeated = ((thread, next.clone()), line, 1);
        if matches!(next, Next::Begin(_)) {
            self.begun = Some((thread, line));
        }
        Some(line)
    }
}

impl Drop for Threads<'_> {
    fn drop(&mut self) {
        // One that is in the middle of something would take the next question for an answer.
        if (1..self.threads.len()).any(|thread| !self.rests(thread)) {
            self.desk.new_candidate();
        }
    }
}

fn join(clock: &mut Clock, other: &Clock) {
    clock.iter_mut().zip(other).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
}

/// Which thread goes on: the one that has gone on last, for as long as it can, and then the next one that can; but for these switches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    switches: Vec<Switch>,
    done: Vec<bool>,
}

/// Before a thread does its step number `step`, another one goes on, if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The thread that stands still.
    pub from: usize,
    /// The number of its step, from 0 on.
    pub step: usize,
    /// The one that goes on.
    pub to: usize,
}

impl Plan {
    /// These switches.
    pub fn new(switches: Vec<Switch>) -> Self {
        Plan { done: vec![false; switches.len()], switches }
    }

    fn switch(&mut self, from: usize, step: usize, can: &[usize]) -> Option<usize> {
        let at = self.switches.iter().zip(&self.done).position(|(switch, done)| {
            !done && (switch.from, switch.step) == (from, step) && can.contains(&switch.to)
        })?;
        self.done[at] = true;
        Some(self.switches[at].to)
    }

    /// Switches here and there: of each thread's first `steps` steps, one in `rare` or so.
    pub fn drawn(rng: &mut Rng, threads: usize, steps: usize, rare: usize) -> Self {
        let mut switches = Vec::new();
        for from in 1..=threads {
            for step in (0..steps).filter(|_| rng.below(rare) == 0).collect::<Vec<_>>() {
                switches.push(Switch { from, step, to: 1 + rng.below(threads) });
            }
        }
        Plan::new(switches)
    }

    /// Every plan with `count` switches, where each thread has so many steps.
    pub fn all(count: usize, steps: &[usize]) -> Vec<Self> {
        let threads = 1..=steps.len();
        let singles: Vec<Switch> = threads
            .clone()
            .flat_map(|from| (0..steps[from - 1]).map(move |step| (from, step)))
            .flat_map(|(from, step)| threads.clone().map(move |to| Switch { from, step, to }))
            .filter(|switch| switch.from != switch.to)
            .collect();
        let mut plans: Vec<Vec<Switch>> = vec![Vec::new()];
        for _ in 0..count {
            let longer = |plan: Vec<Switch>| {
                singles
                    .iter()
                    .filter(|single| !plan.contains(single))
                    .map(|single| [&plan[..], &[*single]].concat())
                    .collect::<Vec<_>>()
            };
            plans = plans.into_iter().flat_map(longer).collect();
        }
        plans.into_iter().map(Plan::new).collect()
    }
}

/// Plays one story of threads: these jobs, in this order of steps.
type Attempt<'a, J> = dyn Fn(&[J], &Plan) -> Result<(), Box<Finding>> + 'a;

impl Desk {
    /// Plays one story of threads after the other: what each does, `jobs`, and the plan. What fails, ends the case with as few jobs and
    /// switches as can be found.
    pub fn explore<J: Clone>(&self, stories: impl IntoIterator<Item = (Vec<J>, Plan)>, play: impl Fn(&[J], &mut Plan)) {
        for (jobs, plan) in stories {
            let attempt = |jobs: &[J], plan: &Plan| {
                self.attempt(|| {
                    play(jobs, &mut plan.clone());
                    Ok(())
                })
            };
            if let Err(finding) = attempt(&jobs, &plan) {
                let finding = self.shortest(&jobs, &plan, *finding, &attempt);
                self.fail(finding);
            }
        }
    }

    fn shortest<J: Clone>(&self, jobs: &[J], plan: &Plan, finding: Finding, attempt: &Attempt<'_, J>) -> Finding {
        let mut left = match finding.verdict {
            Verdict::Wrong | Verdict::Crashed | Verdict::Exited => TRIES,
            Verdict::Hung => TRIES_WHEN_HUNG,
            _ => return finding,
        };
        let (mut jobs, mut switches) = (jobs.to_vec(), plan.switches.clone());
        self.manner.set(Manner::Hasty);
        let mut fails = |jobs: &[J], switches: &[Switch]| {
            if left == 0 {
                return false;
            }
            left -= 1;
            // What is wrong with one story must not reach the next.
            self.new_candidate();
            attempt(jobs, &Plan::new(switches.to_vec())).is_err_and(|other| other.is_like(&finding))
        };
        without_some(&mut switches, |switches| fails(&jobs, switches));
        without_some(&mut jobs, |jobs| fails(jobs, &switches));
        without_some(&mut switches, |switches| fails(&jobs, switches));
        self.manner.set(Manner::Patient);
        for (jobs, switches, is_shrunk) in [(&jobs[..], &switches[..], true), (&jobs[..], &plan.switches[..], false)] {
            self.new_candidate();
            if let Err(again) = attempt(jobs, &Plan::new(switches.to_vec()))
                && again.is_like(&finding)
            {
                self.is_shrunk.set(is_shrunk);
                return *again;
            }
        }
        finding
    }
}

/// Takes stretches out of `list`, long ones first, for as long as what is left still fails.
fn without_some<T: Clone>(list: &mut Vec<T>, mut fails: impl FnMut(&[T]) -> bool) {
    let mut stretch = list.len();
    while stretch > 0 {
        let mut at = 0;
        while at < list.len() {
            let mut shorter = list.clone();
            shorter.drain(at..(at + stretch).min(shorter.len()));
            if fails(&shorter) { *list = shorter } else { at += stretch }
        }
        stretch /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_there_once() {
        assert_eq!(Plan::all(0, &[3, 3]), [Plan::default()]);
        let plans = Plan::all(1, &[2, 3]);
        assert_eq!(plans.len(), 5);
        assert!((1..plans.len()).all(|at| !plans[..at].contains(&plans[at])));
        assert_eq!(Plan::all(2, &[2, 3]).len(), 5 * 4);
        assert_eq!(Plan::all(1, &[1, 1, 1]).len(), 3 * 2);
    }

    #[test]
    fn a_switch_happens_once_and_only_to_a_thread_that_can_go() {
        let mut plan = Plan::new(vec![Switch { from: 1, step: 4, to: 2 }]);
        assert_eq!(plan.switch(1, 3, &[1, 2]), None);
        assert_eq!(plan.switch(1, 4, &[1, 3]), None);
        assert_eq!(plan.switch(1, 4, &[1, 2]), Some(2));
        assert_eq!(plan.switch(1, 4, &[1, 2]), None);
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let mut list: Vec<u32> = (0..40).collect();
        without_some(&mut list, |list| list.contains(&7) && list.contains(&31));
        assert_eq!(list, [7, 31]);
    }
}
