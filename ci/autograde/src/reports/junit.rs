//! JUnit XML, which GitLab, Jenkins and most CI systems read: a suite for each rule, a test for each case.

use super::{GradeReport, explanation, verdict_in_words};
use proctor::report::{CaseResult, RuleResult, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub fn to_xml(grade: &GradeReport) -> Result<String, String> {
    let mut junit = Report::new(grade.report.lab.as_str());
    for rule in &grade.report.rules {
        let mut suite = TestSuite::new(rule.id.as_str());
        suite.add_test_cases(rule.cases.iter().map(|case| test_case(grade, rule, case)));
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(|e| e.to_string())
}

fn test_case(grade: &GradeReport, rule: &RuleResult, case: &CaseResult) -> TestCase {
    let voided = grade.report.void.is_some();
    let mut status = match case.verdict {
        Verdict::Passed if !voided => TestCaseStatus::success(),
        Verdict::Skipped if !voided => TestCaseStatus::skipped(),
        // JUnit's words: a failure is an answer that is wrong, an error is no answer.
        Verdict::Crashed | Verdict::Hung | Verdict::Exited | Verdict::NotRun => {
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
