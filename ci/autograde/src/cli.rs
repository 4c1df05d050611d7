//! What was asked for, read from the command line.

use crate::Failure;
use autograde::Shard;
use autograde::export::System;
use autograde::leaderboard::Names;
use autograde::show::Show;
use lexopt::{Arg, Parser, ValueExt};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;

pub const USAGE: &str = "\
Grades submissions on a pristine copy of the course.

    cargo autograde --lab LAB PATH [--out DIR]                            one submission
    cargo autograde --lab LAB --batch DIR --out OUT [--jobs N] [--shard K/N]   a folder of them
    cargo autograde merge OUT... --out MERGED [--batch DIR]               joins shards
    cargo autograde export --for SYSTEM --roster FILE OUT                 grades for a gradebook
    cargo autograde collect --lab LAB --batch DIR --out OUT               for similarity checkers
    cargo autograde anonymise OUT --pseudonyms FILE --out NEW             for those who may see no names
    cargo autograde handout DIR                                           the student edition

  LAB     such as lab03
  PATH    the learner's file, or a folder, git clone or archive that holds it
  --out   where to write the reports;
          for one submission target/grading/results/LAB of the course if left out
  --batch a folder with an entry for each learner: a file, folder, git clone or archive
          (.rs .zip .tar .tar.gz .tgz); OUT gets summary.html, summary.csv and results/.
          Started again, it grades what is new or has changed.
  --jobs  how many are graded at once; one for each processor if left out
  --shard grades only the K-th of N parts of the class
  --seed  draws fresh workloads from this number, instead of playing those that learners know
  --decisions FILE
          what you have decided about submissions, for each grading again;
          OUT/decisions.toml if left out and there
  --visibility visible|after_due_date|after_published|hidden
          when Gradescope shows a learner the results: at once if left out
  --leaderboard[=submissions]
          writes leaderboard.html and leaderboard.csv: how much memory those with full marks use,
          and how many chunks they look at. Their names are pseudonyms, or those of submissions.
          Gradescope's leaderboard gets that and the points
  --hints N, --book URL
          how many hints a learner's page has for each mistake, 1 if left out, and where the book
          is that it links
  merge   proves that nothing is missing or there twice; with --batch DIR also against the
          folder of submissions
  export  joins the results in OUT with a roster, and writes a file that canvas, moodle or
          blackboard imports: --out names it, OUT/grades-SYSTEM.csv if left out
          --match COLUMN  the roster's column that has the names of submissions: `submission`
          --field N       it has the N-th part between `_` of a name, not all of it
          --column NAME   the heading of the grades, as the gradebook has it: LAB
  collect writes every learner's file to a folder of its own in OUT, and the starter beside them
  anonymise
          writes the results in OUT to the new folder NEW once more, without names
          --pseudonyms FILE  a table of who is who, made at its first use; collect takes it too
  handout writes the course without references, zoo and grader to the new folder DIR

Exits with 0 when every submission has its result: graded, whatever the score, or unreadable, with
a line in the summary; with 1 when something could not be graded or merged; with 2 for bad usage,
with 3 when the one submission is unreadable, with 130 when it was stopped.";

/// What was asked for.
pub enum Task {
    Help,
    One {
        lab: String,
        path: PathBuf,
        out: Option<PathBuf>,
        how: How,
    },
    Batch {
        lab: String,
        folder: PathBuf,
        out: PathBuf,
        jobs: Option<NonZero<usize>>,
        shard: Shard,
        how: How,
    },
    Export {
        results: PathBuf,
        system: System,
        roster: PathBuf,
        to: Option<PathBuf>,
        matching: String,
        field: Option<usize>,
        column: Option<String>,
    },
    Collect {
        lab: String,
        folder: PathBuf,
        out: PathBuf,
        names: Option<PathBuf>,
    },
    Anonymise {
        results: PathBuf,
        names: PathBuf,
        out: PathBuf,
    },
    Handout {
        dir: PathBuf,
    },
    Merge {
        outs: Vec<PathBuf>,
        merged: PathBuf,
        submissions: Option<PathBuf>,
    },
}

