//! What GitHub shows as it is: the summary of a step, the text of a release.

use super::{GradeReport, explanation, remark, verdict_in_words};
use crate::html::shorten;
use std::fmt::Write;

/// GitHub takes a release's text of 125,000 characters, and a summary of a mebibyte.
const MOST: usize = 60_000;

/// The points, a table of the rules, and the screens of the failing cases as far as there is room.
pub fn to_text(grade: &GradeReport) -> String {
    let (score, full) = (grade.score(), grade.report.max_score);
    let points = match (grade.is_waiting(), &grade.unreadable) {
        (true, _) => format!("held for review, {} of {full} points wait", grade.report.score),
        (_, Some(_)) => "nothing to grade".to_owned(),
        _ => format!("{score} of {full} points"),
    };
    let mut text = format!("### {}: {points}\n\n", grade.report.lab);
    if let Some(remark) = remark(grade) {
        text.push_str(&fenced(&remark));
    }
    if grade.unreadable.is_some() {
        return text;
    }
    text.push_str("| Rule | Points | |\n|---|---|---|\n");
    for (rule, share) in grade.shares() {
        let share = if grade.is_waiting() { rule.earned } else { share };
        let mark = if share == rule.points { "✓" } else { "✗" };
        let _ = writeln!(text, "| {mark} `{}` | {share} / {} | {} |", rule.id, rule.points, in_a_cell(&rule.text));
    }
    let mut before = remark(grade).unwrap_or_default();
    for (rule, case) in grade.failing() {
        let screen = explanation(grade, case);
        // Cases that were not run share one reason.
        if before.contains(screen) || case.screen.is_empty() {
            continue;
        }
        before = screen.to_owned();
        let screen = fenced(shorten(screen));
        if text.len() + screen.len() > MOST {
            text.push_str("\n… and more, in the full report.\n");
            break;
        }
        let _ = write!(text, "\n**{}** · `{}` · {}\n\n{screen}", rule.id, case.name, verdict_in_words(case.verdict));
    }
    text
}

/// What learners wrote, as it is: the fence is longer than any in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n\n", text.trim_end())
}

/// A sentence of the course's own in a table.
fn in_a_cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}
