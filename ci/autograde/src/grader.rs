//! Turns the text of a learner's file into a grade.

use crate::build::{self, Build};
use crate::process::{self, Finished};
use crate::{Course, pristine};
use proctor::lab::Lab;
use proctor::report::{REPORT_FILE, Report};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The last resort. Each case has its own, much shorter limit, and the first grading compiles every dependency.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What a submission earned.
#[derive(Clone, Debug)]
pub struct Grade {
    /// The results, case by case.
    pub report: Report,
    /// What the compiler said when it refused the file. No case was run then.
    pub compiler_message: Option<String>,
    /// Why some cases weren't run although the file compiles.
    pub ended_early: Option<String>,
    /// How long it took: compile, link and run.
    pub took: Duration,
}

/// Grades one source text after the other on a pristine copy of the course.
///
/// Its folder is locked for as long as it lives, so that two of them never mix.
#[derive(Debug)]
pub struct Grader {
    course: Course,
    copy: PathBuf,
    target: PathBuf,
    report_file: PathBuf,
    features: Vec<String>,
    _lock: File,
}

impl Grader {
    pub(crate) fn new(course: Course, work_dir: &Path) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("{}: {e}", work_dir.display());
        fs::create_dir_all(work_dir).map_err(cannot)?;
        let work_dir = work_dir.canonicalize().map_err(cannot)?;
        let lock = File::create(work_dir.join("lock")).map_err(cannot)?;
        lock.lock().map_err(cannot)?;
        Ok(Grader {
            course,
            copy: work_dir.join("course"),
            target: work_dir.join("target"),
            report_file: work_dir.join(format!("running-{}.json", std::process::id())),
            features: vec!["given".to_owned()],
            _lock: lock,
        })
    }

    /// Compiles the lab with these cargo features instead of `given`.
    #[must_use]
    pub fn features<S: Into<String>>(mut self, features: impl IntoIterator<Item = S>) -> Self {
        self.features = features.into_iter().map(Into::into).collect();
        self
    }

    /// Grades `text` as the learner's file of `lab`.
    ///
    /// # Errors
    /// One line: why it could not be graded. A text that doesn't compile, crashes or hangs *is* graded.
    pub fn grade(&self, lab: &Lab, text: &str) -> Result<Grade, String> {
        self.grade_cases(lab, text, &[])
    }

    /// The same, but runs only the cases with these names; all of them, if there are no names.
    ///
    /// # Errors
    /// As for [`Grader::grade`].
    pub fn grade_cases(&self, lab: &Lab, text: &str, cases: &[String]) -> Result<Grade, String> {
        let start = Instant::now();
        pristine::refresh(self.course.root(), &self.copy)?;
        let graded = self.grade_on_copy(lab, text, cases);
        // The starter stands in the copy again, whatever happened.
        pristine::refresh(self.course.root(), &self.copy)?;
        graded.map(|grade| Grade { took: start.elapsed(), ..grade })
    }

    /// The version of the compiler that grades.
    ///
    /// # Errors
    /// One line: there is no compiler.
    pub fn toolchain(&self) -> Result<String, String> {
        pristine::refresh(self.course.root(), &self.copy)?;
        let mut rustc = process::clean_command("rustc");
        let version = start(rustc.arg("--version").current_dir(&self.copy))?;
        match version.status {
            Some(status) if status.success() => Ok(version.stdout.trim().to_owned()),
            _ => Err(first_error(&version.stderr)),
        }
    }

    fn grade_on_copy(&self, lab: &Lab, text: &str, cases: &[String]) -> Result<Grade, String> {
        let only = ["--", "--exact"].into_iter().chain(cases.iter().map(String::as_str));
        let only: Vec<&str> = only.filter(|_| !cases.is_empty()).collect();
        let finished = self.cargo_test(lab, Some(text), &only)?;
        let compiler_message = match build::read(&finished.stdout) {
            Build::Succeeded => None,
            Build::Failed(message) => {
                self.check_starter_compiles(lab)?;
                Some(self.in_the_learners_paths(lab, &message))
            }
            Build::NotFinished if finished.status.is_none() => {
                return Err(format!("the build was not finished after {} minutes", LIMIT.as_secs() / 60));
            }
            Build::NotFinished => return Err(first_error(&finished.stderr)),
        };
        let report = self.take_report(lab)?;
        let cut = compiler_message.is_none() && cases.is_empty() && !report.is_complete();
        Ok(Grade { ended_early: cut.then(|| how_it_ended(&finished)), report, compiler_message, took: Duration::ZERO })
    }

    /// Tells an error of the submission from one of the course: with the starter, the course has to compile.
    fn check_starter_compiles(&self, lab: &Lab) -> Result<(), String> {
        match build::read(&self.cargo_test(lab, None, &["--no-run"])?.stdout) {
            Build::Succeeded => Ok(()),
            Build::Failed(message) => {
                let first = message.lines().next().unwrap_or_default();
                Err(format!("the course's own {} does not compile: {first}", lab.name))
            }
            Build::NotFinished => Err(format!("the course's own {} could not be compiled", lab.name)),
        }
    }

    /// Runs the lab's cases with `text`, or the starter, as the learner's file.
    fn cargo_test(&self, lab: &Lab, text: Option<&str>, more: &[&str]) -> Result<Finished, String> {
        let file = Path::new("labs").join(&lab.name).join(&lab.file);
        let to = self.copy.join(&file);
        let text = match text {
            Some(text) => text.to_owned(),
            None => fs::read_to_string(self.course.root().join(&file)).unwrap_or_default(),
        };
        fs::write(&to, text).map_err(|e| format!("{}: {e}", to.display()))?;
        let mut cargo = process::clean_command("cargo");
        cargo
            .current_dir(&self.copy)
            // Locked, but not offline: on a fresh clone the lab's dependencies are still to be fetched.
            .args(["test", "--package", &lab.name, "--test", "exam", "--locked", "--message-format=json"])
            .args(["--features", &self.features.join(",")])
            .args(more)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("INSTA_UPDATE", "no")
            .env(REPORT_FILE, &self.report_file);
        start(&mut cargo)
    }

    /// Only the verdicts are taken from what the run left behind; the points follow from `lab.toml`.
    fn take_report(&self, lab: &Lab) -> Result<Report, String> {
        if !self.report_file.exists() {
            return Ok(Report::new(lab, &BTreeMap::new(), None));
        }
        let left = Report::load(&self.report_file);
        // The next submission must not find it.
        fs::remove_file(&self.report_file).map_err(|e| format!("{}: {e}", self.report_file.display()))?;
        let left = left?;
        let results = left.cases().map(|case| (case.name.clone(), case.clone())).collect();
        Ok(Report::new(lab, &results, left.void))
    }

    /// The paths in a compiler's message as the learner knows them.
    fn in_the_learners_paths(&self, lab: &Lab, message: &str) -> String {
        message.replace(&format!("{}/", self.copy.display()), "").replace(&format!("labs/{}/", lab.name), "")
    }
}

fn start(command: &mut std::process::Command) -> Result<Finished, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    process::run(command, LIMIT).map_err(|e| format!("{program} can't be started: {e}"))
}

/// The line of `stderr` that says what is wrong.
fn first_error(stderr: &str) -> String {
    let mut lines = stderr.lines().filter(|line| !line.trim().is_empty());
    let error = lines.clone().find(|line| line.starts_with("error"));
    error.or(lines.next_back()).unwrap_or("cargo ended without a word").to_owned()
}

fn how_it_ended(finished: &Finished) -> String {
    match finished.status {
        None => format!("The cases were stopped after {} minutes.", LIMIT.as_secs() / 60),
        // Cargo's own words: `(signal: 6, SIGABRT: process abort signal)`.
        Some(_) => match finished.stderr.rsplit_once("(signal:") {
            Some((_, rest)) => {
                let signal = rest.split(')').next().unwrap_or_default();
                format!("The test program was killed before all cases had run (signal:{signal}).")
            }
            None => "The test program ended before all cases had run.".to_owned(),
        },
    }
}
