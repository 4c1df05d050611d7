//! `cargo autograde`: grades one submission, or a folder of them, or joins what several machines graded.

use autograde::batch::{self, End, Job, Refusal};
use autograde::reports::{self, GradeReport};
use autograde::{Course, Error, Shard, Submission, Unreadable, handout, merge, printable};
use lexopt::{Arg, Parser, ValueExt};
use proctor::lab::Lab;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt::Display;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const USAGE: &str = "\
Grades submissions on a pristine copy of the course.

    cargo autograde --lab LAB PATH [--out DIR]                            one submission
    cargo autograde --lab LAB --batch DIR --out OUT [--jobs N] [--shard K/N]   a folder of them
    cargo autograde merge OUT... --out MERGED [--batch DIR]               joins shards
    cargo autograde handout DIR                                           the student edition

  LAB     such as lab03
  PATH    the learner's file, or a folder, git clone or archive that holds it
  --out   where to write the reports;
          for one submission target/grading/results/LAB of the course if left out
  --batch a folder with an entry for each learner: a file, folder, git clone or archive
          (.zip .tar .tar.gz .tgz); OUT gets summary.html, summary.csv and results/.
          Started again, it grades what is new or has changed.
  --jobs  how many are graded at once; one for each processor if left out
  --shard grades only the K-th of N parts of the class
  --seed  draws fresh workloads from this number, instead of playing those that learners know
  merge   proves that nothing is missing or there twice; with --batch DIR also against the
          folder of submissions
  handout writes the course without references, zoo and grader to the new folder DIR

Exits with 0 when every submission has its result: graded, whatever the score, or unreadable, with
a line in the summary; with 1 when something could not be graded or merged; with 2 for bad usage,
with 3 when the one submission is unreadable, with 130 when it was stopped.";

fn main() -> ExitCode {
    if let Some(done) = autograde::sandbox::helper() {
        return done;
    }
    match run() {
        Ok(code) => code,
        Err(Failure::Usage(why)) => fail(&why.to_string(), 2),
        Err(Failure::Grading(why)) => fail(&why.to_string(), 1),
        Err(Failure::Unreadable(path, what)) => fail(&format!("{}: {what}", path.display()), 3),
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    eprintln!("autograde: {}", printable(line));
    ExitCode::from(code)
}

enum Failure {
    /// What was asked for makes no sense.
    Usage(Box<dyn std::error::Error>),
    /// It does, but the grading could not be done.
    Grading(Error),
    /// There is nothing in the submission that could be graded.
    Unreadable(PathBuf, Unreadable),
}

fn senseless(why: Error) -> Failure {
    Failure::Usage(why.into())
}

fn usage(what: impl Display) -> Failure {
    Failure::Usage(format!("{what} (cargo autograde --help tells more)").into())
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        usage(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Usage(why) => Failure::Usage(why.into()),
            Refusal::Grading(why) => Failure::Grading(why),
        }
    }
}

/// What was asked for.
enum Task {
    Help,
    One { lab: String, path: PathBuf, out: Option<PathBuf>, seed: Option<u64> },
    Batch { lab: String, folder: PathBuf, out: PathBuf, jobs: Option<NonZero<usize>>, shard: Shard, seed: Option<u64> },
    Handout { dir: PathBuf },
    Merge { outs: Vec<PathBuf>, merged: PathBuf, submissions: Option<PathBuf> },
}

