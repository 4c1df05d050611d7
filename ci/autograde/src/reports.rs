//! Writes a grade down: as JSON of our own, as JUnit XML and in the formats of course systems.

mod autolab;
mod classroom;
mod gradescope;
mod junit;

use crate::entry::in_one_line;
use crate::sandbox::Protection;
use crate::source_rules::Held;
use crate::{Error, Grade, Submission};
use proctor::report::{self, CaseResult, Report, RuleResult, Verdict};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The name and version of our own format, in every `report.json`.
pub const FORMAT: &str = "heap-lab-book/grade/1";

/// Our own report: all there is to know about a grade. Every other report is drawn from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradeReport {
    /// [`FORMAT`].
    pub format: String,
    /// What the instructor calls it.
    pub submission: String,
    /// The learner's file, in one line.
    pub file: String,
    /// The revision of the course that it was graded with.
    pub course_revision: Option<String>,
    /// The compiler that it was graded with.
    pub toolchain: String,
    /// How long it took.
    pub seconds: f64,
    /// Why somebody has to read the file before its points count.
    pub held: Vec<Held>,
    /// What the submission was kept away from.
    pub sandbox: Protection,
    /// What the compiler said when it refused the file.
    pub compiler_message: Option<String>,
    /// The results, case by case.
    pub report: Report,
}

/// The files that [`GradeReport::write`] leaves in its folder.
pub const FILES: [&str; 6] =
    ["report.json", "junit.xml", "results.json", "classroom50.json", "classroom.json", "autolab.txt"];

impl GradeReport {
    /// The report of one submission.
    pub fn new(submission: &Submission, grade: Grade, toolchain: &str, course_revision: Option<&str>) -> Self {
        GradeReport {
            format: FORMAT.to_owned(),
            submission: submission.name.clone(),
            file: in_one_line(submission.file.as_os_str()),
            course_revision: course_revision.map(str::to_owned),
            toolchain: toolchain.to_owned(),
            seconds: grade.took.as_secs_f64(),
            held: grade.held,
            sandbox: grade.sandbox,
            compiler_message: grade.compiler_message,
            report: grade.report,
        }
    }

    /// Reads the report that [`GradeReport::write`] left in `out`.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load(out: &Path) -> Result<Self, Error> {
        let path = out.join("report.json");
        let text = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
        let report: GradeReport = serde_json::from_str(&text).map_err(Error::at(&path))?;
        if report.format != FORMAT {
            return Err(Error::Format { path, format: report.format, wanted: FORMAT });
        }
        Ok(report)
    }

    /// Writes [`FILES`] into the folder `out`.
    ///
    /// # Errors
    /// One line that names the file and what the system said.
    pub fn write(&self, out: &Path) -> Result<(), Error> {
        let texts = [
            to_json(self),
            junit::to_xml(self),
            to_json(&gradescope::Results::new(self)),
            to_json(&classroom::Fifty::new(self)),
            to_json(&classroom::Older::new(self)),
            Ok(autolab::to_lines(self)),
        ];
        for (name, text) in FILES.into_iter().zip(texts) {
            let path = out.join(name);
            text.and_then(|text| report::replace(&path, &text)).map_err(Error::at(&path))?;
        }
        Ok(())
    }

    /// Whether somebody has to read the file before its points count.
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many of these points, all or a rule's, count now.
    pub fn counted(&self, points: u32) -> u32 {
        if self.is_held() { 0 } else { points }
    }

    /// The cases that did not pass.
    pub fn failing(&self) -> impl Iterator<Item = (&RuleResult, &CaseResult)> {
        let cases = self.report.rules.iter().flat_map(|rule| rule.cases.iter().map(move |case| (rule, case)));
        cases.filter(|(_, case)| !case.verdict.is_pass())
    }
}

fn to_json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

/// A verdict as a person says it.
pub fn verdict_in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Skipped => "skipped on this machine",
        Verdict::NotWritten => "not written yet",
        Verdict::Wrong => "wrong",
        Verdict::Crashed => "crashed",
        Verdict::Hung => "never came back",
        Verdict::Slow => "far too slow",
        Verdict::Exited => "ended the process",
        Verdict::NotRun => "not run",
    }
}

/// What a person needs to read about a case that did not pass: its screen, or why it has none.
pub fn explanation<'a>(grade: &'a GradeReport, case: &'a CaseResult) -> &'a str {
    if !case.screen.is_empty() {
        return &case.screen;
    }
    match (case.verdict, &grade.report.void, &grade.compiler_message) {
        (Verdict::NotRun, _, Some(message)) => message,
        (_, Some(void), _) => void,
        (verdict, ..) => verdict_in_words(verdict),
    }
}

/// What a person needs to read about a rule that was not kept.
fn screens(grade: &GradeReport, rule: &RuleResult) -> String {
    let failing = rule.cases.iter().filter(|case| !case.verdict.is_pass());
    let mut screens: Vec<&str> = failing.map(|case| explanation(grade, case)).collect();
    // Cases that were not run share one reason.
    screens.dedup();
    screens.join("\n\n")
}

/// Why somebody has to read the file, if somebody has to.
fn held(grade: &GradeReport) -> Option<String> {
    let lines: Vec<String> = grade.held.iter().map(|held| format!("  line {}: {}\n", held.line, held.reason)).collect();
    let remark = format!("Held for review: {} points wait until somebody has read the file.\n", grade.report.score);
    (!lines.is_empty()).then(|| remark + &lines.concat())
}

/// What holds for the whole grade, when something does.
pub fn remark(grade: &GradeReport) -> Option<String> {
    match (held(grade), outcome(grade)) {
        (Some(held), Some(outcome)) => Some(format!("{held}\n{outcome}")),
        (held, outcome) => held.or(outcome),
    }
}

fn outcome(grade: &GradeReport) -> Option<String> {
    if let Some(message) = &grade.compiler_message {
        return Some(format!("The file does not compile, so no case was run.\n\n{message}"));
    }
    grade.report.void.as_ref().map(|why| format!("Nothing counts: {why}"))
}

/// The grade as a short table for the terminal.
pub fn table(grade: &GradeReport) -> String {
    let mut text = remark(grade).map_or_else(String::new, |remark| format!("{}\n\n", remark.trim_end()));
    let width = grade.report.rules.iter().map(|rule| rule.id.chars().count()).max().unwrap_or(0);
    for rule in &grade.report.rules {
        let mut lost: Vec<&str> = rule
            .cases
            .iter()
            .filter(|case| !case.verdict.is_pass())
            .map(|case| verdict_in_words(case.verdict))
            .collect();
        lost.dedup();
        let row = format!("{:>5} /{:>3}  {:width$}  {}", rule.earned, rule.points, rule.id, lost.join(", "));
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:>5} /{:>3}  points\n", grade.report.score, grade.report.max_score));
    text
}