/// What holds for each grading.
pub struct How {
    pub seed: Option<u64>,
    pub decisions: Option<PathBuf>,
    pub show: Show,
}

pub fn usage(what: impl Display) -> Failure {
    Failure::Usage(format!("{what} (cargo autograde --help tells more)").into())
}

/// The options that take a value, and those that don't.
const VALUES: [&str; 16] = [
    "lab",
    "out",
    "batch",
    "jobs",
    "shard",
    "seed",
    "decisions",
    "visibility",
    "hints",
    "book",
    "for",
    "roster",
    "match",
    "field",
    "column",
    "pseudonyms",
];
/// Those that stand for themselves, and may have a value after `=`.
const SWITCHES: [&str; 1] = ["leaderboard"];

/// What is on the command line, until somebody takes it.
struct Given {
    options: BTreeMap<&'static str, OsString>,
    words: Vec<OsString>,
}

impl Given {
    /// Nothing when help is asked for.
    fn read(mut parser: Parser) -> Result<Option<Self>, Failure> {
        let mut given = Given { options: BTreeMap::new(), words: Vec::new() };
        while let Some(arg) = parser.next()? {
            let (value, switch) = match &arg {
                Arg::Long(name) => (known(&VALUES, name), known(&SWITCHES, name)),
                _ => (None, None),
            };
            match (arg, value, switch) {
                (_, Some(name), _) => _ = given.options.insert(name, parser.value()?),
                (_, _, Some(name)) => {
                    let value = parser.optional_value().unwrap_or_default();
                    given.options.insert(name, value);
                }
                (Arg::Long("help") | Arg::Short('h'), ..) => return Ok(None),
                (Arg::Value(word), ..) => given.words.push(word),
                (other, ..) => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(given))
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.options.remove(name).map(PathBuf::from)
    }

    fn parsed<T: FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Failure> {
        Ok(self.options.remove(name).map(|value| value.parse()).transpose()?)
    }

    fn how(&mut self) -> Result<How, Failure> {
        let usual = Show::default();
        Ok(How {
            seed: self.parsed("seed")?,
            decisions: self.path("decisions"),
            show: Show {
                visibility: self.parsed("visibility")?.unwrap_or(usual.visibility),
                leaderboard: match self.options.get("leaderboard") {
                    Some(value) if value.is_empty() => self.options.remove("leaderboard").map(|_| Names::Pseudonyms),
                    _ => self.parsed("leaderboard")?,
                },
                hints: self.parsed("hints")?.unwrap_or(usual.hints),
                book: self.parsed("book")?,
            },
        })
    }

    /// What nobody has taken doesn't belong there.
    fn end(self, form: &str) -> Result<(), Failure> {
        match (self.options.keys().next(), self.words.first()) {
            (Some(name), _) => Err(usage(format!("--{name} is for something else: {form}"))),
            (None, Some(word)) => Err(usage(format!("one thing too many, `{}`: {form}", word.display()))),
            (None, None) => Ok(()),
        }
    }
}

fn known(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().find(|known| **known == name).copied()
}

/// What the command line asks for.
pub fn task() -> Result<Task, Failure> {
    let Some(given) = Given::read(Parser::from_env())? else { return Ok(Task::Help) };
    let command = match given.words.first().and_then(|word| word.to_str()) {
        Some("collect") if given.options.contains_key("batch") => "collect".to_owned(),
        Some(word) if !given.options.contains_key("lab") => word.to_owned(),
        _ => String::new(),
    };
    match command.as_str() {
        "handout" => handout(given),
        "merge" => merge(given),
        "export" => export(given),
        "collect" => collect(given),
        "anonymise" => anonymise(given),
        _ => grade(given),
    }
}

fn handout(mut given: Given) -> Result<Task, Failure> {
    const FORM: &str = "cargo autograde handout DIR";
    given.words.remove(0);
    let dir = given.words.pop().ok_or_else(|| usage(format!("where to? {FORM}")))?;
    given.end(FORM)?;
    Ok(Task::Handout { dir: dir.into() })
}

fn merge(mut given: Given) -> Result<Task, Failure> {
    const FORM: &str = "cargo autograde merge OUT... --out MERGED [--batch DIR]";
    let outs: Vec<PathBuf> = given.words.drain(..).skip(1).map(PathBuf::from).collect();
    if outs.is_empty() {
        return Err(usage(format!("merge joins folders of results: {FORM}")));
    }
    let merged = given.path("out").ok_or_else(|| usage("where to? --out MERGED"))?;
    let submissions = given.path("batch");
    given.end(FORM)?;
    Ok(Task::Merge { outs, merged, submissions })
}

fn export(mut given: Given) -> Result<Task, Failure> {
    const FORM: &str = "cargo autograde export --for canvas|moodle|blackboard --roster FILE OUT";
    given.words.remove(0);
    let results = given.words.pop().ok_or_else(|| usage(format!("which results? {FORM}")))?.into();
    let system = given.parsed("for")?.ok_or_else(|| usage(format!("for which gradebook? {FORM}")))?;
    let roster = given.path("roster").ok_or_else(|| usage(format!("who is who? {FORM}")))?;
    let (to, matching) = (given.path("out"), given.parsed("match")?.unwrap_or_else(|| "submission".to_owned()));
    let (field, column) = (given.parsed::<NonZero<usize>>("field")?.map(usize::from), given.parsed("column")?);
    given.end(FORM)?;
    Ok(Task::Export { results, system, roster, to, matching, field, column })
}

fn collect(mut given: Given) -> Result<Task, Failure> {
    const FORM: &str = "cargo autograde collect --lab LAB --batch DIR --out OUT [--pseudonyms FILE]";
    given.words.remove(0);
    let lab = given.options.remove("lab").ok_or_else(|| usage(format!("which lab? {FORM}")))?.string()?;
    let folder = given.path("batch").ok_or_else(|| usage(format!("which submissions? {FORM}")))?;
    let out = given.path("out").ok_or_else(|| usage(format!("where to? {FORM}")))?;
    let names = given.path("pseudonyms");
    given.end(FORM)?;
    Ok(Task::Collect { lab, folder, out, names })
}

fn anonymise(mut given: Given) -> Result<Task, Failure> {
    const FORM: &str = "cargo autograde anonymise OUT --pseudonyms FILE --out NEW";
    given.words.remove(0);
    let results = given.words.pop().ok_or_else(|| usage(format!("which results? {FORM}")))?.into();
    let names = given.path("pseudonyms").ok_or_else(|| usage(format!("where is who is who? {FORM}")))?;
    let out = given.path("out").ok_or_else(|| usage(format!("where to? {FORM}")))?;
    given.end(FORM)?;
    Ok(Task::Anonymise { results, names, out })
}

fn grade(mut given: Given) -> Result<Task, Failure> {
    let lab = given.options.remove("lab").ok_or_else(|| usage("which lab? --lab LAB"))?.string()?;
    let (how, out, batch) = (given.how()?, given.path("out"), given.path("batch"));
    match (batch, given.words.pop()) {
        (Some(folder), None) => {
            let out = out.ok_or_else(|| usage("where do the results go? --out OUT"))?;
            let (jobs, shard) = (given.parsed("jobs")?, given.parsed("shard")?.unwrap_or(Shard::WHOLE));
            given.end("cargo autograde --lab LAB --batch DIR --out OUT")?;
            Ok(Task::Batch { lab, folder, out, jobs, shard, how })
        }
        (None, Some(path)) => {
            given.end("cargo autograde --lab LAB PATH [--out DIR]; --jobs and --shard are for --batch")?;
            Ok(Task::One { lab, path: path.into(), out, how })
        }
        (Some(_), Some(_)) => Err(usage("one submission or --batch DIR, not both")),
        (None, None) => Err(usage("which submission?")),
    }
}
