//! A seed draws other workloads, and the same ones every time.

use autograde::{Course, Error};
use selfcheck::course::{self, labs, read, reference_file};
use selfcheck::grading::confining;
use selfcheck::zoo;
use std::path::Path;

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grading/0");
const CASE: &str = "every_fit_survives_long_workloads";

#[test]
fn a_seed_draws_other_workloads_and_always_the_same() {
    let lab = labs().into_iter().find(|lab| lab.name == "lab03").expect("there is a lab 3");
    let zoo = zoo::members(&lab).unwrap_or_else(|line| panic!("{line}"));
    let wrong = zoo.iter().find(|member| member.name == "searches_without_the_cost").expect("it is in the zoo");
    let text = wrong.apply(&read(&reference_file(&lab))).unwrap_or_else(|line| panic!("{line}"));
    let course = Course::find(course::root()).expect("this is the course");
    let screen = |seed| {
        let graded = || {
            let mut grader = confining(course.grader(Path::new(WORK_DIR))?.seed(seed))?;
            grader.grade_cases(&lab, &text, &[CASE.to_owned()])
        };
        let grade = graded().unwrap_or_else(|line: Error| panic!("{line}"));
        assert_eq!(grade.report.seed, seed);
        grade.report.cases().find(|case| case.name == CASE).map(|case| case.screen.clone()).unwrap_or_default()
    };
    let usual = screen(None);
    let seeded = screen(Some(77));
    assert!(usual.contains("the shortest story") && seeded.contains("the shortest story"), "{usual}\n{seeded}");
    let play_again = format!("PROCTOR_SEED=77 cargo test -p lab03 {CASE}");
    assert!(seeded.contains(&play_again) && !usual.contains("PROCTOR_SEED"), "{seeded}\n{usual}");
    let story = |screen: &str| screen.replace(&format!("  play again   {play_again}\n"), "");
    assert_ne!(story(&seeded), story(&usual));
    assert_eq!(screen(Some(77)), seeded);
}
