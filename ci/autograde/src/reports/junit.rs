//! JUnit XML, which GitLab, Jenkins and most CI systems read: a suite for each rule, a test for each case.

use super::{GradeReport, explanation, review, verdict_in_words};
use proctor::report::{CaseResult, RuleResult, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;
use std::time::Duration;

pub fn to_xml(grade: &GradeReport) -> io::Result<String> {
    let mut junit = Report::new(grade.report.lab.as_str());
    if let Some(why) = review(grade) {
        let mut status = match grade.is_waiting() {
            true => TestCaseStatus::non_success(NonSuccessKind::Error),
            false => TestCaseStatus::success(),
        };
        if grade.is_waiting() {
            status.set_type("held for review").set_description(&why);
        }
        let name = if grade.is_waiting() { "held_for_review" } else { "decided" };
        let mut test_case = TestCase::new(name, status);
        test_case.set_classname(format!("{}.review", grade.report.lab));
        if !grade.is_waiting() {
            test_case.set_system_out(why);
        }
        let mut suite = TestSuite::new("review");
        suite.add_test_case(test_case);
        junit.add_test_suite(suite);
    }
    for rule in &grade.report.rules {
        let mut suite = TestSuite::new(rule.id.as_str());
        suite.add_property(("sandbox", grade.sandbox.active.join(", ").as_str()));
        if !grade.sandbox.is_complete() {
            suite.add_property(("sandbox-missing", grade.sandbox.missing.join(", ").as_str()));
        }
        suite.add_test_cases(rule.cases.iter().map(|case| test_case(grade, rule, case)));
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(io::Error::other)
}

fn test_case(grade: &GradeReport, rule: &RuleResult, case: &CaseResult) -> TestCase {
    let voided = grade.report.void.is_some();
    let mut status = match case.verdict {
        Verdict::Passed if !voided => TestCaseStatus::success(),
        Verdict::Skipped if !voided => TestCaseStatus::skipped(),
        // JUnit's words: a failure is an answer that is wrong, an error is no answer.
        Verdict::Crashed | Verdict::Hung | Verdict::Slow | Verdict::Exited | Verdict::NotRun => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if !matches!(status, TestCaseStatus::Success { .. }) {
        status
            .set_type(verdict_in_words(case.verdict))
            .set_message(rule.text.as_str())
            .set_description(explanation(grade, case));
    }
    let mut test_case = TestCase::new(case.name.as_str(), status);
    test_case
        .set_classname(format!("{}.{}", grade.report.lab, rule.id))
        .set_time(Duration::try_from_secs_f64(case.seconds).unwrap_or_default());
    test_case
}
