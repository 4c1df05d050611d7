//! Gradescope's `results.json`: a test for each rule, worth the rule's points.

use super::{explanation, remark};
use crate::Grade;
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
    pub fn new(grade: &Grade) -> Self {
        let rules = grade.report.rules.iter().enumerate();
        Results {
            score: grade.report.score,
            execution_time: grade.took.as_secs_f64(),
            output: remark(grade),
            output_format: "text",
            visibility: "visible",
            tests: rules.map(|(i, rule)| test(grade, i + 1, rule)).collect(),
            extra_data: Extra { held: grade.held.clone(), sandbox: grade.sandbox.clone() },
        }
    }
}

fn test(grade: &Grade, number: usize, rule: &RuleResult) -> Test {
    let failing = rule.cases.iter().filter(|case| !case.verdict.is_pass());
    let mut screens: Vec<&str> = failing.map(|case| explanation(grade, case)).collect();
    // Cases that were not run share one reason.
    screens.dedup();
    Test {
        number: number.to_string(),
        name: format!("{}: {}", rule.id, rule.text),
        score: rule.earned,
        max_score: rule.points,
        status: if rule.earned == rule.points { "passed" } else { "failed" },
        output: screens.join("\n\n"),
        output_format: "text",
        visibility: "visible",
    }
}
