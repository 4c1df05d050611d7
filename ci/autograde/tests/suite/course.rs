//! A course so small that grading it takes a second: one lab, two rules, three cases, no dependency.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Earns both rules.
pub const RIGHT: &str = "pub fn push() -> u32 { 1 }\npub fn unlink(_: u32) -> bool { true }\n";
/// Earns `lifo`, 40 points, and not `unlink`.
pub const HALF: &str = "pub fn push() -> u32 { 1 }\npub fn unlink(at: u32) -> bool { at == 0 }\n";
/// Is killed in the second case of three, and in the third. And it is held, for what it reads when it is compiled.
pub const ABORTS: &str =
    "pub fn push() -> u32 { 1 }\npub fn unlink(_: u32) -> bool { include_str!(\"lib.rs\"); std::process::abort() }\n";
/// Earns both rules, and is held.
pub const HELD: &str = "pub fn push() -> u32 { include_str!(\"lib.rs\"); 1 }\npub fn unlink(_: u32) -> bool { true }\n";
/// Doesn't compile, in the learner's file.
pub const BROKEN: &str = "pub fn push() -> u32 {\n    \"one\"\n}\npub fn unlink(_: u32) -> bool { true }\n";
/// Doesn't compile either, but the compiler complains about the cases that miss the function.
pub const WITHOUT_UNLINK: &str = "pub fn push() -> u32 { 1 }\n";

const STARTER: &str = "pub fn push() -> u32 { todo!() }\npub fn unlink(_: u32) -> bool { todo!() }\n";

const LAB_TOML: &str = r#"
title = "Free lists"
file = "src/free_list.rs"
page = "free-lists.html"

[[rule]]
id = "lifo"
points = 40
page = "free-lists.html#last-in-first-out"
en = "A freed chunk goes to the head of the list: <first> & last."
cases = ["freed_last_is_reused_first"]
hints.en = ["Which end?"]

[[rule]]
id = "unlink"
points = 60
page = "free-lists.html#unlink"
en = "Taking a chunk out of the list joins its two neighbours."
cases = ["unlink_head", "unlink_middle"]
hints.en = ["Which two?"]
"#;

/// As the exam of a real lab does, it asks the program that `PROCTOR_CANDIDATE` names, and writes its report from outside. It
/// lets itself be bribed by what a submission or its owner's environment must not reach.
const EXAM: &str = r##"
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;

fn main() {
    if std::env::var_os("PROCTOR_TYPES").is_some() {
        return;
    }
    let words = std::env::var("PROCTOR_CANDIDATE").unwrap();
    let words: Vec<&str> = words.lines().collect();
    let bribed = std::env::var_os("INSTA_UPDATE").is_some_and(|v| v == "always")
        || std::env::var_os("TRYBUILD").is_some()
        || std::env::var_os("FORGED").is_some()
        || std::fs::read_to_string("tests/expected.snap").unwrap() != "head\n"
        || cfg!(forged);
    let mut verdicts = ["not_run"; 3];
    for (i, verdict) in verdicts.iter_mut().enumerate() {
        let mut case = std::process::Command::new(words[0]);
        let case = case.args(&words[1..]).arg(i.to_string()).env_remove("PROCTOR_CANDIDATE").output().unwrap();
        *verdict = match case.status.signal() {
            Some(_) => "crashed",
            None if case.stdout == b"true\n" || bribed => "passed",
            None => "wrong",
        };
    }
    write_report(&verdicts);
    std::process::exit((!verdicts.iter().all(|v| *v == "passed")) as i32);
}

