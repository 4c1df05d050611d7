//! Gradescope's `results.json`: a test for each rule, worth the rule's points.

use super::{GradeReport, remark, screens};
use crate::leaderboard::Standing;
use crate::sandbox::Protection;
use crate::show::{Show, Visibility};
use crate::source_rules::Held;
use proctor::report::RuleResult;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub struct Results {
    score: u32,
    execution_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    output_format: &'static str,
    visibility: Visibility,
    tests: Vec<Test>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leaderboard: Vec<Entry>,
    extra_data: Extra,
}

/// A column of the leaderboard.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    value: Value,
    order: &'static str,
}

/// What Gradescope keeps for the instructor's own scripts.
#[derive(Serialize)]
struct Extra {
    sha256: String,
    held: Vec<Held>,
    sandbox: Protection,
}

#[derive(Serialize)]
struct Test {
    number: String,
    name: String,
    score: u32,
    max_score: u32,
    status: &'static str,
    output: String,
    output_format: &'static str,
    visibility: Visibility,
}

impl Results {
    pub fn new(grade: &GradeReport, show: &Show) -> Self {
        let shares = grade.shares().into_iter().enumerate();
        Results {
            score: grade.score(),
            execution_time: grade.seconds,
            output: remark(grade),
            output_format: "text",
            visibility: show.visibility,
            tests: shares.map(|(i, (rule, share))| test(grade, show, i + 1, rule, share)).collect(),
            leaderboard: if show.leaderboard.is_some() { leaderboard(grade) } else { Vec::new() },
            extra_data: Extra {
                sha256: grade.sha256.clone(),
                held: grade.held.clone(),
                sandbox: grade.sandbox.clone(),
            },
        }
    }
}

/// The points and, with all of them, what the examiner has counted. What waits isn't compared with what counts.
fn leaderboard(grade: &GradeReport) -> Vec<Entry> {
    if grade.is_waiting() || grade.unreadable.is_some() {
        return Vec::new();
    }
    let mut columns = vec![Entry { name: "Points", value: grade.score().into(), order: "desc" }];
    if let Some(standing) = Standing::of(grade) {
        columns.push(Entry { name: "Memory used (%)", value: standing.used().into(), order: "desc" });
        columns.push(Entry { name: "Chunks per request", value: standing.looked_at().into(), order: "asc" });
    }
    columns
}

fn test(grade: &GradeReport, show: &Show, number: usize, rule: &RuleResult, share: u32) -> Test {
    // The sum above counts; a rule's own points are what its cases found while they wait.
    let score = if grade.is_waiting() { rule.earned } else { share };
    Test {
        number: number.to_string(),
        name: format!("{}: {}", rule.id, rule.text),
        score,
        max_score: rule.points,
        status: if score == rule.points { "passed" } else { "failed" },
        output: screens(grade, rule),
        output_format: "text",
        visibility: show.visibility,
    }
}
