//! The summary for programs: a line for each submission.

use super::{Class, Student};
use crate::reports::{GradeReport, verdict_in_words};
use std::borrow::Cow;
use std::io;

/// What Excel knows UTF-8 by. Other programs skip it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// `key, submission, status, points, of`, the points of each rule, the failing cases, and a note. The key is the same in each run, and
/// no two submissions share one; the name is to be read.
pub fn csv(class: &Class) -> io::Result<String> {
    let mut csv = csv::Writer::from_writer(BYTE_ORDER_MARK.to_vec());
    let fixed = ["key", "submission", "status", "points", "of"];
    let header = fixed.into_iter().chain(class.rules.iter().map(|rule| rule.id)).chain(["failing", "note", "results"]);
    csv.write_record(header)?;
    for student in &class.students {
        let row = row(class, student);
        csv.write_record(row.iter().map(|cell| harmless(cell).into_owned()))?;
    }
    written(csv)
}

/// What was written to a table.
pub fn written(csv: csv::Writer<Vec<u8>>) -> io::Result<String> {
    let bytes = csv.into_inner().map_err(|e| e.into_error())?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn row(class: &Class, student: &Student) -> Vec<String> {
    let mut row = vec![student.key.to_owned(), student.name.to_owned(), student.status.word().to_owned()];
    match student.grade {
        Some(grade) => {
            // They don't count yet, and the note says how many they are.
            let points = if grade.is_waiting() { String::new() } else { grade.score().to_string() };
            row.extend([points, grade.report.max_score.to_string()]);
            row.extend(grade.report.rules.iter().map(|rule| rule.earned.to_string()));
            row.push(failing(grade));
        }
        // No points are not zero points.
        None => row.extend(std::iter::repeat_n(String::new(), class.rules.len() + 3)),
    }
    row.extend([student.note.clone(), format!("results/{}", student.key)]);
    row
}

fn failing(grade: &GradeReport) -> String {
    let cases = grade.failing().map(|(_, case)| format!("{} ({})", case.name, verdict_in_words(case.verdict)));
    cases.collect::<Vec<_>>().join("; ")
}

/// A cell that starts like a formula gets an apostrophe: a spreadsheet would compute what a learner wrote. Some take the wide signs of
/// East Asian keyboards for the plain ones, and skip white space.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    if cell.trim_start().starts_with(SIGNS) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}
