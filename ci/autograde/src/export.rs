//! Grades for a course system's gradebook: the results, joined with a roster.
//!
//! Nobody's grade is guessed: a line of the roster and a submission belong together if a cell of the one *is* the name of the other, and
//! what has no partner, or two, is named and left out.

mod roster;

pub use roster::Fault;

use crate::Error;
use crate::record::{self, Batch, Outcome, Record};
use crate::summary::{harmless, stem, written};
use roster::Roster;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The gradebook that the grades are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Its importer (`lib/gradebook_importer.rb`) wants five columns in this order, and finds people by the first id there is.
    Canvas,
    /// Its importer (`grade/import/csv`) asks which column is what, and gives up at the first person it doesn't know.
    Moodle,
    /// Its grade center finds people by their user names, and columns by the number in their headings.
    Blackboard,
}

/// This is no system.
#[derive(Debug)]
pub struct NoSystem(String);

impl fmt::Display for NoSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no gradebook: canvas, moodle or blackboard", crate::printable(&self.0))
    }
}

impl std::error::Error for NoSystem {}

impl FromStr for System {
    type Err = NoSystem;

    fn from_str(text: &str) -> Result<Self, NoSystem> {
        Ok(match text {
            "canvas" => System::Canvas,
            "moodle" => System::Moodle,
            "blackboard" => System::Blackboard,
            _ => return Err(NoSystem(text.to_owned())),
        })
    }
}

impl System {
    /// Its name, as part of a file's name.
    pub fn name(self) -> &'static str {
        match self {
            System::Canvas => "canvas",
            System::Moodle => "moodle",
            System::Blackboard => "blackboard",
        }
    }

    /// The columns that say who somebody is. The system finds people by any of these.
    fn ids(self) -> &'static [&'static str] {
        match self {
            System::Canvas => &["ID", "SIS User ID", "SIS Login ID"],
            System::Moodle => &["Username", "ID number", "Email address"],
            System::Blackboard => &["Username"],
        }
    }

    /// The columns before the grade, with and without ids.
    fn columns(self) -> &'static [&'static str] {
        match self {
            System::Canvas => &["Student", "ID", "SIS User ID", "SIS Login ID", "Section"],
            System::Moodle => &["First name", "Last name", "Username", "ID number", "Email address"],
            System::Blackboard => &["Last Name", "First Name", "Username", "Student ID"],
        }
    }
}

/// What to export.
#[derive(Debug)]
pub struct Export<'a> {
    /// The results of a class.
    pub results: &'a Path,
    /// For which gradebook.
    pub system: System,
    /// Who is who.
    pub roster: &'a Path,
    /// The column of the roster that names a submission.
    pub matching: &'a str,
    /// Which part of a submission's name, between `_`, that column has, from 1; nothing for the whole name.
    pub field: Option<usize>,
    /// The heading of the grades; nothing for the lab's name.
    pub column: Option<&'a str>,
}

/// The file for the gradebook, and what isn't in it.
#[derive(Debug)]
pub struct Grades {
    /// The file's text.
    pub csv: String,
    /// How many grades it has.
    pub grades: usize,
    /// Who has none, and why, a line for each.
    pub left_out: Vec<String>,
}

/// Joins results and roster.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn run(export: &Export) -> Result<Grades, Error> {
    let batch = Batch::load(export.results)?;
    let refuse = |fault| Error::Roster { path: export.roster.to_path_buf(), fault };
    let roster = Roster::read(export.roster)?;
    let matching = roster.column(export.matching).map_err(refuse)?;
    roster.any_of(export.system.ids()).map_err(refuse)?;

    let mut left_out = Vec::new();
    let mut by_name: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for key in &batch.keys {
        match record::load(export.results, key, &batch.with) {
            Ok(record) => by_name.entry(name_for(&record, export)).or_default().push(record),
            Err(_) => left_out.push(format!("{key}: it has no result; grade the class again")),
        }
    }
    let mut rows = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in roster.rows() {
        *seen.entry(roster.cell(row, matching)).or_default() += 1;
    }
    for row in roster.rows() {
        let name = roster.cell(row, matching);
        if name.is_empty() {
            left_out.push(format!(
                "{}: line {} has nothing in `{}`",
                export.roster.display(),
                row.line,
                export.matching
            ));
            continue;
        }
        let about = |what: &str| crate::printable(&format!("{name}: {what}"));
        if seen[name] > 1 {
            left_out.push(about("more than one line of the roster has this name: no grade"));
            continue;
        }
        match by_name.get(name).map_or(&[][..], Vec::as_slice) {
            [] => left_out.push(about("in the roster, and no submission")),
            [record] => match points(record) {
                _ if export.system.ids().iter().all(|id| roster.text(row, id).is_empty()) => {
                    left_out.push(about("the roster has no id: no grade"));
                }
                Ok(points) => rows.push((row, points)),
                Err(why) => left_out.push(about(&why)),
            },
            several => {
                let names: Vec<&str> = several.iter().map(|record| record.name.as_str()).collect();
                left_out.push(about(&format!("several submissions ({}): no grade", names.join(", "))));
            }
        }
    }
    for (name, records) in by_name.iter().filter(|(name, _)| !seen.contains_key(name.as_str())) {
        let names = records.iter().map(|record| format!("{}: nobody in the roster is `{name}`", record.name));
        left_out.extend(names.map(|line| crate::printable(&line)));
    }
    let heading = export.column.unwrap_or(&batch.with.lab);
    let csv = write(export.system, heading, &roster, &rows).map_err(Error::at(export.results))?;
    Ok(Grades { csv, grades: rows.len(), left_out })
}

/// What the roster calls the submission.
fn name_for(record: &Record, export: &Export) -> String {
    let name = stem(&record.name);
    match export.field {
        None => name.to_owned(),
        Some(field) => name.split('_').nth(field.saturating_sub(1)).unwrap_or_default().to_owned(),
    }
}

/// The points that count, or why there are none.
fn points(record: &Record) -> Result<u32, String> {
    match &record.outcome {
        Outcome::Graded(grade) if grade.is_waiting() => {
            Err(format!("{} points wait for a decision: no grade", grade.report.score))
        }
        Outcome::Graded(grade) => Ok(grade.score()),
        Outcome::Unreadable(why) => Err(format!("unreadable, {why}: no grade")),
        Outcome::NotGraded(why) => Err(format!("not graded, {why}: no grade")),
    }
}

/// Every cell is in quotation marks, as Blackboard has it; the others don't mind. Ids are copied letter by letter.
fn write(system: System, heading: &str, roster: &Roster, rows: &[(&roster::Row, u32)]) -> std::io::Result<String> {
    // What isn't in the roster is an empty column for Canvas, which counts them; and none for the others.
    let columns: Vec<&str> =
        system.columns().iter().copied().filter(|column| system == System::Canvas || roster.has(column)).collect();
    let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    csv.write_record(columns.iter().copied().chain([heading]))?;
    if system == System::Canvas {
        let mut possible = vec![""; columns.len()];
        possible[0] = "    Points Possible";
        csv.write_record(possible.into_iter().chain([proctor::lab::FULL_MARKS.to_string().as_str()]))?;
    }
    for (row, points) in rows {
        let cells = columns.iter().map(|column| {
            let text = roster.text(row, column);
            if system.ids().contains(column) || *column == "Student ID" { text.into() } else { harmless(text) }
        });
        csv.write_record(cells.map(|cell| cell.into_owned()).chain([points.to_string()]))?;
    }
    written(csv)
}
