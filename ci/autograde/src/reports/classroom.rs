//! The results that the two GitHub Classrooms read.

use super::{GradeReport, remark, screens};
use crate::html::shorten;
use proctor::report::RuleResult;
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
    /// A test for each rule, worth the rule's points. Its runner calls a submission passed when all tests are: what is held has one more,
    /// which isn't.
    pub fn new(grade: &GradeReport) -> Self {
        let what = match &grade.unreadable {
            Some(_) => Some("nothing to grade: the release says why".to_owned()),
            None => grade.is_waiting().then(|| format!("held for review: {} points wait", grade.report.score)),
        };
        let review = what.map(|test_name| FiftyTest { test_name, passed: false, score: 0, max_score: 0 });
        let rules = grade.shares().into_iter().map(|(rule, share)| FiftyTest {
            // The sentence of a rule may be longer than the 100 bytes there are.
            test_name: rule.id.clone(),
            passed: share == rule.points || (grade.is_waiting() && rule.earned == rule.points),
            score: share,
            max_score: rule.points,
        });
        Fifty {
            schema: "classroom50/result/v1",
            score: grade.score(),
            max_score: grade.report.max_score,
            tests: review.into_iter().chain(rules).collect(),
        }
    }
}

/// A runner, as the older Classroom's reporter knows it, and what it reads from the environment variable `RUNNER_RESULTS`, in base64.
#[derive(Serialize)]
pub struct Runner {
    runner: String,
    results: Results,
}

#[derive(Serialize)]
struct Results {
    version: u32,
    status: &'static str,
    max_score: u32,
    tests: [Test; 1],
}

#[derive(Serialize)]
struct Test {
    name: String,
    status: &'static str,
    score: u32,
    message: String,
    test_code: String,
    filename: String,
    line_no: u32,
    duration: f64,
}

/// A runner for each rule. The reporter shows a runner's points as its share of passed tests, and records the tests' points: with one
/// test these are the same. It prints a message only of an error, and of a failing test no more than its code: so the pictures are there.
///
/// Where something holds for the whole grade, and its points don't count, that is all there is to read: one runner, one error.
pub fn older(grade: &GradeReport) -> Vec<Runner> {
    let error = match remark(grade) {
        Some(remark) if grade.score() == 0 && grade.decision.is_none() => Some(remark),
        _ => None,
    };
    if let Some(message) = error {
        let message = shorten(&message).to_owned();
        let test = Test { message, status: "error", ..test(grade, "the submission", 0) };
        return vec![runner("submission", grade.report.max_score, test)];
    }
    let decided = grade.decision.as_ref().and_then(|_| remark(grade)).map(|remark| {
        let name = remark.lines().next().unwrap_or_default().to_owned();
        runner("decision", 0, Test { status: "pass", ..test(grade, &name, 0) })
    });
    let rules = grade.shares().into_iter().flat_map(|(rule, share)| of_rule(grade, rule, share));
    decided.into_iter().chain(rules).collect()
}

/// A decision may give a part of a rule's points: then what is given passes, and the rest fails.
fn of_rule(grade: &GradeReport, rule: &RuleResult, share: u32) -> Vec<Runner> {
    let seconds = rule.cases.iter().map(|case| case.seconds).sum();
    let code = format!("{}\n\n{}", rule.text, shorten(&screens(grade, rule)));
    let passed = (share > 0).then(|| {
        let test = Test { status: "pass", duration: seconds, ..test(grade, &rule.id, share) };
        runner(&name(&rule.id), share, test)
    });
    let failed = (share < rule.points).then(|| {
        let test = Test { test_code: code, duration: seconds, ..test(grade, &rule.id, 0) };
        let name = if share > 0 { name(&rule.id) + "rest" } else { name(&rule.id) };
        runner(&name, rule.points - share, test)
    });
    passed.into_iter().chain(failed).collect()
}

/// The rule's id without what an environment variable's name can't have.
fn name(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn runner(name: &str, max_score: u32, test: Test) -> Runner {
    let results = Results { version: 1, status: test.status, max_score, tests: [test] };
    Runner { runner: name.to_owned(), results }
}

fn test(grade: &GradeReport, name: &str, score: u32) -> Test {
    Test {
        name: name.to_owned(),
        status: "fail",
        score,
        message: String::new(),
        test_code: String::new(),
        filename: grade.file.clone(),
        line_no: 0,
        duration: 0.0,
    }
}
