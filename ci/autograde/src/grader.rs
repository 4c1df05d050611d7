//! Turns the text of a learner's file into a grade.

use crate::build::{self, Build, Kind};
use crate::entry::visible;
use crate::process::{self, Finished};
use crate::sandbox::{self, Policy, Protection, Sandbox};
use crate::source_rules::{self, Held};
use crate::{Course, Error, pristine};
use ignore::{DirEntry as WalkEntry, WalkBuilder};
use proctor::lab::Lab;
use proctor::report::{CaseResult, Report, Verdict};
use proctor::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::iter;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// The last resort. The examiner never waits long for a candidate, and the first grading compiles every dependency.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How many compilers, threads of one, or cases run at a time.
const JOBS: &str = "2";

/// What a submission earned.
#[derive(Clone, Debug)]
pub struct Grade {
    /// The results, case by case.
    pub report: Report,
    /// What acts while the file is compiled. Where there is some, somebody has to read the file before the points count.
    pub held: Vec<Held>,
    /// What kept the submission from doing harm.
    pub sandbox: Protection,
    /// What the compiler said when it refused the file. No case was run then.
    pub compiler_message: Option<String>,
    /// How long it took: compile, link and run.
    pub took: Duration,
}

/// A lab's exam, the program that judges.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Exam {
    /// What it was made from: the state of the course, and the features.
    of: String,
    program: PathBuf,
}

/// What becomes of a learner's file in the hands of the compiler.
enum Compiled {
    /// This program: the candidate.
    Candidate(PathBuf),
    /// Nothing; it says why.
    Refused(String),
}

/// Grades one source text after the other on a pristine copy of the course.
///
/// A submission is compiled and run in a [sandbox], and it is judged from outside. The lab's *exam* is made of the course alone, once,
/// in a folder where no submission's build can write. The *candidate* is the program with the submission in it: the exam starts it for
/// each case, asks it, and looks at the memory they share.
///
/// Its folder is locked for as long as it lives, so that two of them never mix.
#[derive(Debug)]
pub struct Grader {
    course: Course,
    copy: PathBuf,
    target: PathBuf,
    /// The target folder of the exams.
    exams: PathBuf,
    /// What a grading writes beside the target folder: its report and its temporary files. Empty between two of them.
    private: PathBuf,
    features: Vec<String>,
    seed: Option<u64>,
    helper: Option<PathBuf>,
    /// Set up when it is first needed.
    sandbox: Option<Sandbox>,
    /// The exams of the labs that have been graded, by the labs' names.
    ready: HashMap<String, Exam>,
    /// Where programs are looked for: first in the toolchain of the course. Left to rustup, it would be another one where the course's
    /// `rust-toolchain.toml` can't be read.
    path: OsString,
    /// Where that toolchain is.
    toolchain: PathBuf,
    _lock: File,
}

impl Grader {
    pub(crate) fn new(course: Course, work_dir: &Path) -> Result<Self, Error> {
        let cannot = Error::at(work_dir);
        fs::create_dir_all(work_dir).map_err(&cannot)?;
        let work_dir = work_dir.canonicalize().map_err(&cannot)?;
        let lock = File::create(work_dir.join("lock")).map_err(&cannot)?;
        if lock.try_lock().is_err() {
            eprintln!("autograde: waiting for another one that grades in {}", work_dir.display());
            lock.lock().map_err(&cannot)?;
        }
        Ok(Grader {
            course,
            copy: work_dir.join("course"),
            target: work_dir.join("target"),
            exams: work_dir.join("exams"),
            private: work_dir.join("private"),
            features: vec!["given".to_owned()],
            seed: None,
            helper: None,
            sandbox: None,
            ready: HashMap::new(),
            path: OsString::new(),
            toolchain: PathBuf::new(),
            _lock: lock,
        })
    }

    /// Another grader, which works in its own folder and has the exams from this one.
    pub(crate) fn another(&self, work_dir: &Path) -> Result<Self, Error> {
        let another = Grader::new(self.course.clone(), work_dir)?;
        Ok(Grader {
            exams: self.exams.clone(),
            features: self.features.clone(),
            seed: self.seed,
            helper: self.helper.clone(),
            ..another
        })
    }

