//! An attack on the grader earns what the honest part of the submission earns, and leaves nothing behind.
//!
//! `cargo test -p selfcheck --test attacks hostile -- --nocapture` prints what each tries and shows. With `ATTACKS=answers` in the environment,
//! only those are tried whose lab or name has that in it, and what the learner would see is printed too.

use autograde::{Course, Grade, Grader, Submission, Unreadable};
use proctor::lab::Lab;
use selfcheck::course::{self, labs, read, reference_file};
use selfcheck::grading::confining;
use selfcheck::hostile::{Attack, SUCCESS, attacks};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const WORK_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile");

/// There must not be fewer of them.
const LEAST: usize = 90;
/// No attack may take longer than this, on a machine that does other things too. The honest take 2 s.
const LONGEST: Duration = Duration::from_secs(240);
/// How many attacks there are between two honest submissions.
const HONEST_EVERY: usize = 15;

/// Two at a time: some attacks only wait.
const SITTINGS: usize = 2;

#[test]
fn an_attack_earns_what_its_honest_part_earns_and_leaves_nothing_behind() {
    if !is_sandboxed() {
        return;
    }
    let all: Vec<Attack> = labs().iter().flat_map(|lab| attacks(lab).unwrap_or_else(|line| panic!("{line}"))).collect();
    assert!(all.len() >= LEAST, "only {} attacks", all.len());
    let wanted = std::env::var("ATTACKS").unwrap_or_default();
    let is_wanted = |attack: &Attack| format!("{} {}", attack.lab.name, attack.name).contains(&wanted);
    let all: Vec<Attack> = all.into_iter().filter(is_wanted).collect();
    let is_shown = !wanted.is_empty();
    let wrong: String = thread::scope(|scope| {
        let sitting = |number| {
            let attacks: Vec<&Attack> = all.iter().skip(number).step_by(SITTINGS).collect();
            let dir = Path::new(WORK_DIR).join(number.to_string());
            scope.spawn(move || try_all(&attacks, &dir, is_shown))
        };
        let sittings: Vec<_> = (0..SITTINGS).map(sitting).collect();
        sittings.into_iter().map(|sitting| sitting.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(left_running(), Vec::<String>::new());
}

fn is_sandboxed() -> bool {
    let course = Course::find(course::root()).unwrap();
    let mut grader = confining(course.grader(&Path::new(WORK_DIR).join("0")).unwrap()).unwrap();
    let protection = grader.protection().unwrap();
    if !protection.is_complete() {
        eprintln!("SKIPPED, since the sandbox is not complete on this machine: {protection:?}");
    }
    protection.is_complete()
}

/// Has a grader of its own grade these, with honest submissions in between. What is wrong, a line each.
fn try_all(all: &[&Attack], work_dir: &Path, is_shown: bool) -> String {
    let course = Course::find(course::root()).unwrap();
    let mut grader = confining(course.grader(work_dir).unwrap()).unwrap();
    // Warm: what is compiled once for a lab is not part of what the attacks on it take or leave.
    let honest = labs().into_iter().find(|lab| lab.name == "lab03").unwrap();
    let is_graded = |lab: &Lab| lab.name == honest.name || all.iter().any(|attack| attack.lab.name == lab.name);
    for lab in labs().iter().filter(|lab| is_graded(lab)) {
        assert_honest(&mut grader, lab, "the start");
    }
    let before = outside(work_dir);
    let (mut table, mut wrong) = (String::new(), String::new());
    for (i, attack) in all.iter().enumerate() {
        let grade = grader.grade(&attack.lab, &attack.text).unwrap_or_else(|e| panic!("{}: {e}", attack.name));
        // The points of what is held don't count until somebody has read it.
        let (score, counts) = (grade.report.score, if grade.held.is_empty() { "" } else { "held" });
        let (lab, name) = (&attack.lab.name, &attack.name);
        let took = grade.took.as_secs_f64();
        let _ = writeln!(table, "{lab}  {name:<44} {score:>4}  {counts:<4} {took:>5.1} s  {}", attack.tries);
        for fault in faults(attack, &grade) {
            let _ = writeln!(wrong, "{lab} {name}: {fault}");
        }
        if work_dir.join("private").exists() {
            let _ = writeln!(wrong, "{lab} {name}: left private files behind");
        }
        if is_shown {
            let failing = grade.report.cases().filter(|case| !case.verdict.is_pass() && !case.screen.is_empty());
            let screens = grade.compiler_message.iter().chain(failing.map(|case| &case.screen).take(2));
            screens.for_each(|screen| println!("{name}: {}", screen));
        }
        if i % HONEST_EVERY == HONEST_EVERY - 1 {
            assert_honest(&mut grader, &honest, name);
        }
    }
    println!("{table}");
    assert_honest(&mut grader, &honest, "the end");
    let after = outside(work_dir);
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        if before.get(path) != after.get(path) {
            let _ = writeln!(wrong, "changed: {}", path.display());
        }
    }
    wrong
}

fn faults(attack: &Attack, grade: &Grade) -> Vec<String> {
    let mut faults = Vec::new();
    let (score, earns) = (grade.report.score, attack.earns);
    if score > earns || (score < earns && !attack.or_less) {
        faults.push(format!("earned {score}, not {earns}"));
    }
    for reason in &attack.held {
        if !grade.held.iter().any(|held| held.reason.contains(reason)) {
            faults.push(format!("is not held for {reason}: {:?}", grade.held));
        }
    }
    if attack.held.is_empty() && !grade.held.is_empty() {
        faults.push(format!("is held: {:?}", grade.held));
    }
    if grade.took > LONGEST {
        faults.push(format!("took {:.0?}", grade.took));
    }
    let screens: Vec<&str> =
        grade.report.cases().map(|case| &*case.screen).chain(grade.compiler_message.as_deref()).collect();
    if let Some(screen) = screens.iter().find(|screen| screen.contains(SUCCESS)) {
        faults.push(format!("succeeded:\n{screen}"));
    }
    if screens.iter().any(|screen| screen.contains(|c: char| c.is_control() && c != '\n' && c != '\t')) {
        faults.push("a terminal would obey its screen".to_owned());
    }
    faults
}

fn assert_honest(grader: &mut Grader, lab: &Lab, after: &str) {
    let grade = grader.grade(lab, &read(&reference_file(lab))).unwrap();
    assert_eq!(grade.report.score, 100, "an honest submission after {after}: {:?}", grade.compiler_message);
    assert!(grade.held.is_empty());
}

/// What no submission may change: the course, the copy of it and the exams in `work_dir`, and what attacks name elsewhere.
fn outside(work_dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for dir in ["Cargo.toml", "Cargo.lock", ".cargo", "labs", "ci", "book/src"] {
        note(&course::root().join(dir), &mut files);
        note(&work_dir.join("course").join(dir), &mut files);
    }
    note(&work_dir.join("exams"), &mut files);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for name in [".cargo/config.toml", ".cargo/registry/hostile-was-here", ".bashrc", ".profile"] {
        note(&home.join(name), &mut files);
    }
    for dir in ["/tmp", "/var/tmp", "/dev/shm"] {
        note(&Path::new(dir).join("hostile-was-here"), &mut files);
    }
    files
}

fn note(path: &Path, files: &mut BTreeMap<PathBuf, u64>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            note(&entry.path(), files);
        }
    } else if let Ok(content) = fs::read(path) {
        let mut hasher = DefaultHasher::new();
        (content, fs::metadata(path).map(|metadata| metadata.permissions().readonly()).ok()).hash(&mut hasher);
        files.insert(path.to_path_buf(), hasher.finish());
    }
}

