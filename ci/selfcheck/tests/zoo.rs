//! Every wrong implementation is caught, and every right one passes.
//!
//! `cargo test -p selfcheck --test zoo -- --nocapture` prints who caught what; with `SELFCHECK_LAB=lab03` before it, in that lab alone.

use autograde::Grade;
use autograde::source_rules;
use proctor::lab::Lab;
use proctor::report::CaseResult;
use selfcheck::course::{labs_asked_for, read, reference_file};
use selfcheck::grading::{Job, grade_all};
use selfcheck::zoo::{self, Failure, Member};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grading");

/// A lab's zoo must not shrink below these numbers.
const LEAST_WRONG: usize = 12;
const LEAST_RIGHT: usize = 3;

/// One implementation of a lab.
struct Animal {
    lab: Lab,
    member: Member,
    text: String,
}

static ANIMALS: LazyLock<Vec<Animal>> = LazyLock::new(|| {
    let animals_of = |lab: Lab| -> Vec<Animal> {
        let reference = read(&reference_file(&lab));
        let members = zoo::members(&lab).unwrap_or_else(|line| panic!("{line}"));
        let animal = |member: Member| {
            let text = member.apply(&reference).unwrap_or_else(|e| panic!("{} {}: {e}", lab.name, member.name));
            Animal { lab: lab.clone(), member, text }
        };
        members.into_iter().map(animal).collect()
    };
    labs_asked_for().into_iter().flat_map(animals_of).collect()
});

/// What each of [`ANIMALS`] earned; graded once for all tests of this file.
static GRADES: LazyLock<Vec<Grade>> = LazyLock::new(|| {
    let job = |animal: &'static Animal| {
        // The other cases of a wrong one say nothing more, and there are hundreds of wrong ones.
        let cases = animal.member.fails.as_ref().map_or(&[][..], |failure| &failure.caught_by);
        Job { lab: &animal.lab, text: &animal.text, cases }
    };
    let jobs: Vec<Job> = ANIMALS.iter().map(job).collect();
    grade_all(&jobs, Path::new(WORK_DIR)).unwrap_or_else(|line| panic!("{line}"))
});

fn graded() -> impl Iterator<Item = (&'static Animal, &'static Grade)> {
    ANIMALS.iter().zip(GRADES.iter())
}

#[test]
fn every_member_of_the_zoo_applies_and_names_cases_of_its_lab() {
    for lab in labs_asked_for() {
        let of_lab = || ANIMALS.iter().filter(|animal| animal.lab.name == lab.name);
        let wrong: Vec<&Failure> = of_lab().filter_map(|animal| animal.member.fails.as_ref()).collect();
        assert!(wrong.len() >= LEAST_WRONG, "{} has only {} wrong ones", lab.name, wrong.len());
        let right = of_lab().count() - wrong.len();
        assert!(right >= LEAST_RIGHT, "{} has only {right} right ones", lab.name);
        for case in wrong.iter().flat_map(|failure| &failure.caught_by) {
            assert!(lab.rule_of_case(case).is_some(), "{} has no case `{case}`", lab.name);
        }
    }
}

#[test]
fn every_case_has_a_wrong_implementation_to_catch() {
    let mut idle = String::new();
    for lab in labs_asked_for() {
        let of_lab = ANIMALS.iter().filter(|animal| animal.lab.name == lab.name);
        let caught: BTreeSet<&String> =
            of_lab.filter_map(|animal| animal.member.fails.as_ref()).flat_map(|failure| &failure.caught_by).collect();
        for case in lab.rules.iter().flat_map(|rule| &rule.cases).filter(|case| !caught.contains(case)) {
            let _ = writeln!(idle, "{}: nobody has seen `{case}` fail", lab.name);
        }
    }
    assert!(idle.is_empty(), "\n{idle}A wrong implementation has to name it in `caught-by`.");
}

#[test]
fn every_wrong_implementation_is_caught_by_the_case_whose_rule_it_breaks() {
    let (mut table, mut at_large) = (String::new(), String::new());
    for (animal, grade) in graded() {
        let Some(failure) = &animal.member.fails else { continue };
        let (lab, name) = (&animal.lab.name, &animal.member.name);
        for case in &failure.caught_by {
            let seen = find(grade, case).verdict;
            let _ = writeln!(table, "{lab}  {name:<36}  {:<8}  {case}", format!("{seen:?}").to_lowercase());
            if seen != failure.verdict {
                let _ = writeln!(at_large, "{lab} {name}: {case} ended {seen:?}, not {:?}", failure.verdict);
                at_large.extend(grade.compiler_message.iter().map(String::as_str));
            }
        }
    }
    println!("{table}");
    assert!(at_large.is_empty(), "\n{at_large}");
}

#[test]
fn the_source_rules_hold_none_of_them() {
    let animals = ANIMALS.iter().map(|animal| (animal.member.name.clone(), animal.text.clone()));
    let own = labs_asked_for().into_iter().flat_map(|lab| {
        [("the starter", lab.learner_file()), ("the reference", reference_file(&lab))]
            .map(|(name, file)| (format!("{name} of {}", lab.name), read(&file)))
    });
    for (name, text) in animals.chain(own) {
        assert_eq!(source_rules::read(&text), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn every_right_implementation_passes() {
    let mut refused = String::new();
    for (animal, grade) in graded().filter(|(animal, _)| animal.member.fails.is_none()) {
        println!("{}  {:<36}  {} points", animal.lab.name, animal.member.name, grade.report.score);
        let failing = grade.report.cases().filter(|case| !case.verdict.is_pass());
        for case in failing {
            let _ = writeln!(refused, "{} {}: {}\n{}", animal.lab.name, animal.member.name, case.name, case.screen);
        }
        refused.extend(grade.compiler_message.iter().map(String::as_str));
    }
    assert!(refused.is_empty(), "\n{refused}");
}

fn find<'a>(grade: &'a Grade, case: &str) -> &'a CaseResult {
    let found = grade.report.cases().find(|result| result.name == case);
    found.unwrap_or_else(|| panic!("there is no case `{case}`"))
}