    /// Compiles the lab with these cargo features instead of `given`.
    #[must_use]
    pub fn features<S: Into<String>>(mut self, features: impl IntoIterator<Item = S>) -> Self {
        self.features = features.into_iter().map(Into::into).collect();
        self.ready.clear();
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
    pub fn protection(&mut self) -> Result<Protection, Error> {
        Ok(self.sandbox()?.protection)
    }

    fn sandbox(&mut self) -> Result<Sandbox, Error> {
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
    pub fn grade(&mut self, lab: &Lab, text: &str) -> Result<Grade, Error> {
        self.grade_cases(lab, text, &[])
    }

    /// The same, but runs only the cases with these names; all of them, if there are no names.
    ///
    /// # Errors
    /// As for [`Grader::grade`].
    pub fn grade_cases(&mut self, lab: &Lab, text: &str, cases: &[String]) -> Result<Grade, Error> {
        let start = Instant::now();
        let state = pristine::refresh(self.course.root(), &self.copy)?;
        let exam = self.prepare(lab, state)?;
        self.clear_private()?;
        let stamp = self.private.join("begun");
        let begun = File::create(&stamp).and_then(|file| file.metadata()?.modified());
        let begun = begun.map_err(Error::at(&stamp))?;
        let graded = self.grade_on_copy(lab, text, &exam, cases);
        // The starter is in the copy again, whatever happened, and nothing is left for the next submission to find.
        pristine::refresh(self.course.root(), &self.copy)?;
        let _ = fs::remove_dir_all(&self.private);
        remove_newer(&self.target, begun)?;
        graded.map(|grade| Grade { took: start.elapsed(), ..grade })
    }

    /// The version of the compiler that grades.
    ///
    /// # Errors
    /// One line: there is no compiler.
    pub fn toolchain(&self) -> Result<String, Error> {
        pristine::refresh(self.course.root(), &self.copy)?;
        self.ask_rustc(&["--version"])
    }

    fn ask_rustc(&self, question: &[&str]) -> Result<String, Error> {
        let mut rustc = process::clean_command("rustc");
        let answer = start(rustc.args(question).current_dir(&self.copy))?;
        match answer.status {
            Some(status) if status.success() => Ok(answer.stdout.trim().to_owned()),
            _ => Err(Error::Failed { said: first_error(&answer.stderr) }),
        }
    }

    /// Makes sure that the lab's exam is there, and everything that candidates are made of besides the learner's file. Only here does
    /// anything come from the network, and only the course's own code is compiled.
    fn prepare(&mut self, lab: &Lab, state: u64) -> Result<Exam, Error> {
        // A program remembers where it was compiled, and a checkout may have been moved or copied since.
        let of = format!("{state:x} {} {}", self.features.join(","), self.exams.display());
        if let Some(exam) = self.ready.get(&lab.name).filter(|exam| exam.of == of && exam.program.is_file()) {
            return Ok(exam.clone());
        }
        self.toolchain = PathBuf::from(self.ask_rustc(&["--print=sysroot"])?);
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(iter::once(self.toolchain.join("bin")).chain(std::env::split_paths(&usual)));
        self.path = path.map_err(io::Error::other).map_err(Error::at(&self.toolchain))?;
        let name = format!("prepared-{}", lab.name);
        let kept: Option<Exam> = read_json(&self.exams.join(&name));
        let exam = match kept.filter(|exam| exam.of == of && exam.program.is_file()) {
            Some(exam) => exam,
            None => {
                let program = self.make(lab, Kind::Test)?;
                let exam = Exam { of: of.clone(), program };
                write_json(&self.exams.join(&name), &exam)?;
                exam
            }
        };
        // Compiled elsewhere, it would be compiled again here.
        let warm_of = format!("{of} {}", self.copy.display());
        if read_json(&self.target.join(&name)) != Some(warm_of.clone()) {
            self.make(lab, Kind::Bin)?;
            self.warm_types(lab, &exam)?;
            self.try_starter(lab)?;
            write_json(&self.target.join(&name), &warm_of)?;
        }
        self.ready.insert(lab.name.clone(), exam.clone());
        Ok(exam)
    }

    /// Compiles the course's own exam, or its candidate with the starter.
    fn make(&self, lab: &Lab, kind: Kind) -> Result<PathBuf, Error> {
        let mut cargo = self.command("cargo");
        // Locked, but not offline: on a fresh clone the lab's dependencies are still to be fetched.
        let finished = start(self.building(&mut cargo, lab, kind).arg("--locked"))?;
        match build::read(&finished.stdout, kind) {
            Build::Succeeded(program) => Ok(program),
            Build::Refused(message) | Build::Failed(message) => {
                let said = message.lines().next().unwrap_or_default().to_owned();
                Err(Error::NotCompiled { lab: lab.name.clone(), said })
            }
            Build::NotFinished if finished.status.is_none() => {
                Err(Error::BuildTooLong { minutes: LIMIT.as_secs() / 60 })
            }
            Build::NotFinished => Err(Error::Failed { said: first_error(&finished.stderr) }),
        }
    }

    /// Compiles what the programs that must not compile are built on: later, the references can't be read.
    fn warm_types(&self, lab: &Lab, exam: &Exam) -> Result<(), Error> {
        let mut warm = self.command(&exam.program);
        warm.current_dir(self.lab_dir(lab)).env("CARGO_TARGET_DIR", &self.target).env(wire::TYPES, "1");
        match start(&mut warm)?.status {
            Some(status) if status.success() => Ok(()),
            _ => Err(Error::NoTypes { lab: lab.name.clone() }),
        }
    }

    /// Compiles the starter as a submission is compiled, with a line more so that it is done. If that fails, no submission can be
    /// compiled here, and none may lose its points for it.
    fn try_starter(&mut self, lab: &Lab) -> Result<(), Error> {
        self.clear_private()?;
        let to = self.lab_dir(lab).join(&lab.file);
        let text = fs::read_to_string(&to).map_err(Error::at(&to))?;
        fs::write(&to, text + "\n// A line more.\n").map_err(Error::at(&to))?;
        let finished = self.compile_confined(lab)?;
        let said = match build::read(&finished.stdout, Kind::Bin) {
            Build::Succeeded(_) => return Ok(()),
            Build::Refused(message) | Build::Failed(message) if !message.is_empty() => message,
            _ => why_it_gave_up(&finished),
        };
        Err(not_compiled_here(lab, &said))
    }

    fn grade_on_copy(&mut self, lab: &Lab, text: &str, exam: &Exam, cases: &[String]) -> Result<Grade, Error> {
        let (mut held, unreadable) = match source_rules::read(text) {
            Ok(held) => (held, None),
            Err(unreadable) => (Vec::new(), Some(unreadable)),
        };
        let protection = self.protection()?;
        let grade = |report, held, compiler_message| Grade {
            report,
            held,
            sandbox: protection,
            compiler_message,
            took: Duration::ZERO,
        };
        let candidate = match self.compile(lab, text)? {
            Compiled::Candidate(program) => program,
            Compiled::Refused(message) => {
                let message = self.in_the_learners_paths(lab, &message);
                return Ok(grade(Report::new(lab, &BTreeMap::new(), None), held, Some(message)));
            }
        };
        // The compiler can read it: then somebody has to.
        held.extend(unreadable);
        let finished = self.run(lab, exam, &candidate, cases)?;
        let report = self.take_report(lab)?;
        // A submission has no way to end the examiner. A case that wasn't run is the machine's fault, and costs no points.
        let wanted = |case: &CaseResult| cases.is_empty() || cases.contains(&case.name);
        if let Some(case) = report.cases().find(|case| wanted(case) && case.verdict == Verdict::NotRun) {
            return Err(Error::NotRun { case: case.name.clone(), ended: how_it_ended(&finished) });
        }
        Ok(grade(report, held, None))
    }

    /// Compiles the candidate with `text` as the learner's file.
    fn compile(&mut self, lab: &Lab, text: &str) -> Result<Compiled, Error> {
        if text.len() > source_rules::MAX_BYTES {
            return Ok(Compiled::Refused(format!("error: the file has {} bytes: it was not compiled", text.len())));
        }
        let to = self.lab_dir(lab).join(&lab.file);
        fs::write(&to, text).map_err(Error::at(&to))?;
        let finished = self.compile_confined(lab)?;
        let message = match build::read(&finished.stdout, Kind::Bin) {
            Build::Succeeded(program) => return Ok(Compiled::Candidate(program)),
            Build::Refused(message) => return Ok(Compiled::Refused(message)),
            // A linker that misses a function, or one that has no room to write.
            Build::Failed(message) if !message.is_empty() => message,
            // The sandbox's limits end a compiler with other signals.
            _ if finished.status.is_none() || finished.stderr.contains("(signal: 9,") => {
                return Err(Error::CompilerKilled);
            }
            _ => why_it_gave_up(&finished),
        };
        // It may be no fault of the file. If the starter fares no better, it is no fault of the submission.
        let starter = self.course.root().join("labs").join(&lab.name).join(&lab.file);
        fs::copy(&starter, &to).map_err(Error::at(&to))?;
        match build::read(&self.compile_confined(lab)?.stdout, Kind::Bin) {
            Build::Succeeded(_) => Ok(Compiled::Refused(message)),
            Build::Refused(_) | Build::Failed(_) | Build::NotFinished => Err(not_compiled_here(lab, &message)),
        }
    }

    fn compile_confined(&mut self, lab: &Lab) -> Result<Finished, Error> {
        let policy = self.sandbox()?.build(&self.copy, &self.toolchain, &[&self.target, &self.private]);
        let mut cargo = self.confined(&policy, Path::new("cargo"))?;
        start(self.building(&mut cargo, lab, Kind::Bin).args(["--locked", "--offline"]))
    }

    /// Adds to `cargo` what makes it compile the lab's exam or its candidate.
    fn building<'a>(&self, cargo: &'a mut Command, lab: &Lab, kind: Kind) -> &'a mut Command {
        let candidate = format!("{}-candidate", lab.name);
        let (program, target) = match kind {
            Kind::Test => (["test", "--no-run", "--test=exam"], &self.exams),
            _ => (["build", "--bin", &candidate], &self.target),
        };
        cargo
            .current_dir(&self.copy)
            .args(program)
            .args(["--package", &lab.name, "--message-format=json", "--features", &self.features.join(",")])
            .env("CARGO_TARGET_DIR", target)
            // What is left for the next compilation would be left for the next submission.
            .env("CARGO_INCREMENTAL", "0")
            // The compiler's threads take address space, and that is limited.
            .env("CARGO_BUILD_JOBS", JOBS)
            .env("CARGO_TERM_COLOR", "never")
    }

