//! Writes a grade down: as JSON of our own, as JUnit XML and as Gradescope's `results.json`.

mod gradescope;
mod junit;

use crate::sandbox::Protection;
use crate::source_rules::Held;
use crate::{Grade, Submission};
use proctor::report::{self, CaseResult, Report, Verdict};
use serde::Serialize;
use std::path::Path;

/// The name and version of our own format, in every `report.json`.
pub const FORMAT: &str = "heap-lab-book/grade/1";

/// Our own report: all there is to know about a grade.
#[derive(Debug, Serialize)]
pub struct GradeReport<'a> {
    format: &'a str,
    submission: &'a str,
    file: &'a Path,
    course_revision: Option<&'a str>,
    toolchain: &'a str,
    seconds: f64,
    held: &'a [Held],
    sandbox: &'a Protection,
    compiler_message: Option<&'a str>,
    ended_early: Option<&'a str>,
    report: &'a Report,
}

/// The files that [`write`] leaves in its folder.
pub const FILES: [&str; 3] = ["report.json", "junit.xml", "results.json"];

/// Writes the three reports into the folder `out`.
///
/// # Errors
/// One line that names the file and what the system said.
pub fn write(
    out: &Path,
    submission: &Submission,
    grade: &Grade,
    toolchain: &str,
    course_revision: Option<&str>,
) -> Result<(), String> {
    let own = GradeReport {
        format: FORMAT,
        submission: &submission.name,
        file: &submission.file,
        course_revision,
        toolchain,
        seconds: grade.took.as_secs_f64(),
        held: &grade.held,
        sandbox: &grade.sandbox,
        compiler_message: grade.compiler_message.as_deref(),
        ended_early: grade.ended_early.as_deref(),
        report: &grade.report,
    };
    let texts = [
        serde_json::to_string_pretty(&own).map_err(|e| e.to_string()),
        junit::to_xml(grade),
        serde_json::to_string_pretty(&gradescope::Results::new(grade)).map_err(|e| e.to_string()),
    ];
    for (name, text) in FILES.into_iter().zip(texts) {
        let path = out.join(name);
        text.and_then(|text| report::replace(&path, &text).map_err(|e| e.to_string()))
            .map_err(|what| format!("{}: {what}", path.display()))?;
    }
    Ok(())
}

/// A verdict as a person says it.
fn verdict_in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Skipped => "skipped on this machine",
        Verdict::NotWritten => "not written yet",
        Verdict::Wrong => "wrong",
        Verdict::Crashed => "crashed",
        Verdict::Hung => "ran out of time",
        Verdict::Exited => "ended the process",
        Verdict::NotRun => "not run",
    }
}

/// What a person needs to read about a case that did not pass: its screen, or why it has none.
fn explanation<'a>(grade: &'a Grade, case: &'a CaseResult) -> &'a str {
    if !case.screen.is_empty() {
        return &case.screen;
    }
    let why = grade.compiler_message.as_deref().or(grade.ended_early.as_deref());
    match (case.verdict, &grade.report.void, why) {
        (Verdict::NotRun, _, Some(why)) => why,
        (_, Some(void), _) => void,
        (verdict, ..) => verdict_in_words(verdict),
    }
}

/// Why somebody has to read the file, if somebody has to.
fn held(grade: &Grade) -> Option<String> {
    let lines: Vec<String> = grade.held.iter().map(|held| format!("  line {}: {}\n", held.line, held.reason)).collect();
    let remark = "Held for review: the points count once somebody has read the file.\n";
    (!lines.is_empty()).then(|| remark.to_owned() + &lines.concat())
}

/// What holds for the whole grade, when something does.
fn remark(grade: &Grade) -> Option<String> {
    match (held(grade), outcome(grade)) {
        (Some(held), Some(outcome)) => Some(format!("{held}\n{outcome}")),
        (held, outcome) => held.or(outcome),
    }
}

fn outcome(grade: &Grade) -> Option<String> {
    if let Some(message) = &grade.compiler_message {
        return Some(format!("The file does not compile, so no case was run.\n\n{message}"));
    }
    let void = grade.report.void.as_ref().map(|why| format!("Nothing counts: {why}"));
    grade.ended_early.clone().or(void)
}

/// The grade as a short table for the terminal.
pub fn table(grade: &Grade) -> String {
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
