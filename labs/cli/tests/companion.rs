//! `cargo lab` as a learner runs it, in a course of two labs.

use proctor::lab::Lab;
use proctor::report::{CaseResult, Report, Verdict};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

const LAB02: &str = r#"
title = "Chunks"
file = "src/chunk.rs"
page = "chunks.html"

[[rule]]
id = "size"
points = 100
page = "chunks.html#from-request-to-chunk"
en = "A chunk has room for the request and its header."
cases = ["every_request_fits"]
hints.en = ["What does a header cost?"]
"#;

const LAB03: &str = r#"
title = "Free lists"
file = "src/free_list.rs"
page = "free-lists.html"

[[rule]]
id = "lifo"
points = 40
page = "free-lists.html#last-in-first-out"
en = "A freed chunk goes to the head of the list: the last one freed is the first one used again."
cases = ["freed_last_is_reused_first"]
hints.en = ["Which end?", "Draw it.", "The head."]
hints.when.overlap.en = "Who else has it?"
hints.when.freed_last_is_reused_first.en = "Which one was last?"

[[rule]]
id = "unlink"
points = 60
page = "free-lists.html#unlink-from-anywhere"
en = "Taking a chunk out of the list joins its two neighbours."
cases = ["unlink_head", "unlink_middle"]
hints.en = ["Which two?"]
"#;

/// A course whose target folder holds the program, as cargo would have built it.
struct Course {
    root: TempDir,
}

