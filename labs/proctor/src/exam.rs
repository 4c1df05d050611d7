//! A lab's exam: the entry to every case.

use crate::cores::OneCore;
use crate::desk::Desk;
use crate::finding::Finding;
use crate::lab::course_root;
use crate::report::Verdict;
use crate::sitting::{Outcome, Sitting};
use crate::types;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// The exam of one lab.
///
/// ```ignore
/// const EXAM: Exam = Exam::new("lab03", cfg!(feature = "solution"));
///
/// #[test]
/// fn freed_last_is_reused_first() {
///     EXAM.case("lifo", |desk| { /* … */ });
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Exam {
    lab: &'static str,
    /// Whether the reference is graded, not the learner's file.
    pub(crate) reference: bool,
}

impl Exam {
    /// The exam of the lab called `lab`; `reference` says whose code the candidate runs.
    pub const fn new(lab: &'static str, reference: bool) -> Self {
        Exam { lab, reference }
    }

    /// One case of the rule `rule`: the body of a `#[test]` function. Whatever the body finds out, is the verdict.
    pub fn case<F: FnOnce(&Desk)>(&self, rule: &str, body: F) {
        if types::is_asked() {
            return;
        }
        let name = case_name::<F>();
        Sitting::get(*self).examine(rule, name, || examine(*self, name, body));
    }

    /// A case whose rule the types carry: the programs in `tests/compile_fail` must not compile. They would not
    /// compile in an empty lab either, so this counts only together with the behaviour that they protect, `body`.
    pub fn case_with_types<F: FnOnce(&Desk)>(&self, rule: &str, body: F) {
        if types::is_asked() {
            types::run(self.dir());
        }
        let name = case_name::<F>();
        Sitting::get(*self).examine(rule, name, || {
            let outcome = examine(*self, name, body);
            if outcome.verdict.is_pass() { types::examine(self.dir(), name, outcome) } else { outcome }
        });
    }

    /// The lab's name.
    pub(crate) fn name(&self) -> &'static str {
        self.lab
    }

    /// The lab's folder: where cargo runs this program, or in the course around it. A course that was moved needs no rebuild.
    pub(crate) fn dir(&self) -> &'static Path {
        static DIR: OnceLock<PathBuf> = OnceLock::new();
        DIR.get_or_init(|| {
            let here = std::env::current_dir().unwrap_or_default();
            if here.ends_with(self.lab) && here.join("lab.toml").is_file() {
                return here;
            }
            let program = std::env::current_exe().unwrap_or_default();
            let root = course_root(&here).or_else(|| course_root(&program)).unwrap_or(&here);
            root.join("labs").join(self.lab)
        })
    }
}

fn examine(exam: Exam, name: &str, body: impl FnOnce(&Desk)) -> Outcome {
    let started = Instant::now();
    // Examiner and candidate take turns: on one core, that costs a tenth of what it costs between two.
    let core = OneCore::keep();
    let desk = Desk::new(exam, name);
    let finding = match catch_unwind(AssertUnwindSafe(|| {
        body(&desk);
        desk.expect_no_stray();
    })) {
        Ok(()) => Finding::ended(Verdict::Passed, desk.take_measured()),
        Err(panic) => match panic.downcast::<Finding>() {
            Ok(finding) => *finding,
            Err(mistake_of_the_exam) => resume_unwind(mistake_of_the_exam),
        },
    };
    let (steps, heap) = desk.remains(&finding);
    drop(core);
    Outcome {
        verdict: finding.verdict,
        heap,
        steps,
        is_shrunk: desk.is_shrunk.get(),
        playground: desk.link(),
        cost: desk.cost.get(),
        finding,
        time: started.elapsed(),
    }
}

/// The name of the test function around a closure: `exam::lifo::{{closure}}` → `lifo`.
fn case_name<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").unwrap_or(path);
    path.split_once("::").map_or(path, |(_, name)| name)
}