    /// Runs the lab's cases: the exam asks the candidate.
    fn run(&mut self, lab: &Lab, exam: &Exam, candidate: &Path, cases: &[String]) -> Result<Finished, Error> {
        let sandbox = self.sandbox()?;
        let words = sandbox.words(&sandbox.candidate(candidate), candidate);
        let mut policy = sandbox.examiner(&self.copy, &self.toolchain, &[&self.target, &self.private]);
        // Beside the program, trybuild looks for its features.
        policy.run.push(self.exams.clone());
        let mut command = self.confined(&policy, &exam.program)?;
        command
            .current_dir(self.lab_dir(lab))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("INSTA_UPDATE", "no")
            // There is a worker for each processor: if each of them ran a case on each, that would be too many at once.
            .env("RUST_TEST_THREADS", JOBS)
            .env(wire::CANDIDATE, words.join(&OsString::from("\n")))
            .env(wire::REPORT_FILE, self.report_file());
        if let Some(seed) = self.seed {
            command.env(wire::SEED, seed.to_string());
        }
        if !cases.is_empty() {
            command.arg("--exact").args(cases);
        }
        start(&mut command)
    }

    /// A command that can do what `policy` allows, and nothing else.
    fn confined(&mut self, policy: &Policy, program: &Path) -> Result<Command, Error> {
        let mut command = process::confined_command(&self.sandbox()?.words(policy, program));
        command.env("TMPDIR", &self.private).env("PATH", &self.path);
        Ok(command)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = process::clean_command(program);
        command.env("PATH", &self.path);
        command
    }

