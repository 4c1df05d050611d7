//! Writes a grade down: as JSON of our own, as JUnit XML and in the formats of course systems.

mod autolab;
mod classroom;
mod gradescope;
mod junit;
mod markdown;
mod page;

use crate::decisions::Decision;
use crate::entry::{digest, in_one_line, printable};
use crate::sandbox::Protection;
use crate::show::Show;
use crate::source_rules::Held;
use crate::{Error, Grade, Submission, Unreadable};
use proctor::lab::Lab;
use proctor::report::{self, CaseResult, Report, RuleResult, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// The SHA-256 of the learner's file.
    pub sha256: String,
    /// The revision of the course that it was graded with.
    pub course_revision: Option<String>,
    /// The compiler that it was graded with.
    pub toolchain: String,
    /// How long it took.
    pub seconds: f64,
    /// Why somebody has to read the file before its points count.
    pub held: Vec<Held>,
    /// What somebody has decided about this version of the file.
    pub decision: Option<Decision>,
    /// What the submission was kept away from.
    pub sandbox: Protection,
    /// What the compiler said when it refused the file.
    pub compiler_message: Option<String>,
    /// The results, case by case.
    pub report: Report,
    /// Why there was nothing to grade. Only those who read a single submission's reports see it: a class has a line for it.
    #[serde(skip)]
    pub unreadable: Option<String>,
}

/// Our own report, which [`GradeReport::load`] reads.
const OWN: &str = "report.json";

/// The files that [`GradeReport::write`] leaves in its folder.
pub const FILES: [&str; 8] =
    [OWN, "junit.xml", "results.json", "classroom50.json", "classroom.json", "autolab.txt", "report.md", "page.html"];

impl GradeReport {
    /// The report of one submission.
    pub fn new(submission: &Submission, grade: Grade, toolchain: &str, course_revision: Option<&str>) -> Self {
        GradeReport {
            format: FORMAT.to_owned(),
            submission: submission.name.clone(),
            file: in_one_line(submission.file.as_os_str()),
            sha256: digest(&submission.text),
            course_revision: course_revision.map(str::to_owned),
            toolchain: toolchain.to_owned(),
            seconds: grade.took.as_secs_f64(),
            held: grade.held.into_iter().map(|held| held.quoting(&submission.text)).collect(),
            decision: None,
            sandbox: grade.sandbox,
            compiler_message: grade.compiler_message,
            report: grade.report,
            unreadable: None,
        }
    }

    /// What is said about a submission in which there is nothing to grade.
    pub fn unreadable(name: &str, lab: &Lab, what: &Unreadable) -> Self {
        GradeReport {
            format: FORMAT.to_owned(),
            submission: name.to_owned(),
            file: in_one_line(lab.file.as_os_str()),
            sha256: String::new(),
            course_revision: None,
            toolchain: String::new(),
            seconds: 0.0,
            held: Vec::new(),
            decision: None,
            sandbox: Protection::default(),
            compiler_message: None,
            report: Report::new(lab, &BTreeMap::new(), None),
            unreadable: Some(printable(&what.to_string())),
        }
    }

