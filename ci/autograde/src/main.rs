//! `cargo autograde`: grades one submission, or a folder of them, or joins what several machines graded.

mod cli;

use autograde::batch::{self, End, Job, Refusal};
use autograde::collect;
use autograde::decisions::Decisions;
use autograde::export::{self, Export};
use autograde::pseudonyms::{self, Pseudonyms};
use autograde::reports::{self, GradeReport};
use autograde::{Course, Error, Submission, Unreadable, handout, merge, printable};
use cli::{How, Task};
use proctor::lab::Lab;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        cli::usage(error)
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

fn run() -> Result<ExitCode, Failure> {
    match cli::task()? {
        Task::Help => {
            println!("{}", cli::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Task::One { lab, path, out, how } => one(&lab, &path, out, &how),
        Task::Handout { dir } => {
            let course = Course::find(Path::new(".")).ok_or(Error::NoCourse).map_err(senseless)?;
            handout::write(&course, &dir).map_err(Failure::Grading)?;
            println!("the student edition: {}", dir.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Batch { lab, folder, out, jobs, shard, how } => {
            let course = find_course(&folder).map_err(senseless)?;
            let lab = course.lab(&lab).map_err(senseless)?;
            let stop = stopped_by_signals();
            let decisions = decisions(&how, &out)?;
            let job = Job {
                course: &course,
                lab: &lab,
                folder: &folder,
                out: &out,
                jobs,
                shard,
                seed: how.seed,
                decisions: &decisions,
                show: &how.show,
                stop: &stop,
            };
            let end = batch::run(&job)?;
            let board = if how.show.leaderboard.is_some() { ", leaderboard.html, leaderboard.csv" } else { "" };
            println!("summary.html, summary.csv{board} in {}", out.display());
            Ok(match end {
                End::Complete => ExitCode::SUCCESS,
                End::NotGraded(n) => fail(&format!("{n} could not be graded: start it again to try them again"), 1),
                End::NotKept(why, n) => {
                    fail(&format!("{why}: {n} are left; make room, and start it again to go on"), 1)
                }
                End::Stopped(n) => fail(&format!("stopped, {n} are left: start it again to go on"), 130),
            })
        }
        Task::Export { results, system, roster, to, matching, field, column } => {
            let to = to.unwrap_or_else(|| results.join(format!("grades-{}.csv", system.name())));
            let (matching, column) = (matching.as_str(), column.as_deref());
            let export = Export { results: &results, system, roster: &roster, matching, field, column };
            let grades = export::run(&export).map_err(senseless)?;
            proctor::report::replace(&to, &grades.csv)
                .map_err(|error| Failure::Grading(Error::File { path: to.clone(), error }))?;
            grades.left_out.iter().for_each(|line| eprintln!("autograde: {}", printable(line)));
            println!("{} grades in {}, {} left out", grades.grades, to.display(), grades.left_out.len());
            Ok(ExitCode::SUCCESS)
        }
        Task::Anonymise { results, names, out } => {
            let course = find_course(&results).map_err(senseless)?;
            let mut pseudonyms = Pseudonyms::load(&names, &out).map_err(senseless)?;
            let n = pseudonyms::anonymise(&course, &results, &mut pseudonyms, &out).map_err(senseless)?;
            println!("{n} results without names in {}, who is who in {}", out.display(), names.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Collect { lab, folder, out, names } => {
            let course = find_course(&folder).map_err(senseless)?;
            let lab = course.lab(&lab).map_err(senseless)?;
            let names = names.map(|names| Pseudonyms::load(&names, &out)).transpose().map_err(senseless)?;
            let collected = collect::run(&lab, &folder, &out, names).map_err(senseless)?;
            collected.left_out.iter().for_each(|line| eprintln!("autograde: {}", printable(line)));
            let (submissions, starter) = (out.join(collect::SUBMISSIONS), out.join(collect::STARTER));
            println!("{} files in {}, the starter in {}", collected.files, submissions.display(), starter.display());
            Ok(ExitCode::SUCCESS)
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

/// What is decided, where the instructor says it is, or where it usually is.
fn decisions(how: &How, out: &Path) -> Result<Decisions, Failure> {
    let usual = out.join("decisions.toml");
    match &how.decisions {
        Some(file) => Decisions::load(file).map_err(senseless),
        None if usual.is_file() => Decisions::load(&usual).map_err(senseless),
        None => Ok(Decisions::default()),
    }
}

fn one(lab: &str, path: &Path, out: Option<PathBuf>, how: &How) -> Result<ExitCode, Failure> {
    let course = find_course(path).map_err(senseless)?;
    let lab = course.lab(lab).map_err(senseless)?;
    let out = out.unwrap_or_else(|| course.grading_dir().join("results").join(&lab.name));
    let decisions = decisions(how, &out)?;
    let submission = match Submission::read(path, &lab) {
        Ok(submission) => submission,
        Err(what) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            clear(&out)
                .and_then(|()| GradeReport::unreadable(&name, &lab, &what).write(&out, &lab, &how.show))
                .map_err(Failure::Grading)?;
            return Err(Failure::Unreadable(path.to_path_buf(), what));
        }
    };

    println!("{} {} · {}", lab.name, lab.title, path.display());
    grade(&course, &lab, &submission, &out, how, &decisions).map_err(Failure::Grading)?;
    Ok(ExitCode::SUCCESS)
}

/// What stands there is about another submission.
fn clear(out: &Path) -> Result<(), Error> {
    for path in reports::FILES.map(|name| out.join(name)).iter().filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(|error| Error::File { path: path.clone(), error })?;
    }
    Ok(())
}

fn grade(
    course: &Course,
    lab: &Lab,
    submission: &Submission,
    out: &Path,
    how: &How,
    decisions: &Decisions,
) -> Result<(), Error> {
    clear(out)?;
    let mut grader = course.grader(&course.grading_dir())?.seed(how.seed);
    grader.protection()?.warn();
    let toolchain = grader.toolchain()?;
    let grade = grader.grade(lab, &submission.text)?;
    let mut report = GradeReport::new(submission, grade, &toolchain, course.revision().as_deref());
    report.decision = decisions.about(&report.submission, &report.submission, &report.sha256).cloned();
    report.write(out, lab, &how.show)?;
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
