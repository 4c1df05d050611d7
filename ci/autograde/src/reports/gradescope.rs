//! Gradescope's `results.json`: a test for each rule, worth the rule's points.

use super::{GradeReport, remark, screens};
use crate::sandbox::Protection;
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
    visibility: &'static str,
    tests: Vec<Test>,
    extra_data: Extra,
}

/// What Gradescope keeps for the instructor's own scripts.
#[derive(Serialize)]
struct Extra {
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
    visibility: &'static str,
}

impl Results {
    pub fn new(grade: &GradeReport) -> Self {
        let rules = grade.report.rules.iter().enumerate();
        Results {
            score: grade.counted(grade.report.score),
            execution_time: grade.seconds,
            output: remark(grade),
            output_format: "text",
            visibility: "visible",
            tests: rules.map(|(i, rule)| test(grade, i + 1, rule)).collect(),
            extra_data: Extra { held: grade.held.clone(), sandbox: grade.sandbox.clone() },
        }
    }
}

fn test(grade: &GradeReport, number: usize, rule: &RuleResult) -> Test {
    Test {
        number: number.to_string(),
        name: format!("{}: {}", rule.id, rule.text),
        score: rule.earned,
        max_score: rule.points,
        status: if rule.earned == rule.points { "passed" } else { "failed" },
        output: screens(grade, rule),
        output_format: "text",
        visibility: "visible",
    }
}