fn run() -> Result<ExitCode, Failure> {
    match task()? {
        Task::Help => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Task::One { lab, path, out, seed } => one(&lab, &path, out, seed),
        Task::Handout { dir } => {
            let course = Course::find(Path::new(".")).ok_or(Error::NoCourse).map_err(senseless)?;
            handout::write(&course, &dir).map_err(Failure::Grading)?;
            println!("the student edition: {}", dir.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Batch { lab, folder, out, jobs, shard, seed } => {
            let course = find_course(&folder).map_err(senseless)?;
            let lab = course.lab(&lab).map_err(senseless)?;
            let stop = stopped_by_signals();
            let job = Job { course: &course, lab: &lab, folder: &folder, out: &out, jobs, shard, seed, stop: &stop };
            let end = batch::run(&job)?;
            println!("summary.html, summary.csv in {}", out.display());
            Ok(match end {
                End::Complete => ExitCode::SUCCESS,
                End::NotGraded(n) => fail(&format!("{n} could not be graded: start it again to try them again"), 1),
                End::NotKept(why, n) => {
                    fail(&format!("{why}: {n} are left; make room, and start it again to go on"), 1)
                }
                End::Stopped(n) => fail(&format!("stopped, {n} are left: start it again to go on"), 130),
            })
        }
        Task::Merge { outs, merged, submissions } => match merge::run(&outs, &merged, submissions.as_deref()) {
            Ok(n) => {
                println!(
                    "{n} submissions, none missing, none twice: summary.html, summary.csv in {}",
                    merged.display()
                );
                Ok(ExitCode::SUCCESS)
            }
            Err(lines) => {
                lines.iter().for_each(|line| eprintln!("autograde: {}", printable(line)));
                Ok(ExitCode::FAILURE)
            }
        },
    }
}

fn one(lab: &str, path: &Path, out: Option<PathBuf>, seed: Option<u64>) -> Result<ExitCode, Failure> {
    let course = find_course(path).map_err(senseless)?;
    let lab = course.lab(lab).map_err(senseless)?;
    let submission = Submission::read(path, &lab).map_err(|what| Failure::Unreadable(path.to_path_buf(), what))?;
    let out = out.unwrap_or_else(|| course.grading_dir().join("results").join(&lab.name));

    println!("{} {} · {}", lab.name, lab.title, path.display());
    grade(&course, &lab, &submission, &out, seed).map_err(Failure::Grading)?;
    Ok(ExitCode::SUCCESS)
}

fn grade(course: &Course, lab: &Lab, submission: &Submission, out: &Path, seed: Option<u64>) -> Result<(), Error> {
    // What stands there is about another submission.
    for path in reports::FILES.map(|name| out.join(name)).iter().filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(|error| Error::File { path: path.clone(), error })?;
    }
    let mut grader = course.grader(&course.grading_dir())?.seed(seed);
    grader.protection()?.warn();
    let toolchain = grader.toolchain()?;
    let grade = grader.grade(lab, &submission.text)?;
    let report = GradeReport::new(submission, grade, &toolchain, course.revision().as_deref());
    report.write(out)?;
    println!("\n{}", reports::table(&report));
    println!("{} in {}", reports::FILES.join(", "), out.display());
    Ok(())
}

/// Turns true at the first Ctrl-C or SIGTERM: what is being graded then is finished. The second one ends everything.
fn stopped_by_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag still false.
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        registered.expect("the system knows these signals");
    }
    stop
}

fn task() -> Result<Task, Failure> {
    let (mut lab, mut out, mut batch, mut jobs, mut shard, mut seed) = (None, None, None, None, None, None);
    let mut paths: Vec<PathBuf> = Vec::new();
    let (mut merge, mut handout) = (false, false);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("lab") => lab = Some(parser.value()?.string()?),
            Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Arg::Long("batch") => batch = Some(PathBuf::from(parser.value()?)),
            Arg::Long("jobs") => jobs = Some(parser.value()?.parse()?),
            Arg::Long("shard") => shard = Some(parser.value()?.parse()?),
            Arg::Long("seed") => seed = Some(parser.value()?.parse()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(Task::Help),
            Arg::Value(value) if value == "merge" && lab.is_none() && paths.is_empty() && !merge => merge = true,
            Arg::Value(value) if value == "handout" && lab.is_none() && paths.is_empty() && !handout => handout = true,
            Arg::Value(value) if paths.is_empty() || merge => paths.push(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    if (handout || merge) && (lab.is_some() || seed.is_some() || jobs.is_some() || shard.is_some()) {
        return Err(usage("--lab, --seed, --jobs and --shard are for grading"));
    }
    if handout {
        if out.is_some() || batch.is_some() {
            return Err(usage("handout has no options: cargo autograde handout DIR"));
        }
        let dir = paths.pop().ok_or_else(|| usage("where to? cargo autograde handout DIR"))?;
        return Ok(Task::Handout { dir });
    }
    if merge {
        if paths.is_empty() {
            return Err(usage("merge joins folders of results: cargo autograde merge OUT... --out MERGED"));
        }
        let merged = out.ok_or_else(|| usage("where to? --out MERGED"))?;
        return Ok(Task::Merge { outs: paths, merged, submissions: batch });
    }
    let lab = lab.ok_or_else(|| usage("which lab? --lab LAB"))?;
    match (batch, paths.pop()) {
        (Some(folder), None) => {
            let out = out.ok_or_else(|| usage("where do the results go? --out OUT"))?;
            Ok(Task::Batch { lab, folder, out, jobs, shard: shard.unwrap_or(Shard::WHOLE), seed })
        }
        (None, Some(path)) if jobs.is_none() && shard.is_none() => Ok(Task::One { lab, path, out, seed }),
        (None, Some(_)) => Err(usage("--jobs and --shard are for --batch")),
        (Some(_), Some(_)) => Err(usage("one submission or --batch DIR, not both")),
        (None, None) => Err(usage("which submission?")),
    }
}

/// The course of the current folder, else the one this program was built from.
///
/// Whoever stands in a learner's clone and grades it doesn't want to grade with that clone.
fn find_course(submission: &Path) -> Result<Course, Error> {
    let here = Path::new(".");
    let here = here.canonicalize().map_err(|error| Error::File { path: here.to_path_buf(), error })?;
    let submission =
        submission.canonicalize().map_err(|error| Error::File { path: submission.to_path_buf(), error })?;
    Course::find(&here)
        .filter(|course| !course.root().starts_with(&submission))
        .or_else(|| Course::find(Path::new(env!("CARGO_MANIFEST_DIR"))))
        .ok_or(Error::NoCourse)
}
