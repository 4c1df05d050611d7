//! Starters, references and lists of cases are what the labs say. `SELFCHECK_LAB=lab03` has only that lab looked at.

use proctor::lab::Lab;
use proctor::report::{Report, Verdict};
use selfcheck::course::{self, labs_asked_for, read, reference_file};
use selfcheck::grading::{Job, grade_all};
use selfcheck::outline;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/grading");

#[test]
fn every_case_of_a_starter_fails_as_not_written() {
    for (lab, report) in graded(Lab::learner_file) {
        assert_eq!(report.score, 0, "{}", lab.name);
        for case in report.cases() {
            assert_eq!(case.verdict, Verdict::NotWritten, "{} {}\n{}", lab.name, case.name, case.screen);
        }
    }
}

#[test]
fn references_pass_every_case() {
    for (lab, report) in graded(reference_file) {
        assert_eq!(report.score, 100, "{}", lab.name);
        for case in report.cases() {
            assert!(case.verdict.is_pass(), "{} {}\n{}", lab.name, case.name, case.screen);
        }
        // What a case tells its learner about memory is in the report too, for the leaderboard.
        let measured: BTreeSet<&String> =
            report.cases().filter(|case| case.screen.contains("memory used")).map(|case| &case.name).collect();
        assert_eq!(report.costs.keys().collect::<BTreeSet<_>>(), measured, "{}", lab.name);
        for (case, cost) in &report.costs {
            assert!(0 < cost.peak && cost.peak <= cost.memory && cost.requests > 0, "{} {case}: {cost:?}", lab.name);
        }
        assert!(lab.name != "lab06" || measured.len() == 6, "six programs: {measured:?}");
    }
}

/// Every lab, and what the file of each that `file` names earns.
fn graded(file: impl Fn(&Lab) -> std::path::PathBuf) -> Vec<(Lab, Report)> {
    let labs = labs_asked_for();
    let texts: Vec<String> = labs.iter().map(|lab| read(&file(lab))).collect();
    let jobs: Vec<Job> = labs.iter().zip(&texts).map(|(lab, text)| Job { lab, text, cases: &[] }).collect();
    let grades = grade_all(&jobs, Path::new(WORK_DIR)).unwrap_or_else(|line| panic!("{line}"));
    for (lab, grade) in labs.iter().zip(&grades) {
        assert_eq!(grade.compiler_message, None, "{} does not compile", lab.name);
    }
    labs.into_iter().zip(grades.into_iter().map(|grade| grade.report)).collect()
}

#[test]
fn starters_and_references_compile_without_a_warning() {
    let labs = labs_asked_for();
    let packages: Vec<&str> = labs.iter().flat_map(|lab| ["--package", lab.name.as_str()]).collect();
    let references: Vec<String> = labs.iter().map(|lab| format!("{}/solution", lab.name)).collect();
    for features in [String::new(), references.join(",")] {
        let arguments = ["clippy", "--quiet", "--all-targets", "--features", &features];
        let output = cargo(arguments.into_iter().chain(packages.iter().copied()), &["-D", "warnings"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_lists_of_cases_are_the_tests() {
    for lab in labs_asked_for() {
        let listing =
            cargo(["test", "--quiet", "--package", &lab.name, "--test", "exam"], &["--list", "--format=terse"]);
        assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
        let listing = String::from_utf8_lossy(&listing.stdout);
        let tests: BTreeSet<&str> = listing.lines().filter_map(|line| line.strip_suffix(": test")).collect();
        let cases: BTreeSet<&str> = lab.rules.iter().flat_map(|rule| &rule.cases).map(String::as_str).collect();
        assert_eq!(cases, tests, "lab.toml (left) and the tests (right) of {}", lab.name);
    }
}

/// Docs and signatures in two files drift apart unless somebody looks.
#[test]
fn a_starter_is_its_reference_without_the_bodies() {
    for lab in labs_asked_for() {
        let outline = |text: &str| outline::of(text).unwrap_or_else(|line| panic!("{}: {line}", lab.name));
        let (starter, reference) = (outline(&read(&lab.learner_file())), outline(&read(&reference_file(&lab))));
        let drifted: Vec<_> = starter.difference(&reference).collect();
        assert!(drifted.is_empty(), "{}: only in the starter:\n{drifted:#?}", lab.name);
        // A private helper of the reference is its own business.
        let more: Vec<_> = reference.difference(&starter).filter(|item| item.contains("pub ")).collect();
        assert!(more.is_empty(), "{}: only in the reference:\n{more:#?}", lab.name);
    }
}

/// Runs cargo in the course: `arguments`, then `--` and `behind`.
fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>, behind: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(course::root()).args(arguments).arg("--").args(behind);
    cargo.output().unwrap_or_else(|e| panic!("cargo can't be started: {e}"))
}
