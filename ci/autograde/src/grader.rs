//! Turns the text of a learner's file into a grade.

use crate::build::{self, Build, Built};
use crate::entry::visible;
use crate::process::{self, Finished};
use crate::sandbox::{self, Protection, Sandbox};
use crate::source_rules::{self, Allowed, Held, Reading};
use crate::{Course, pristine};
use proctor::lab::Lab;
use proctor::report::{CaseResult, REPORT_FILE, Report, SEED, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The last resort. Each case has its own, much shorter limit, and the first grading compiles every dependency.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How many compilers, threads of one, or cases run at a time.
const JOBS: &str = "2";

/// What a submission earned.
#[derive(Clone, Debug)]
pub struct Grade {
    /// The results, case by case.
    pub report: Report,
    /// What has no business in a lab. Where there is some, somebody has to read the file before the points count.
    pub held: Vec<Held>,
    /// What kept the submission from doing harm.
    pub sandbox: Protection,
    /// What the compiler said when it refused the file. No case was run then.
    pub compiler_message: Option<String>,
    /// How long it took: compile, link and run.
    pub took: Duration,
}

/// The program that judges, and what is compiled beside it each time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watcher {
    /// What it was made from: the state of the course, and the features.
    of: String,
    program: PathBuf,
    /// How the names of the files begin that are made of a submission.
    made: Vec<String>,
}

/// Grades one source text after the other on a pristine copy of the course.
///
/// The submission is compiled and run in a [sandbox], and it is judged from outside: the program that starts the cases and
/// writes the report, the *watcher*, is the lab's exam compiled with the starter. The same exam compiled with the
/// submission only runs the bodies of the cases.
///
/// Its folder is locked for as long as it lives, so that two of them never mix.
#[derive(Debug)]
pub struct Grader {
    course: Course,
    copy: PathBuf,
    target: PathBuf,
    /// What a grading writes beside the target folder: its report and its temporary files. Empty between two of them.
    private: PathBuf,
    features: Vec<String>,
    seed: Option<u64>,
    helper: Option<PathBuf>,
    /// Set up when it is first needed.
    sandbox: Option<Sandbox>,
    /// The watchers of the labs that have been graded, by the labs' names.
    watchers: HashMap<String, Watcher>,
    _lock: File,
}

