//! A batch in two files: `summary.csv` for programs and `summary.html` for people.
//!
//! Both depend on the results alone, not on when, where or in which order they were found: shards, merged, have the
//! summary of a single run.

mod html;
mod table;

pub use table::{harmless, written};

use crate::Error;
use crate::leaderboard;
use crate::record::{Batch, Outcome, Record};
use crate::reports::{GradeReport, remark};
use proctor::report::{RuleResult, replace};
use std::collections::BTreeMap;
use std::path::Path;

/// Brings records into the summary's order.
pub fn sort(records: &mut [Record]) {
    records.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
}

/// Writes both files into `out`, the smaller one first, and the leaderboard.
///
/// # Errors
/// One line that names the file and what the system said.
pub fn write(out: &Path, batch: &Batch, records: &[Record]) -> Result<(), Error> {
    let class = Class::new(batch, records);
    for (name, text) in [("summary.csv", table::csv(&class)), ("summary.html", Ok(html::page(&class)))] {
        let path = out.join(name);
        text.and_then(|text| replace(&path, &text)).map_err(Error::at(&path))?;
    }
    leaderboard::write(out, batch, records)
}

/// All results, and what they say about the rules.
struct Class<'a> {
    lab: &'a str,
    /// The names in the folder of submissions that are nobody's.
    skipped: &'a [String],
    /// The decisions that hold for nothing.
    stale: &'a [String],
    has_leaderboard: bool,
    rules: Vec<Rule<'a>>,
    students: Vec<Student<'a>>,
}

/// A rule, and how the class did.
struct Rule<'a> {
    id: &'a str,
    text: &'a str,
    points: u32,
    /// How many graded submissions don't keep it.
    failing: usize,
    /// For how many of them it is the first: there they are stuck. Who has nothing that compiles isn't stuck on a rule.
    stuck: usize,
}

/// A submission's line.
struct Student<'a> {
    name: &'a str,
    key: &'a str,
    status: Status,
    /// Only of a graded one.
    grade: Option<&'a GradeReport>,
    /// What a person should know, in one line.
    note: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Graded,
    Decided,
    Held,
    Unreadable,
    NotGraded,
}

impl Status {
    /// Whether there are points that count.
    fn counts(self) -> bool {
        matches!(self, Status::Graded | Status::Decided)
    }

    fn word(self) -> &'static str {
        match self {
            Status::Graded => "graded",
            Status::Decided => "decided",
            Status::Held => "held for review",
            Status::Unreadable => "unreadable",
            Status::NotGraded => "not graded",
        }
    }
}

impl<'a> Class<'a> {
    fn new(batch: &'a Batch, records: &'a [Record]) -> Self {
        let twins = twins(records.iter().map(|record| record.name.as_str()));
        let students: Vec<Student> = records.iter().map(|record| student(record, &twins)).collect();
        let counted = students.iter().filter(|student| student.status.counts());
        let grades: Vec<&GradeReport> = counted.filter_map(|student| student.grade).collect();
        let any = students.iter().find_map(|student| student.grade);
        let compiling = || grades.iter().filter(|grade| grade.compiler_message.is_none());
        let lost = |rule: &RuleResult| rule.earned < rule.points;
        let rules = any.map_or(&[][..], |grade| &grade.report.rules).iter().enumerate().map(|(i, rule)| Rule {
            id: &rule.id,
            text: &rule.text,
            points: rule.points,
            failing: grades.iter().filter(|grade| grade.report.rules.get(i).is_some_and(lost)).count(),
            stuck: compiling().filter(|grade| grade.report.rules.iter().position(lost) == Some(i)).count(),
        });
        let (skipped, stale) = (&batch.skipped, &batch.stale);
        let has_leaderboard = batch.leaderboard.is_some();
        Class { lab: &batch.with.lab, skipped, stale, has_leaderboard, rules: rules.collect(), students }
    }

    /// The points that count.
    fn scores(&self) -> Vec<u32> {
        let graded = self.students.iter().filter(|student| student.status.counts());
        graded.filter_map(|student| Some(student.grade?.score())).collect()
    }
}

fn student<'a>(record: &'a Record, twins: &BTreeMap<String, String>) -> Student<'a> {
    let (status, grade, mut notes) = match &record.outcome {
        Outcome::Graded(grade) => {
            let held = held(grade);
            let status = match &grade.decision {
                Some(_) => Status::Decided,
                None if grade.is_waiting() => Status::Held,
                None => Status::Graded,
            };
            let first_line = remark(grade).and_then(|remark| remark.lines().next().map(str::to_owned));
            // What it is held for stands in the first lines of the remark too.
            let first_line = first_line.filter(|_| held.is_empty());
            (status, Some(&**grade), held.into_iter().chain(first_line).collect::<Vec<_>>())
        }
        Outcome::Unreadable(line) => (Status::Unreadable, None, vec![line.clone()]),
        Outcome::NotGraded(line) => (Status::NotGraded, None, vec![line.clone()]),
    };
    notes.extend(twins.get(&record.name).cloned());
    Student { name: &record.name, key: &record.key, status, grade, note: crate::printable(&notes.join("; ")) }
}

/// Why a person has to look at a graded submission before its points count.
fn held(grade: &GradeReport) -> Vec<String> {
    if !grade.is_waiting() {
        return Vec::new();
    }
    let points = format!("{} points wait until somebody has read the file", grade.report.score);
    let lines = grade.held.iter().map(|held| format!("line {}: {}", held.line, held.reason));
    std::iter::once(points).chain(lines).collect()
}

/// What the names of files and archives end in.
const ENDINGS: [&str; 5] = [".rs", ".zip", ".tar.gz", ".tgz", ".tar"];

/// A submission's name without the ending of a file or an archive.
pub fn stem(name: &str) -> &str {
    let end = |ending: &str| name.len().checked_sub(ending.len()).filter(|at| name.is_char_boundary(*at));
    let is_there = |at: &usize, ending: &str| name[*at..].eq_ignore_ascii_case(ending);
    ENDINGS.iter().find_map(|ending| end(ending).filter(|at| is_there(at, ending))).map_or(name, |at| &name[..at])
}

/// Names that differ only in their ending look like two submissions of one learner: a line for each.
pub fn twins<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut by_stem: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        by_stem.entry(stem(name)).or_default().push(name);
    }
    let line = |names: &[&str]| format!("{} may be one learner's: each is graded", names.join(" and "));
    let several = by_stem.values().filter(|names| names.len() > 1);
    several.flat_map(|names| names.iter().map(|name| ((*name).to_owned(), line(names)))).collect()
}