    fn lab_dir(&self, lab: &Lab) -> PathBuf {
        self.copy.join("labs").join(&lab.name)
    }

    fn report_file(&self) -> PathBuf {
        self.private.join("report.json")
    }

    fn clear_private(&self) -> Result<(), Error> {
        let _ = fs::remove_dir_all(&self.private);
        fs::create_dir_all(&self.private).map_err(Error::at(&self.private))
    }

    /// Only what the examiner found and counted is taken from what the run left behind; the points follow from `lab.toml`.
    fn take_report(&self, lab: &Lab) -> Result<Report, Error> {
        let file = self.report_file();
        if !file.exists() {
            return Ok(Report::new(lab, &BTreeMap::new(), None));
        }
        let left = Report::load(&file)?;
        let results =
            left.cases().map(|case| (case.name.clone(), CaseResult { screen: visible(&case.screen), ..case.clone() }));
        let report = Report::new(lab, &results.collect(), left.void);
        Ok(Report { seed: self.seed, costs: left.costs, ..report })
    }

    /// The paths in a compiler's message as the learner knows them.
    fn in_the_learners_paths(&self, lab: &Lab, message: &str) -> String {
        visible(message).replace(&format!("{}/", self.copy.display()), "").replace(&format!("labs/{}/", lab.name), "")
    }
}

