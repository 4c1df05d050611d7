//! The attacks that reach for the examiner, on a learner's machine: the student edition, `cargo test -p lab03`, and no sandbox. They
//! earn what they earn with an instructor, and break nothing.
//!
//! `cargo test -p selfcheck --test attacks home -- --nocapture` prints what each earns.

use autograde::{Course, handout};
use proctor::report::{Report, Verdict};
use proctor::wire::REPORT_FILE;
use selfcheck::course::{self, labs, read, reference_file};
use selfcheck::hostile::{Attack, SUCCESS, attacks};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLACE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/home");

/// There must not be fewer of them.
const LEAST: usize = 12;

#[test]
fn an_attack_at_home_earns_what_it_earns_elsewhere() {
    let all: Vec<Attack> = labs().iter().flat_map(|lab| attacks(lab).unwrap_or_else(|line| panic!("{line}"))).collect();
    let all: Vec<Attack> = all.into_iter().filter(|attack| attack.at_home).collect();
    assert!(all.len() >= LEAST, "only {} attacks", all.len());
    let home = student_edition();
    let mut wrong = String::new();
    for attack in &all {
        fs::write(learner_file(&home, attack), &attack.text).unwrap();
        let report = home.join("report.json");
        let _ = fs::remove_file(&report);
        let output = grade(&home, &attack.lab.name, &report);
        let (name, said) = (&attack.name, String::from_utf8_lossy(&output.stdout));
        let Ok(report) = Report::load(&report) else {
            let _ = writeln!(wrong, "{name}: no report\n{said}{}", String::from_utf8_lossy(&output.stderr));
            continue;
        };
        println!("{name:<44} {:>4}", report.score);
        let (score, earns) = (report.score, attack.earns);
        if score > earns || (score < earns && !attack.or_less) {
            let _ = writeln!(wrong, "{name}: earned {score}, not {earns}\n{said}");
        }
        if let Some(case) = report.cases().find(|case| case.verdict == Verdict::NotRun || case.screen.contains(SUCCESS))
        {
            let _ = writeln!(wrong, "{name}: {} is {:?}\n{}", case.name, case.verdict, case.screen);
        }
        // The examiner has lived to say so.
        if !said.contains(&format!("{score} of 100 points")) {
            let _ = writeln!(wrong, "{name}: there is no table\n{said}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(left_running(), Vec::<PathBuf>::new());
}

/// What a learner has, with the earlier labs done.
fn student_edition() -> PathBuf {
    let home = Path::new(PLACE).join("course");
    let _ = fs::remove_dir_all(&home);
    let course = Course::find(course::root()).unwrap();
    handout::write(&course, &home).unwrap_or_else(|line| panic!("{line}"));
    for lab in labs() {
        let file = home.join("labs").join(&lab.name).join(&lab.file);
        fs::write(file, read(&reference_file(&lab))).unwrap();
    }
    home
}

fn learner_file(home: &Path, attack: &Attack) -> PathBuf {
    home.join("labs").join(&attack.lab.name).join(&attack.lab.file)
}

fn grade(home: &Path, lab: &str, report: &Path) -> Output {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--package", lab]).current_dir(home).env(REPORT_FILE, report);
    cargo.env("CARGO_TARGET_DIR", Path::new(PLACE).join("target")).env("CARGO_INCREMENTAL", "0");
    cargo.output().unwrap()
}

/// Programs that were started there and are still running.
fn left_running() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read_link(entry.path().join("exe")).ok())
        .filter(|program| program.starts_with(PLACE))
        .collect()
}
