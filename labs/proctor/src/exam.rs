//! A lab's exam: the entry to every case, in both processes.

use crate::desk::Desk;
use crate::sitting::Sitting;
use crate::{inside, outside, types};
use std::path::Path;

/// The exam of one lab.
///
/// ```ignore
/// const EXAM: Exam = Exam::new(env!("CARGO_MANIFEST_DIR"), cfg!(feature = "solution"));
///
/// #[test]
/// fn freed_last_is_reused_first() {
///     EXAM.case("lifo", |desk| { /* … */ });
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Exam {
    /// The lab's folder.
    pub(crate) dir: &'static str,
    /// Whether the reference is graded, not the learner's file.
    pub(crate) reference: bool,
}

impl Exam {
    /// The exam of the lab in the folder `dir`; `reference` says whose code was compiled.
    pub const fn new(dir: &'static str, reference: bool) -> Self {
        Exam { dir, reference }
    }

    /// One case of the rule `rule`: the body of a `#[test]` function.
    ///
    /// Called by the test runner, this starts the same test once more in a process of its own and judges how that
    /// ends. Called there, it runs `body`.
    pub fn case<F: FnOnce(&Desk)>(&self, rule: &str, body: F) {
        if inside::is_case() {
            inside::run(*self, body);
        }
        let sitting = Sitting::get(*self);
        sitting.settle(rule, case_name::<F>(), outside::examine);
    }

    /// A case whose rule the types carry: the programs in `tests/compile_fail` must not compile. They would not
    /// compile in an empty lab either, so this counts only together with the behaviour that they protect, `body`.
    pub fn case_with_types<F: FnOnce(&Desk)>(&self, rule: &str, body: F) {
        if types::is_asked() {
            types::run(self.dir);
        }
        if inside::is_case() {
            inside::run(*self, body);
        }
        let sitting = Sitting::get(*self);
        sitting.settle(rule, case_name::<F>(), |name| {
            let outcome = outside::examine(name);
            if outcome.verdict.is_pass() { types::examine(Path::new(self.dir), name, outcome) } else { outcome }
        });
    }
}

/// The name of the test function in which a closure stands: `exam::lifo::{{closure}}` → `lifo`.
fn case_name<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").unwrap_or(path);
    path.split_once("::").map_or(path, |(_, name)| name)
}