/// Programs of the graded labs that are still there.
fn left_running() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let programs = processes.filter_map(|entry| fs::read_link(entry.path().join("exe")).ok());
    programs.filter(|program| program.starts_with(WORK_DIR)).map(|program| program.display().to_string()).collect()
}

#[test]
fn a_file_that_is_no_text_or_too_much_of_it_gets_one_line() {
    let place = tempfile::tempdir().unwrap();
    let lab = labs().into_iter().find(|lab| lab.name == "lab03").unwrap();
    let file = place.path().join("free_list.rs");
    let huge = fs::File::create(&file).unwrap();
    huge.set_len(100 << 20).unwrap();
    assert!(matches!(Submission::read(&file, &lab), Err(Unreadable::TooLarge)));
    fs::write(&file, b"// caf\xe9").unwrap();
    assert!(matches!(Submission::read(&file, &lab), Err(Unreadable::NotUtf8(_))));
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    // A link is no file.
    assert!(matches!(Submission::read(place.path(), &lab), Err(Unreadable::NoFiles)));
}

#[test]
fn a_text_made_to_crash_its_reader_is_only_a_text_that_does_not_compile() {
    let course = Course::find(course::root()).unwrap();
    let mut grader = confining(course.grader(&Path::new(WORK_DIR).join("texts")).unwrap()).unwrap();
    let lab = labs().into_iter().find(|lab| lab.name == "lab03").unwrap();
    let nested = format!("const A: u8 = {}0{};", "(".repeat(200_000), ")".repeat(200_000));
    let signs = format!("const A: bool = {}true;", "!".repeat(500_000));
    let types = format!("type A = {}u8;", "&".repeat(500_000));
    let large = " ".repeat((1 << 20) + 1);
    for (what, text) in [("nested", nested), ("signs", signs), ("types", types), ("large", large)] {
        let grade = grader.grade(&lab, &text).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((grade.report.score, grade.held), (0, Vec::new()), "{what}");
        println!("{what:<8} {:>5.1} s  {}", grade.took.as_secs_f64(), grade.compiler_message.unwrap());
    }
}
