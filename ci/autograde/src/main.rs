//! `cargo autograde --lab LAB PATH [--out DIR]`: grades one submission.

use autograde::{Course, Submission, reports};
use lexopt::{Arg, Parser, ValueExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Grades one submission on a pristine copy of the course.

    cargo autograde --lab LAB PATH [--out DIR]

  LAB    such as lab03
  PATH   the learner's file, or a folder or git clone that holds it
  DIR    where to write report.json, junit.xml and results.json (Gradescope);
         target/grading/results/LAB of the course if left out

Exits with 0 when it graded, whatever the score; with 1 when it could not grade; with 2 for bad usage.";

fn main() -> ExitCode {
    if let Some(done) = autograde::sandbox::helper() {
        return done;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(line)) => fail(&line, 2),
        Err(Failure::Grading(line)) => fail(&line, 1),
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    eprintln!("autograde: {line}");
    ExitCode::from(code)
}

enum Failure {
    /// What was asked for makes no sense.
    Usage(String),
    /// It does, but the grading could not be done.
    Grading(String),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::Usage(format!("{error} (cargo autograde --help tells more)"))
    }
}

struct Arguments {
    lab: String,
    path: PathBuf,
    out: Option<PathBuf>,
}

fn run() -> Result<(), Failure> {
    let Some(arguments) = arguments()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let course = find_course(&arguments.path).map_err(Failure::Usage)?;
    let lab = course.lab(&arguments.lab).map_err(Failure::Usage)?;
    let submission = Submission::read(&arguments.path, &lab).map_err(Failure::Usage)?;
    let out = arguments.out.unwrap_or_else(|| course.grading_dir().join("results").join(&lab.name));

    println!("{} {} · {}", lab.name, lab.title, arguments.path.display());
    grade(&course, &lab, &submission, &out).map_err(Failure::Grading)
}

fn grade(course: &Course, lab: &proctor::lab::Lab, submission: &Submission, out: &Path) -> Result<(), String> {
    // What stands there is about another submission.
    for path in reports::FILES.map(|name| out.join(name)).iter().filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let grader = course.grader(&course.grading_dir())?;
    let toolchain = grader.toolchain()?;
    let grade = grader.grade(lab, &submission.text)?;
    reports::write(out, submission, &grade, &toolchain, course.revision().as_deref())?;
    println!("\n{}", reports::table(&grade));
    println!("{} in {}", reports::FILES.join(", "), out.display());
    Ok(())
}

/// Nothing for `--help`.
fn arguments() -> Result<Option<Arguments>, Failure> {
    let (mut lab, mut path, mut out) = (None, None, None);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("lab") => lab = Some(parser.value()?.string()?),
            Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let missing = |what: &str| Failure::Usage(format!("{what}: cargo autograde --lab LAB PATH [--out DIR]"));
    let lab = lab.ok_or_else(|| missing("which lab?"))?;
    let path = path.ok_or_else(|| missing("which submission?"))?;
    Ok(Some(Arguments { lab, path, out }))
}

/// The course of the current folder, else the one this program was built from.
///
/// Whoever stands in a learner's clone and grades it doesn't want to grade with that clone.
fn find_course(submission: &Path) -> Result<Course, String> {
    let here = std::env::current_dir().map_err(|e| format!("the current folder: {e}"))?;
    let submission = submission.canonicalize().map_err(|e| format!("{}: {e}", submission.display()))?;
    Course::find(&here)
        .filter(|course| !course.root().starts_with(&submission))
        .or_else(|| Course::find(Path::new(env!("CARGO_MANIFEST_DIR"))))
        .ok_or_else(|| "there is no course here: start it from a checkout of the course".to_owned())
}