/// Removes what was written to `folder` after that moment: all that was compiled of a submission. The next one can read that folder.
fn remove_newer(folder: &Path, moment: SystemTime) -> Result<(), Error> {
    let newer = WalkBuilder::new(folder).standard_filters(false).build().flatten().filter(|entry| {
        entry.metadata().is_ok_and(|data| !data.is_dir() && data.modified().is_ok_and(|modified| modified > moment))
    });
    newer.map(WalkEntry::into_path).try_for_each(|path| fs::remove_file(&path).map_err(Error::at(&path)))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(Error::at(path))?;
    fs::write(path, json).map_err(Error::at(path))
}

fn start(command: &mut Command) -> Result<Finished, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    process::run(command, LIMIT).map_err(|error| Error::NotStarted { program, error })
}

/// The line of `stderr` that says what is wrong.
fn first_error(stderr: &str) -> String {
    let mut lines = stderr.lines().filter(|line| !line.trim().is_empty());
    let error = lines.clone().find(|line| line.starts_with("error"));
    // Cargo names the file in that line, and what is wrong with it in a later one.
    let disk = lines.clone().find(|line| is_about_the_disk(line)).filter(|line| Some(*line) != error);
    let said = error.or(lines.next_back()).unwrap_or("cargo ended without a word");
    disk.map_or_else(|| said.to_owned(), |disk| format!("{said}: {}", disk.trim()))
}

fn how_it_ended(finished: &Finished) -> String {
    match finished.status {
        None => format!("the test program was stopped after {} minutes", LIMIT.as_secs() / 60),
        Some(status) if status.signal().is_some() => format!("the test program was killed ({status})"),
        // The message of a panic stands in front of the tests that failed.
        Some(_) => {
            let words = finished.stdout.lines().skip_while(|line| !line.starts_with("thread '")).nth(1);
            let last = finished.stderr.lines().rfind(|line| !line.trim().is_empty());
            words.or(last).unwrap_or("the test program doesn't say why").to_owned()
        }
    }
}

/// It is no fault of a submission; the line of the message that says whose it is.
fn not_compiled_here(lab: &Lab, message: &str) -> Error {
    let line = message.lines().find(|line| is_about_the_disk(line)).or(message.lines().next());
    Error::StarterNotCompiled { lab: lab.name.clone(), said: line.unwrap_or(message).to_owned() }
}

/// Whether the compiler, or the linker that it repeats, has no room to write. A file can make it say so too.
fn is_about_the_disk(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"].iter().any(|words| message.contains(words))
}

/// Why there is no word of the compiler's about the file.
fn why_it_gave_up(finished: &Finished) -> String {
    let ended = finished.stderr.rsplit_once("(signal:").and_then(|(_, rest)| rest.split(')').next());
    match ended {
        Some(signal) => format!("error: the compiler ran into a limit or crashed (signal:{signal})"),
        None => format!("error: the compiler gave up: {}", first_error(&finished.stderr)),
    }
}
