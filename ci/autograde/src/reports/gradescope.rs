//! Gradescope's `results.json`: a test for each rule, worth the rule's points.

use super::{GradeReport, remark, screens};
use crate::sandbox::Protection;
use crate::show::{Show, Visibility};
use crate::source_rules::Held;
use proctor::report::RuleResult;
use serde::Serialize;

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
    value: u32,
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
        // What waits isn't compared with what counts.
        let compared = show.leaderboard && !grade.is_waiting() && grade.unreadable.is_none();
        Results {
            score: grade.score(),
            execution_time: grade.seconds,
            output: remark(grade),
            output_format: "text",
            visibility: show.visibility,
            tests: shares.map(|(i, (rule, share))| test(grade, show, i + 1, rule, share)).collect(),
            leaderboard: if compared {
                vec![Entry { name: "Points", value: grade.score(), order: "desc" }]
            } else {
                Vec::new()
            },
            extra_data: Extra {
                sha256: grade.sha256.clone(),
                held: grade.held.clone(),
                sandbox: grade.sandbox.clone(),
            },
        }
    }
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