    /// Reads the report that [`GradeReport::write`] left in `out`.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load(out: &Path) -> Result<Self, Error> {
        let path = out.join(OWN);
        let text = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
        let report: GradeReport = serde_json::from_str(&text).map_err(Error::at(&path))?;
        if report.format != FORMAT {
            return Err(Error::Format { path, format: report.format, wanted: FORMAT });
        }
        Ok(report)
    }

    /// Writes [`FILES`] into the folder `out`. Of an unreadable submission there is no report of our own.
    ///
    /// # Errors
    /// One line that names the file and what the system said.
    pub fn write(&self, out: &Path, lab: &Lab, show: &Show) -> Result<(), Error> {
        let texts = [
            to_json(self),
            junit::to_xml(self),
            to_json(&gradescope::Results::new(self, show)),
            to_json(&classroom::Fifty::new(self)),
            to_json(&classroom::older(self)),
            Ok(autolab::to_lines(self)),
            Ok(markdown::to_text(self)),
            Ok(page::to_html(self, lab, show)),
        ];
        for (name, text) in FILES.into_iter().zip(texts) {
            if name == OWN && self.unreadable.is_some() {
                continue;
            }
            let path = out.join(name);
            text.and_then(|text| report::replace(&path, &text)).map_err(Error::at(&path))?;
        }
        Ok(())
    }

    /// Whether the points wait until somebody has read the file.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty() && self.decision.is_none()
    }

    /// The points that count now: what is decided, else what the cases found, and none while they wait.
    pub fn score(&self) -> u32 {
        match &self.decision {
            Some(decision) => decision.points(self.report.score),
            None if self.is_waiting() => 0,
            None => self.report.score,
        }
    }

    /// What each rule has of [`GradeReport::score`]: what it earned, as far as that goes; what a decision adds goes to the first
    /// rules that lack some. So the rules sum to the score for every system that sums them.
    pub fn shares(&self) -> Vec<(&RuleResult, u32)> {
        let mut left = self.score();
        let mut give = |most: u32| {
            let given = most.min(left);
            left -= given;
            given
        };
        let rules = &self.report.rules;
        let mut shares: Vec<u32> = rules.iter().map(|rule| give(rule.earned)).collect();
        for (share, rule) in shares.iter_mut().zip(rules) {
            *share += give(rule.points - *share);
        }
        rules.iter().zip(shares).collect()
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
    if let Some(line) = &grade.unreadable {
        return line;
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

/// Why somebody has to read the file, or what somebody has decided.
fn review(grade: &GradeReport) -> Option<String> {
    let lines: Vec<String> = grade.held.iter().map(|held| format!("  line {}: {}\n", held.line, held.reason)).collect();
    let (found, full) = (grade.report.score, grade.report.max_score);
    let remark = match &grade.decision {
        Some(decision) => {
            let (who, why) = (printable(&decision.who), printable(&decision.why));
            format!("Decided by {who}: {} of {full} points count; the cases found {found}. {why}\n", grade.score())
        }
        None if lines.is_empty() => return None,
        None => format!("Held for review: {found} points wait until somebody has read the file.\n"),
    };
    Some(remark + &lines.concat())
}

/// What holds for the whole grade, when something does.
pub fn remark(grade: &GradeReport) -> Option<String> {
    match (review(grade), outcome(grade)) {
        (Some(review), Some(outcome)) => Some(format!("{review}\n{outcome}")),
        (review, outcome) => review.or(outcome),
    }
}

fn outcome(grade: &GradeReport) -> Option<String> {
    if let Some(line) = &grade.unreadable {
        return Some(format!("There is nothing to grade: {line}"));
    }
    if let Some(message) = &grade.compiler_message {
        return Some(format!("The file does not compile, so no case was run.\n\n{message}"));
    }
    grade.report.void.as_ref().map(|why| format!("Nothing counts: {why}"))
}

/// The grade as a short table for the terminal.
pub fn table(grade: &GradeReport) -> String {
    let mut text = remark(grade).map_or_else(String::new, |remark| format!("{}\n\n", remark.trim_end()));
    let width = grade.report.rules.iter().map(|rule| rule.id.chars().count()).max().unwrap_or(0);
    for (rule, share) in grade.shares() {
        let share = if grade.is_waiting() { rule.earned } else { share };
        let mut lost: Vec<&str> = rule
            .cases
            .iter()
            .filter(|case| !case.verdict.is_pass())
            .map(|case| verdict_in_words(case.verdict))
            .collect();
        lost.dedup();
        let row = format!("{share:>5} /{:>3}  {:width$}  {}", rule.points, rule.id, lost.join(", "));
        text.push_str(row.trim_end());
        text.push('\n');
    }
    let score = if grade.is_waiting() { grade.report.score } else { grade.score() };
    text.push_str(&format!("{score:>5} /{:>3}  points\n", grade.report.max_score));
    text
}