impl Course {
    fn new() -> Self {
        let course = Course { root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        course.write("Cargo.toml", "[workspace]\n");
        course.write("labs/lab02/lab.toml", LAB02);
        course.write("labs/lab02/src/chunk.rs", "");
        course.write("labs/lab03/lab.toml", LAB03);
        course.write("labs/lab03/src/free_list.rs", "");
        course.write("target/CACHEDIR.TAG", "");
        course.write("target/debug/.fingerprint", "");
        fs::hard_link(env!("CARGO_BIN_EXE_lab"), course.program()).unwrap();
        course
    }

    fn program(&self) -> PathBuf {
        self.path("target/debug/lab")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        // Somewhere below the root: the course is found upward.
        let here = self.path("labs/lab03/src");
        Command::new(self.program()).args(arguments).current_dir(here).output().unwrap()
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line it answers bad usage with.
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    }

    /// A finished run of `lab` in which these cases passed.
    fn has_run(&self, lab: &str, passed: &[&str]) {
        self.has_failed_with(None, lab, passed);
    }

    /// The same; what failed, failed in this way.
    fn has_failed_with(&self, kind: Option<&str>, lab: &str, passed: &[&str]) {
        let lab = Lab::load(&self.path("labs").join(lab)).unwrap();
        let cases = lab.rules.iter().flat_map(|rule| rule.cases.clone());
        let results = cases.map(|name| {
            let verdict = if passed.contains(&name.as_str()) { Verdict::Passed } else { Verdict::Wrong };
            (
                name.clone(),
                CaseResult {
                    name,
                    verdict,
                    kind: kind.map(str::to_owned),
                    seconds: 0.0,
                    screen: String::new(),
                    playground: None,
                },
            )
        });
        let report = Report::new(&lab, &results.collect(), None);
        report.save(&self.path("target/lab-reports").join(format!("{}.json", lab.name))).unwrap();
    }
}

#[test]
fn at_the_start_nothing_is_tried_and_red_is_normal() {
    let course = Course::new();
    assert_eq!(
        course.says(&[]),
        "
  lab02  Chunks      ░░░░░░░░░░░░░░░░░░░░    –   not tried yet
  lab03  Free lists  ░░░░░░░░░░░░░░░░░░░░    –   not tried yet

Next · lab02 · size · 100 points
  A chunk has room for the request and its header.

  Not tried yet. Red at the start is normal: nothing is written, and each red
  case says what to write first.

  edit    labs/lab02/src/chunk.rs
  read    Chunks › from request to chunk (cargo book, then
          chunks.html#from-request-to-chunk)
  run     cargo test -p lab02
  stuck?  cargo lab hint lab02
"
    );
}

#[test]
fn the_next_thing_is_the_first_rule_that_is_not_earned() {
    let course = Course::new();
    course.has_run("lab02", &["every_request_fits"]);
    course.has_run("lab03", &["freed_last_is_reused_first", "unlink_head"]);
    assert_eq!(
        course.says(&[]),
        "
  lab02  Chunks      ████████████████████  100   1 of 1 rules
  lab03  Free lists  ████████░░░░░░░░░░░░   40   1 of 2 rules

Next · lab03 · unlink · 60 points
  Taking a chunk out of the list joins its two neighbours.

  edit    labs/lab03/src/free_list.rs
  read    Free lists › unlink from anywhere (cargo book, then
          free-lists.html#unlink-from-anywhere)
  run     cargo test -p lab03
  stuck?  cargo lab hint lab03
"
    );
    course.has_run("lab03", &["freed_last_is_reused_first", "unlink_head", "unlink_middle"]);
    assert!(course.says(&[]).ends_with("All 2 labs are complete. Well done.\n"));
}

#[test]
fn points_from_before_the_last_edit_are_called_so() {
    let course = Course::new();
    course.has_run("lab02", &[]);
    std::thread::sleep(Duration::from_millis(20));
    course.write("labs/lab02/src/chunk.rs", "// edited");
    let text = course.says(&[]);
    assert!(text.contains("  0   0 of 1 rules   (edited since)\n"), "{text}");
    assert!(text.contains("The points are from before your last edit.\n"), "{text}");
}

#[test]
fn each_call_gives_one_more_hint_and_the_last_one_again() {
    let course = Course::new();
    assert_eq!(
        course.says(&["hint", "lab03"]),
        "lab03 · lifo · hint 1 of 3
A freed chunk goes to the head of the list: the last one freed is the first one
used again.

  Which end?

  more  cargo lab hint lab03 lifo
  read  Free lists › last in first out (cargo book, then
        free-lists.html#last-in-first-out)
"
    );
    assert!(course.says(&["hint", "lab03"]).contains("hint 2 of 3"));
    // Each rule counts its own.
    assert!(course.says(&["hint", "lab03", "unlink"]).contains("hint 1 of 1"));
    let last = course.says(&["hint", "lab03", "lifo"]);
    assert!(last.contains("hint 3 of 3") && last.contains("The head.") && !last.contains("more"), "{last}");
    let again = course.says(&["hint", "lab03", "lifo"]);
    assert!(again.contains("hint 3 of 3") && again.contains("The head."), "{again}");
    assert!(again.contains("every hint on this rule"), "{again}");
}

#[test]
fn a_mistake_that_was_made_has_a_hint_of_its_own() {
    let course = Course::new();
    course.says(&["hint", "lab03", "lifo"]);
    course.has_run("lab03", &[]);
    let fitting = course.says(&["hint", "lab03"]);
    assert!(fitting.contains("hint 1 of 4") && fitting.contains("Which one was last?"), "{fitting}");
    // What was given before isn't given again.
    assert!(course.says(&["hint", "lab03"]).contains("Draw it."));
    course.has_failed_with(Some("overlap"), "lab03", &[]);
    assert!(course.says(&["hint", "lab03"]).contains("Who else has it?"));
    course.has_run("lab03", &["freed_last_is_reused_first"]);
    assert!(course.says(&["hint", "lab03", "lifo"]).contains("hint 3 of 3"));
}

#[test]
fn a_hint_is_about_the_first_rule_not_earned() {
    let course = Course::new();
    course.has_run("lab03", &["freed_last_is_reused_first"]);
    assert!(course.says(&["hint", "lab03"]).starts_with("lab03 · unlink · hint 1 of 1\n"));
    course.has_run("lab02", &["every_request_fits"]);
    assert!(course.says(&["hint", "lab02"]).starts_with("Every rule of lab02 is earned."));
}

#[test]
fn a_reference_is_explained_to_those_who_have_done_it_themselves() {
    let course = Course::new();
    let says = || course.says(&["explain", "lab02"]);
    // A student edition has no references.
    assert_eq!(says(), "This copy of the course has no references, so there is none of lab02 to explain.\n");
    course.write("labs/lab02/solution/explain.md", "## Why\n\nIt is\n`short`.\n\n{{code Size::get}}\n");
    course.write(
        "labs/lab02/solution/chunk.rs",
        "impl Size {\n    pub fn get(self) -> usize {\n\n        self.0\n    }\n}\n",
    );
    let sentence = says();
    assert!(sentence.starts_with("lab02 has not been tried yet: ") && sentence.contains("cargo test"), "{sentence}");
    course.has_run("lab02", &[]);
    assert!(says().starts_with("lab02 has 0 of 1 rules, and the next one to earn is size: "));
    assert!(!course.says(&[]).contains("explain"), "there is nothing to explain yet");

    course.has_run("lab02", &["every_request_fits"]);
    assert_eq!(
        says(),
        "lab02 · Chunks · how the reference does it, and why

Why

It is `short`.

    // labs/lab02/solution/chunk.rs:2
    pub fn get(self) -> usize {

        self.0
    }
"
    );
    assert!(course.says(&[]).contains("\n  How the reference of lab02 does it, and why: cargo lab explain lab02\n"));

    std::thread::sleep(Duration::from_millis(20));
    course.write("labs/lab02/src/chunk.rs", "// edited");
    assert!(says().starts_with("You have edited your file since your last run of lab02"));
}

#[test]
fn an_explanation_of_what_the_reference_has_no_more_is_refused() {
    let course = Course::new();
    course.write("labs/lab02/solution/explain.md", "{{code Size::get}}\n");
    course.write("labs/lab02/solution/chunk.rs", "pub fn get() {\n}\n");
    course.has_run("lab02", &["every_request_fits"]);
    let output = course.run(&["explain", "lab02"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("labs/lab02/solution/chunk.rs has no `Size::get`"), "{stderr}");
}

#[test]
fn what_is_unknown_gets_one_line_that_lists_what_is_known() {
    let course = Course::new();
    assert!(course.refuses(&["hint", "lab99"]).contains("no lab `lab99` (there are: lab02, lab03)"));
    assert!(course.refuses(&["watch", "lab99"]).contains("no lab `lab99` (there are: lab02, lab03)"));
    assert!(course.refuses(&["hint", "lab03", "fifo"]).contains("no rule `fifo` (it has: lifo, unlink)"));
    assert!(course.refuses(&["explain", "lab99"]).contains("no lab `lab99` (there are: lab02, lab03)"));
    assert!(course.refuses(&["hint"]).contains("which lab?"));
    assert!(course.refuses(&["explain"]).contains("which lab? cargo lab explain LAB"));
    assert!(course.refuses(&["dance", "lab03"]).contains("can't do `dance lab03`"));
    assert!(course.refuses(&["--fast"]).contains("--fast"));
}

#[test]
fn a_broken_report_gets_one_line_and_the_way_out() {
    let course = Course::new();
    course.write("target/lab-reports/lab02.json", "{");
    let output = course.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("lab02.json") && stderr.contains("cargo test -p lab02"), "{stderr}");
}

#[test]
fn run_wants_a_program_and_race_wants_nothing() {
    let course = Course::new();
    assert_eq!(course.refuses(&["run"]), "cargo lab: which program? cargo lab run PROGRAM [ARGUMENT]...\n");
    assert!(course.refuses(&["race", "lab03"]).starts_with("cargo lab: can't do `race lab03`"));
    assert!(course.refuses(&["hint", "--solution", "lab03"]).contains("--solution"));
}

#[test]
fn a_program_that_runs_keeps_its_arguments_its_output_and_its_exit_code() {
    let course = Course::new();
    // It says that the library is built, and where it would be.
    course.write("cargo", "#!/bin/sh\necho '{\"filenames\":[\"/nowhere/libpreload.so\"]}'\n");
    let cargo = course.path("cargo");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&cargo, executable).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(course.program());
        command.arg("run").args(arguments).current_dir(course.path("labs")).env("CARGO", &cargo).output().unwrap()
    };
    let output = run(&["--given", "sh", "-c", "echo \"$0 $1\"; exit 7", "--solution", "two words"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"--solution two words\n");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("cargo lab run: sh never loaded your malloc."), "{told}");
    let missing = run(&["no-such-program"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().starts_with("cargo lab: no-such-program can't be started"));
}

#[test]
fn the_watch_grades_at_the_start_and_at_each_save_however_the_editor_saves() {
    let course = Course::new();
    let file = course.path("labs/lab03/src/free_list.rs");
    let watch = Watch::start(&course);
    watch.grades_once_more();
    assert!(watch.is_quiet(), "nothing was saved");

    fs::write(&file, "// written in place").unwrap();
    watch.grades_once_more();

    fs::write(file.with_extension("swp"), "// written beside, then renamed").unwrap();
    assert!(watch.is_quiet(), "another file was saved");
    fs::rename(file.with_extension("swp"), &file).unwrap();
    watch.grades_once_more();

    fs::rename(&file, file.with_extension("bak")).unwrap();
    assert!(watch.is_quiet(), "the file is away for a moment");
    fs::write(&file, "// written anew").unwrap();
    watch.grades_once_more();
}

/// A running `cargo lab watch lab03`, whose cargo only prints what it was asked for.
struct Watch {
    child: std::process::Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(course: &Course) -> Self {
        let cargo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pretend-cargo.sh");
        let mut child = Command::new(course.program())
            .args(["watch", "lab03"])
            .current_dir(course.path("labs"))
            .env("CARGO", cargo)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Watch { child, lines }
    }

    fn grades_once_more(&self) {
        let next = || self.lines.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(next(), "Grading lab03 …");
        assert_eq!(next(), "cargo test --package lab03");
        assert_eq!(next(), "");
        assert_eq!(next(), "Save labs/lab03/src/free_list.rs to grade again; Ctrl-C to leave.");
    }

    fn is_quiet(&self) -> bool {
        self.lines.recv_timeout(Duration::from_millis(400)).is_err()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