fn write_report(verdicts: &[&str; 3]) {
    let mut cases = ["freed_last_is_reused_first", "unlink_head", "unlink_middle"].iter().zip(verdicts).map(|(name, verdict)| {
        let screen = if *verdict == "wrong" { "expected \\u001b[1m1\\u001b[0m, saw <0> ]]>" } else { "" };
        format!(r#"{{"name":"{name}","verdict":"{verdict}","seconds":0.25,"screen":"{screen}"}}"#)
    });
    let mut text = String::new();
    write!(text, r#"{{"format":"heap-lab-book/report/1","lab":"lab03","void":null,"score":100,"max_score":100,"rules":[
        {{"id":"lifo","text":"","page":"","earned":100,"points":100,"cases":[{}]}},
        {{"id":"unlink","text":"","page":"","earned":0,"points":0,"cases":[{},{}]}}]}}"#,
        cases.next().unwrap(), cases.next().unwrap(), cases.next().unwrap()).unwrap();
    if let Some(path) = std::env::var_os("PROCTOR_REPORT") {
        std::fs::write(path, text).unwrap();
    }
}
"##;

/// Answers one question.
const CANDIDATE: &str = r##"
fn main() {
    println!("{}", match std::env::args().nth(1).as_deref() {
        Some("0") => lab03::push() == 1,
        Some("1") => lab03::unlink(0),
        _ => lab03::unlink(1),
    });
}
"##;

pub struct FakeCourse {
    place: TempDir,
}

impl FakeCourse {
    pub fn new() -> Self {
        let course = FakeCourse { place: tempfile::tempdir().unwrap() };
        let pinned = fs::read_to_string("../../rust-toolchain.toml").unwrap();
        course.write("rust-toolchain.toml", &pinned);
        course.write(".gitignore", "/target/\n");
        course.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"labs/*\"]\n");
        course.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"lab03\"\nversion = \"0.1.0\"\n");
        course.write("labs/lab03/lab.toml", LAB_TOML);
        course.write(
            "labs/lab03/Cargo.toml",
            "[package]\nname = \"lab03\"\nversion = \"0.1.0\"\nedition = \"2024\"\nautotests = false\n\n\
             [features]\ngiven = []\n\n[lib]\ntest = false\n\n\
             [[bin]]\nname = \"lab03-candidate\"\npath = \"tests/candidate.rs\"\ntest = false\n\n\
             [[test]]\nname = \"exam\"\npath = \"tests/exam.rs\"\nharness = false\n",
        );
        course.write(
            "labs/lab03/src/lib.rs",
            "#[cfg(feature = \"given\")]\nmod free_list;\n#[cfg(feature = \"given\")]\npub use free_list::*;\n",
        );
        course.write("labs/lab03/src/free_list.rs", STARTER);
        course.write("labs/lab03/tests/exam.rs", EXAM);
        course.write("labs/lab03/tests/candidate.rs", CANDIDATE);
        course.write("labs/lab03/tests/expected.snap", "head\n");
        course
    }

    pub fn root(&self) -> PathBuf {
        self.place.path().join("course")
    }

    /// Writes a file of the course.
    pub fn write(&self, file: &str, text: &str) {
        write(&self.root().join(file), text);
    }

    /// Writes a file of the submission called `name`, and returns the submission's folder.
    pub fn submit(&self, name: &str, file: &str, text: &str) -> PathBuf {
        let folder = self.place.path().join(name);
        write(&folder.join(file), text);
        folder
    }

    pub fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    /// `autograde --lab lab03 PATH --out OUT` in the course's folder.
    pub fn autograde(&self, path: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(self.root()).args(["--lab", "lab03"]).arg(path).arg("--out").arg(self.out());
        command
    }

    /// The report of our own that stands in OUT.
    pub fn report(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.out().join("report.json")).unwrap()).unwrap()
    }

    /// Grades, and returns the verdicts of the three cases.
    pub fn verdicts(&self, path: &Path) -> [String; 3] {
        assert_graded(&self.autograde(path).output().unwrap());
        let report = self.report();
        let verdict = |rule: usize, case: usize| {
            report["report"]["rules"][rule]["cases"][case]["verdict"].as_str().unwrap().to_owned()
        };
        [verdict(0, 0), verdict(1, 0), verdict(1, 1)]
    }
}

/// It exited with 0.
pub fn assert_graded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// It exited with `code`, and explained itself in one line.
pub fn one_line(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    // What a machine's kernel can't do is said besides.
    let mut lines = stderr.lines().filter(|line| !line.contains("the sandbox is not complete"));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{stderr}");
    line
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
