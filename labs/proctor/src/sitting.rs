//! One run of a lab's test program: keeps the results of its cases, and speaks when the test runner is done.

use crate::exam::Exam;
use crate::finding::Finding;
use crate::lab::{Lab, course_root};
use crate::playground;
use crate::report::{self, CaseResult, Cost, Report, Verdict};
use crate::screen;
use crate::seed;
use crate::terminal::{self, wrap};
use candidate::wire::REPORT_FILE;
use heapkit::image::Image;
use heapkit::journal::Step;
use heapkit::referee::Kind;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How a case ended, with all that explains it.
pub struct Outcome {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence or more; for a case that passed, what it measured.
    pub finding: Finding,
    /// What had been done.
    pub steps: Vec<Step>,
    /// The heap to show.
    pub heap: Option<Image>,
    /// Whether the steps are the shortest that could be found.
    pub is_shrunk: bool,
    /// The story as a link to the book's playground, if that can play it.
    pub playground: Option<String>,
    /// What it cost, if the case has counted that.
    pub cost: Option<Cost>,
    /// How long the case took.
    pub time: Duration,
}

impl Outcome {
    /// What kind of failure it was: as the referee calls it, else as [`Verdict::kind`] does.
    pub fn kind(&self) -> Option<&'static str> {
        self.finding.kind.map(Kind::as_str).or(self.verdict.kind())
    }
}

/// The results so far.
pub struct Sitting {
    exam: Exam,
    lab: Lab,
    results: Mutex<Results>,
}

#[derive(Default)]
struct Results {
    cases: BTreeMap<String, CaseResult>,
    costs: BTreeMap<String, Cost>,
}

static SITTING: OnceLock<Result<Sitting, String>> = OnceLock::new();

impl Sitting {
    /// The sitting of this process.
    pub fn get(exam: Exam) -> &'static Sitting {
        let sitting = SITTING.get_or_init(|| {
            let lab = Lab::load(exam.dir()).map_err(|e| e.to_string())?;
            seed::check()?;
            set_up_insta(exam.dir());
            // SAFETY: the function is `extern "C"` and takes nothing.
            unsafe { libc::atexit(at_exit) };
            Ok(Sitting { exam, lab, results: Mutex::default() })
        });
        sitting.as_ref().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Has a case examined, keeps the result, and fails the test if it did not pass.
    pub fn examine(&self, rule_id: &str, name: &'static str, examine: impl FnOnce() -> Outcome) {
        let rule = self.lab.rule_of_case(name).filter(|rule| rule.id == rule_id);
        let Some(rule) = rule else { panic!("lab.toml lists no case `{name}` under a rule `{rule_id}`") };
        let outcome = examine();
        let passed = outcome.verdict.is_pass();
        let screen = match outcome.verdict {
            Verdict::Passed | Verdict::Skipped => outcome.finding.what.clone(),
            _ => screen::failure(&self.lab, rule, name, &outcome, terminal::width()),
        };
        if !passed {
            let line = screen::in_one_line(&self.lab, rule, &outcome);
            print!("{}", wrap("", &line, terminal::width()));
        }
        let result = CaseResult {
            name: name.to_owned(),
            verdict: outcome.verdict,
            kind: outcome.kind().map(str::to_owned),
            seconds: outcome.time.as_secs_f64(),
            screen,
            playground: outcome.playground.filter(|_| !passed),
        };
        self.keep(result, outcome.cost.filter(|_| passed));
        if !passed {
            // Fails the test without the message of a panic: what there is to say has been said.
            std::panic::resume_unwind(Box::new(()));
        }
    }

