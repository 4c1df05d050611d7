//! Plays workloads that are too long to be looked at step by step: traces of real programs, ten thousand chunks.

use crate::desk::{Desk, System, words_of};
use crate::finding::Finding;
use crate::play::{Memory, Stage};
use crate::process::Ended;
use candidate::wire::Words;
use heapkit::image::ListHead;
use heapkit::referee::{Payloads, check_joined};
use heapkit::workload::Op;
use std::fmt::Display;
use std::rc::Rc;

/// So many operations are asked for in one question.
const AT_ONCE: usize = 64;
/// After so many of them, on average, the whole heap is looked at. When, is drawn: what the candidate says about its lists in between
/// has to be true at any moment.
const NOW_AND_THEN: usize = 2048;

/// A long workload, and what it is played on. Compiled once, and not for each lab's questions.
struct Long<'a> {
    memory: Memory,
    start: Vec<u64>,
    play: &'a dyn Fn(&[Op]) -> Vec<u64>,
    lists: fn(&[usize]) -> Vec<ListHead>,
    ops: &'a [Op],
}

/// What is done before each few operations: it sees the system, the lists, and the operations.
type Look<'a> = dyn FnMut(&System, &[ListHead], &[Op]) + 'a;

impl Desk {
    /// Plays operations on a fresh malloc that are too many to be looked at one by one. What a program would notice is checked after
    /// each few of them, and the whole heap now and then. `play` is the question for a few; its answer is where the block of each
    /// then is, and the words that lead to the lists. `look` is called before each few. What fails, ends the case: at the very
    /// operation, if it fails again when they are asked for one by one.
    pub fn play_long<Q: Words + 'static>(
        &self,
        stage: &Stage<'_, Q>,
        play: fn(Vec<Op>) -> Q,
        ops: &[Op],
        mut look: impl FnMut(&System, &[ListHead], &[Op]),
    ) -> Rc<System> {
        let play = |few: &[Op]| words_of(&play(few.to_vec()));
        let long = Long { memory: stage.memory, start: words_of(&stage.start), play: &play, lists: stage.lists, ops };
        self.play_in_parts(&long, AT_ONCE, &mut look).unwrap_or_else(|finding| {
            self.new_candidate();
            let again = self.play_in_parts(&long, 1, &mut |_, _, _| {});
            self.fail(*again.err().unwrap_or(finding))
        })
    }

    /// Ends the case unless the candidate says that it has served `ops` on Linux: the examiner can't look into that memory, nor hear the
    /// calls. The answer to `question` is the operation at which a program would have noticed something, and what.
    pub fn expect_served_on_linux(&self, question: &(impl Words + Display), ops: &[Op]) {
        self.draws_no_heap();
        let show = |noticed: &Option<(usize, String)>| if noticed.is_none() { "served" } else { "not served" }.into();
        let Some((step, what)) = self.ask_and_show(question, show) else { return };
        let op = ops.get(step).map_or("freeing what is left".into(), |op| op.in_words());
        let seen = format!("step {}: {op}", step + 1);
        self.fail(Finding::new(what).expected("what the simulated system was served", seen));
    }

    fn play_in_parts(&self, long: &Long<'_>, at_once: usize, look: &mut Look<'_>) -> Result<Rc<System>, Box<Finding>> {
        self.attempt(|| {
            let system = self.set_up(long.memory, &long.start);
            let mut program = Payloads::new(system.arena());
            let (mut lists, mut rng) = (Vec::new(), self.rng());
            let mut until_look = rng.within(&(1..=2 * NOW_AND_THEN));
            for few in long.ops.chunks(at_once) {
                look(&system, &lists, few);
                self.journal.begin(match few {
                    [op] => op.in_words(),
                    _ => format!("{} operations", few.len()),
                });
                let run = |few: &[Op]| {
                    let (places, heads): (Vec<Option<usize>>, Vec<usize>) = self.put_words(&(long.play)(few));
                    lists = (long.lists)(&heads);
                    self.lists_are(lists.clone());
                    if places.len() == few.len() { places } else { self.fail(self.explain(&Ended::Nonsense)) }
                };
                program.play_at_once(few, run).map_err(|violation| Box::new(Finding::from(violation)))?;
                self.journal.end("");
                if let Some(misuse) = system.misuse() {
                    return Err(Box::new(Finding::new(misuse)));
                }
                until_look = until_look.saturating_sub(few.len());
                if until_look == 0 {
                    until_look = rng.within(&(1..=2 * NOW_AND_THEN));
                    self.expect_a_heap_in_order();
                }
            }
            self.expect_a_heap_in_order();
            Ok(system)
        })
    }

    /// Ends the case unless the heap can be read from end to end, agrees with its lists, and has no two free neighbours.
    pub fn expect_a_heap_in_order(&self) {
        let image = self.image();
        let defects = image.defects.iter().cloned().chain(image.list_defects());
        if let Some(defect) = defects.into_iter().next() {
            let what = "The heap or its lists no longer make sense.";
            self.fail(Finding::new(what).mark(defect.at, defect.what));
        }
        check_joined(&image).unwrap_or_else(|violation| self.fail(violation.into()));
    }
}
