//! The results that the two GitHub Classrooms read: a test for each rule, worth the rule's points.

use super::{GradeReport, remark, screens};
use serde::Serialize;

/// Classroom 50's `classroom50/result/v1`, as far as the grader knows it. Who handed in what, and where it lies, is
/// for the system's own runner to say: `integrations/classroom50/autograder.py` adds it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fifty {
    schema: &'static str,
    score: u32,
    max_score: u32,
    tests: Vec<FiftyTest>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FiftyTest {
    test_name: String,
    passed: bool,
    score: u32,
    max_score: u32,
}

impl Fifty {
    pub fn new(grade: &GradeReport) -> Self {
        let rules = grade.report.rules.iter();
        Fifty {
            schema: "classroom50/result/v1",
            score: grade.counted(grade.report.score),
            max_score: grade.report.max_score,
            tests: rules
                .map(|rule| FiftyTest {
                    // The sentence of a rule may be longer than the 100 bytes there are.
                    test_name: rule.id.clone(),
                    passed: rule.earned == rule.points,
                    score: grade.counted(rule.earned),
                    max_score: rule.points,
                })
                .collect(),
        }
    }
}

/// What the older Classroom's reporter expects, in base64, in an environment variable.
#[derive(Serialize)]
pub struct Older {
    version: u32,
    status: &'static str,
    max_score: u32,
    tests: Vec<OlderTest>,
}

#[derive(Serialize)]
struct OlderTest {
    name: String,
    status: &'static str,
    score: u32,
    message: String,
    test_code: String,
    filename: String,
    line_no: u32,
    duration: f64,
}

impl Older {
    pub fn new(grade: &GradeReport) -> Self {
        let rules = grade.report.rules.iter();
        let tests: Vec<OlderTest> = rules
            .map(|rule| OlderTest {
                name: rule.id.clone(),
                status: if rule.earned == rule.points { "pass" } else { "fail" },
                score: grade.counted(rule.earned),
                message: screens(grade, rule),
                test_code: rule.text.clone(),
                filename: grade.file.clone(),
                line_no: 0,
                duration: rule.cases.iter().map(|case| case.seconds).sum(),
            })
            .collect();
        let status = match remark(grade) {
            Some(_) => "error",
            None if grade.report.score == grade.report.max_score => "pass",
            None => "fail",
        };
        Older { version: 1, status, max_score: grade.report.max_score, tests }
    }
}