    fn keep(&self, result: CaseResult, cost: Option<Cost>) {
        let mut results = self.results();
        results.costs.extend(cost.map(|cost| (result.name.clone(), cost)));
        results.cases.insert(result.name.clone(), result);
        if let Some(path) = std::env::var_os(REPORT_FILE)
            && let Err(e) = self.report(&results).save(Path::new(&path))
        {
            panic!("{e}");
        }
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, results: &Results) -> Report {
        let report = Report::new(&self.lab, &results.cases, force_pass());
        Report { seed: seed::of_this_run(), costs: results.costs.clone(), ..report }
    }

    /// Prints the table, and the screen of the first rule that a case of this run broke.
    fn close(&self) {
        let report = self.report(&self.results());
        let asked_for = std::env::var_os(REPORT_FILE).is_some();
        let latest: Option<PathBuf> = report::latest(&self.lab.name);
        if let (Some(path), false, false, true) = (latest, asked_for, self.exam.reference, report.is_complete()) {
            // For `cargo lab` alone: without it, the run is none the worse.
            let _ = report.save(&path);
        }
        let width = terminal::width();
        let mut text = screen::table(&self.lab, &report, self.exam.reference, width);
        let failed = report.cases().filter(|case| !case.verdict.is_pass() && case.verdict != Verdict::NotRun);
        // What is written and wrong comes before what isn't written yet.
        let wrong = failed.clone().find(|case| case.verdict != Verdict::NotWritten);
        let first = wrong.or_else(|| failed.clone().next());
        if report.is_complete() && report.cases().all(|case| case.verdict == Verdict::NotWritten) {
            let red = "Red at the start is normal: nothing is written yet. This is the first thing to do:";
            text.push_str(&format!("\n{}", wrap("", red, width)));
        }
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = |text: &str| {
            if coloured { screen::coloured(text) } else { text.to_owned() }
        };
        let mut text = paint(&text);
        if let Some(case) = first {
            text.push('\n');
            text.push_str(&paint(&case.screen));
            let has_playground = |course: &Path| course.join(playground::PROGRAM).is_file();
            if course_root(self.exam.dir()).is_some_and(has_playground) {
                text.push_str(&paint(&screen::link(case, width)));
            }
            let more = failed.count() - 1;
            if more > 0 {
                let more = format!("{more} more to go. To see another one: cargo test -p {} NAME", self.lab.name);
                text.push_str(&format!("\n{}", wrap("", &more, width)));
            }
        }
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stdout().flush();
    }
}

extern "C" fn at_exit() {
    if let Some(Ok(sitting)) = SITTING.get() {
        sitting.close();
    }
}

/// A variable that makes failing comparisons pass, if one is set: then nothing counts.
fn force_pass() -> Option<String> {
    let set = |name: &str, values: &[&str]| {
        let value = std::env::var(name).ok()?;
        values.contains(&value.as_str()).then(|| format!("{name}={value} makes a failing comparison pass."))
    };
    set("INSTA_UPDATE", &["always", "force", "unseen", "1"]).or_else(|| set("TRYBUILD", &["overwrite"]))
}

/// insta compares, and says nothing: what there is to say, the case's screen says.
fn set_up_insta(lab: &Path) {
    let set = |name: &str, value: &std::ffi::OsStr| {
        // SAFETY: every case waits for this before it does anything, so no other thread reads the environment.
        unsafe { std::env::set_var(name, value) };
    };
    if std::env::var_os("INSTA_UPDATE").is_none() {
        // A learner's failing picture is shown, not left beside the snapshot.
        set("INSTA_UPDATE", "no".as_ref());
    }
    set("INSTA_OUTPUT", "none".as_ref());
    // SAFETY: as above. This one would have every picture pass.
    unsafe { std::env::remove_var("INSTA_FORCE_PASS") };
    // Otherwise insta asks cargo, which takes longer than the case.
    if let Some(root) = course_root(lab) {
        set("INSTA_WORKSPACE_ROOT", root.as_os_str());
    }
    let ordinary = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_insta = info.location().is_some_and(|location| location.file().contains("insta-"));
        if !is_insta {
            ordinary(info);
        }
    }));
}