impl Grader {
    pub(crate) fn new(course: Course, work_dir: &Path) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("{}: {e}", work_dir.display());
        fs::create_dir_all(work_dir).map_err(cannot)?;
        let work_dir = work_dir.canonicalize().map_err(cannot)?;
        let lock = File::create(work_dir.join("lock")).map_err(cannot)?;
        if lock.try_lock().is_err() {
            eprintln!("autograde: waiting for another one that grades in {}", work_dir.display());
            lock.lock().map_err(cannot)?;
        }
        Ok(Grader {
            course,
            copy: work_dir.join("course"),
            target: work_dir.join("target"),
            private: work_dir.join("private"),
            features: vec!["given".to_owned()],
            seed: None,
            helper: None,
            sandbox: None,
            watchers: HashMap::new(),
            _lock: lock,
        })
    }

    /// Compiles the lab with these cargo features instead of `given`.
    #[must_use]
    pub fn features<S: Into<String>>(mut self, features: impl IntoIterator<Item = S>) -> Self {
        self.features = features.into_iter().map(Into::into).collect();
        self.watchers.clear();
        self
    }

    /// Starts this program, which calls [`sandbox::helper`] before all else, to confine others. Without it, that is the
    /// program `autograde`.
    #[must_use]
    pub fn helper(mut self, program: &Path) -> Self {
        self.helper = Some(program.to_path_buf());
        self
    }

    /// What keeps a submission from doing harm on this machine.
    ///
    /// # Errors
    /// One line: the sandbox can't be set up.
    pub fn protection(&mut self) -> Result<Protection, String> {
        Ok(self.sandbox()?.protection)
    }

    fn sandbox(&mut self) -> Result<Sandbox, String> {
        if let Some(sandbox) = &self.sandbox {
            return Ok(sandbox.clone());
        }
        let helper = self.helper.clone().map_or_else(sandbox::find_helper, Ok)?;
        Ok(self.sandbox.insert(Sandbox::new(&helper)?).clone())
    }

    /// Draws the workloads from this seed, instead of playing the usual ones.
    #[must_use]
    pub fn seed(mut self, seed: Option<u64>) -> Self {
        self.seed = seed;
        self
    }

    /// Grades `text` as the learner's file of `lab`.
    ///
    /// # Errors
    /// One line: why it could not be graded. A text that doesn't compile, crashes or hangs *is* graded.
    pub fn grade(&mut self, lab: &Lab, text: &str) -> Result<Grade, String> {
        self.grade_cases(lab, text, &[])
    }

    /// The same, but runs only the cases with these names; all of them, if there are no names.
    ///
    /// # Errors
    /// As for [`Grader::grade`].
    pub fn grade_cases(&mut self, lab: &Lab, text: &str, cases: &[String]) -> Result<Grade, String> {
        let start = Instant::now();
        let sandbox = self.sandbox()?;
        let state = pristine::refresh(self.course.root(), &self.copy)?;
        let watcher = self.prepare(lab, state)?;
        let reading = source_rules::read_apart(sandbox.reader(), text, Allowed::of(&lab.dir))?;
        self.clear_private()?;
        let graded = self.grade_on_copy(lab, text, &watcher, reading, cases);
        // The starter stands in the copy again, whatever happened, and nothing is left for the next submission to find.
        pristine::refresh(self.course.root(), &self.copy)?;
        let _ = fs::remove_dir_all(&self.private);
        self.forget(&watcher)?;
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

    /// Makes sure that the lab's watcher stands ready, and with it every dependency. Only here does anything come from the
    /// network, and only the course's own code is compiled.
    fn prepare(&mut self, lab: &Lab, state: u64) -> Result<Watcher, String> {
        let of = format!("{state:x} {}", self.features.join(","));
        let is_current = |watcher: &Watcher| watcher.of == of && watcher.program.is_file();
        if let Some(watcher) = self.watchers.get(&lab.name).filter(|watcher| is_current(watcher)) {
            return Ok(watcher.clone());
        }
        let file = self.target.join(format!("prepared-{}", lab.name));
        let kept = fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let watcher = match kept.filter(is_current) {
            Some(watcher) => watcher,
            None => {
                let watcher = self.make_watcher(lab, of)?;
                let json = serde_json::to_string(&watcher).map_err(|e| e.to_string());
                json.and_then(|json| fs::write(&file, json).map_err(|e| e.to_string()))
                    .map_err(|e| format!("{}: {e}", file.display()))?;
                watcher
            }
        };
        self.watchers.insert(lab.name.clone(), watcher.clone());
        Ok(watcher)
    }

    fn make_watcher(&self, lab: &Lab, of: String) -> Result<Watcher, String> {
        let mut cargo = process::clean_command("cargo");
        // Locked, but not offline: on a fresh clone the lab's dependencies are still to be fetched.
        let finished = start(self.building(&mut cargo, lab).arg("--locked"))?;
        let built = match build::read(&finished.stdout, &lab.name) {
            Build::Succeeded(built) => built,
            Build::Failed(message) => {
                let first = message.lines().next().unwrap_or_default();
                return Err(format!("the course's own {} does not compile: {first}", lab.name));
            }
            Build::NotFinished if finished.status.is_none() => {
                return Err(format!("the build was not finished after {} minutes", LIMIT.as_secs() / 60));
            }
            Build::NotFinished => return Err(first_error(&finished.stderr)),
        };
        // Two folders below the target's, where trybuild looks for the features of the program it runs in.
        let folder = self.target.join("debug").join("watchers");
        let program = folder.join(built.exam.file_name().unwrap_or_default());
        let copy = || fs::create_dir_all(&folder).and_then(|()| fs::copy(&built.exam, &program));
        copy().map_err(|e| format!("{}: {e}", program.display()))?;
        // What the compile-fail cases build on is compiled now: later, the references can't be read.
        let mut warm = process::clean_command(&program);
        warm.current_dir(self.copy.join("labs").join(&lab.name))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("PROCTOR_TYPES", "1");
        let warmed = start(&mut warm)?;
        if !warmed.status.is_some_and(|status| status.success()) {
            return Err(format!("the programs of {} that must not compile can't be checked here", lab.name));
        }
        // `lab05-probe` is a link to `deps/lab05_probe-0123…`; the other names have their hash.
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let programs = built.programs.iter().map(|path| format!("{}-", stem(path).replace('-', "_")));
        let made = built.files.iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("deps")));
        let made = made.map(|path| stem(path).trim_start_matches("lib").to_owned()).chain(programs).collect();
        Ok(Watcher { of, program, made })
    }

    fn grade_on_copy(
        &mut self,
        lab: &Lab,
        text: &str,
        watcher: &Watcher,
        mut reading: Reading,
        cases: &[String],
    ) -> Result<Grade, String> {
        let protection = self.protection()?;
        let ungraded = |message: Option<String>, held: Vec<Held>| Grade {
            report: Report::new(lab, &BTreeMap::new(), None),
            held,
            sandbox: protection.clone(),
            compiler_message: message,
            took: Duration::ZERO,
        };
        if text.len() > source_rules::MAX_BYTES {
            let message = format!("error: the file has {} bytes: it was not compiled", text.len());
            return Ok(ungraded(Some(message), reading.held));
        }
        let built = match self.build(lab, text)? {
            Ok(built) => built,
            Err(message) => return Ok(ungraded(Some(self.in_the_learners_paths(lab, &message)), reading.held)),
        };
        // The compiler reads it, the rules can't: then somebody has to.
        reading.held.extend(reading.unreadable);
        let finished = self.run(lab, watcher, &built, cases)?;
        let report = self.take_report(lab)?;
        // A submission has no way to end the watcher. A case that wasn't run is the machine's fault, and costs no points.
        let wanted = |case: &CaseResult| cases.is_empty() || cases.contains(&case.name);
        if let Some(case) = report.cases().find(|case| wanted(case) && case.verdict == Verdict::NotRun) {
            return Err(format!("the case {} was not run: {}", case.name, how_it_ended(&finished)));
        }
        Ok(Grade { report, ..ungraded(None, reading.held) })
    }

    /// Compiles the lab with `text` as the learner's file: the programs, or what the compiler says.
    fn build(&mut self, lab: &Lab, text: &str) -> Result<Result<Built, String>, String> {
        let to = self.copy.join("labs").join(&lab.name).join(&lab.file);
        fs::write(&to, text).map_err(|e| format!("{}: {e}", to.display()))?;
        let finished = self.build_confined(lab)?;
        let message = match build::read(&finished.stdout, &lab.name) {
            Build::Succeeded(built) => return Ok(Ok(built)),
            Build::Failed(message) if !message.is_empty() => return Ok(Err(message)),
            // The sandbox's limits end a compiler with other signals.
            _ if finished.status.is_none() || finished.stderr.contains("(signal: 9,") => {
                return Err("the compiler was stopped from outside: is the machine out of memory?".to_owned());
            }
            _ => why_it_gave_up(&finished),
        };
        // Nothing of the file was complained about. If the starter fares no better, it is no fault of the submission.
        let starter = self.course.root().join("labs").join(&lab.name).join(&lab.file);
        fs::copy(&starter, &to).map_err(|e| format!("{}: {e}", to.display()))?;
        match build::read(&self.build_confined(lab)?.stdout, &lab.name) {
            Build::Succeeded(_) => Ok(Err(message)),
            Build::Failed(_) | Build::NotFinished => Err(format!("{} can't be compiled here: {message}", lab.name)),
        }
    }

    fn build_confined(&mut self, lab: &Lab) -> Result<Finished, String> {
        let mut cargo = self.confined(Path::new("cargo"))?;
        start(self.building(&mut cargo, lab).args(["--locked", "--offline"]))
    }

    /// Adds to `cargo` what makes it compile the lab's exam.
    fn building<'a>(&self, cargo: &'a mut Command, lab: &Lab) -> &'a mut Command {
        cargo
            .current_dir(&self.copy)
            .args(["test", "--package", &lab.name, "--test", "exam", "--no-run", "--message-format=json"])
            .args(["--features", &self.features.join(",")])
            .env("CARGO_TARGET_DIR", &self.target)
            // What is left for the next compilation would be left for the next submission.
            .env("CARGO_INCREMENTAL", "0")
            // The compiler's threads take address space, and that is limited.
            .env("CARGO_BUILD_JOBS", JOBS)
            .env("CARGO_TERM_COLOR", "never")
    }

    /// Runs the lab's cases in the submission's exam, under the eyes of the watcher.
    fn run(&mut self, lab: &Lab, watcher: &Watcher, built: &Built, cases: &[String]) -> Result<Finished, String> {
        let sandbox = self.sandbox()?;
        let labs = self.copy.join("labs");
        let data = [labs.join(&lab.name).join("tests/snapshots"), labs.join("traces")];
        let case = sandbox.words(&sandbox.case(&built.exam, &built.programs, &data), &built.exam);
        let mut command = self.confined(&watcher.program)?;
        command
            .current_dir(labs.join(&lab.name))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("INSTA_UPDATE", "no")
            // There is a worker for each processor: if each of them ran a case on each, that would be too many at once.
            .env("RUST_TEST_THREADS", JOBS)
            .env("PROCTOR_CASES", case.join(&OsString::from("\n")))
            .env(REPORT_FILE, self.report_file());
        if let Some(seed) = self.seed {
            command.env(SEED, seed.to_string());
        }
        if !cases.is_empty() {
            command.arg("--exact").args(cases);
        }
        start(&mut command)
    }

    /// A command that can reach the copy, the toolchain and the target folder, and nothing else.
    fn confined(&mut self, program: &Path) -> Result<Command, String> {
        let sandbox = self.sandbox()?;
        let policy = sandbox.build(&self.copy, &[&self.target, &self.private]);
        let mut command = process::confined_command(&sandbox.words(&policy, program));
        command.env("TMPDIR", &self.private);
        Ok(command)
    }

    /// Removes what was compiled of the submission: the next one can read the target folder.
    fn forget(&self, watcher: &Watcher) -> Result<(), String> {
        let deps = self.target.join("debug/deps");
        let is_made_of_it = |name: &str| {
            let name = name.strip_prefix("lib").unwrap_or(name);
            watcher.made.iter().any(|start| name.starts_with(start))
        };
        let found = fs::read_dir(&deps).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in found.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_made_of_it)) {
            fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(())
    }

    fn report_file(&self) -> PathBuf {
        self.private.join("report.json")
    }

    fn clear_private(&self) -> Result<(), String> {
        let _ = fs::remove_dir_all(&self.private);
        fs::create_dir_all(&self.private).map_err(|e| format!("{}: {e}", self.private.display()))
    }

    /// Only the verdicts are taken from what the run left behind; the points follow from `lab.toml`.
    fn take_report(&self, lab: &Lab) -> Result<Report, String> {
        let file = self.report_file();
        if !file.exists() {
            return Ok(Report::new(lab, &BTreeMap::new(), None));
        }
        let left = Report::load(&file)?;
        let results =
            left.cases().map(|case| (case.name.clone(), CaseResult { screen: visible(&case.screen), ..case.clone() }));
        Ok(Report { seed: self.seed, ..Report::new(lab, &results.collect(), left.void) })
    }

    /// The paths in a compiler's message as the learner knows them.
    fn in_the_learners_paths(&self, lab: &Lab, message: &str) -> String {
        visible(message).replace(&format!("{}/", self.copy.display()), "").replace(&format!("labs/{}/", lab.name), "")
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
        None => format!("the test program was stopped after {} minutes", LIMIT.as_secs() / 60),
        Some(status) if status.signal().is_some() => format!("the test program was killed ({status})"),
        // The message of a panic stands in front of the tests that failed.
        Some(_) => {
            let words = finished.stdout.lines().skip_while(|line| !line.starts_with("thread '")).nth(1);
            words.unwrap_or("the test program doesn't say why").to_owned()
        }
    }
}

/// Why there is no word of the compiler's about the file.
fn why_it_gave_up(finished: &Finished) -> String {
    let ended = finished.stderr.rsplit_once("(signal:").and_then(|(_, rest)| rest.split(')').next());
    match ended {
        Some(signal) => format!("error: the compiler ran into a limit or crashed (signal:{signal})"),
        None => format!("error: the compiler gave up: {}", first_error(&finished.stderr)),
    }
}
