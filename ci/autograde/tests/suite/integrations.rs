//! The files in `integrations/`, run as the systems run them, with their folders and variables.

use crate::course::{BROKEN, FakeCourse, HALF, RIGHT};
use crate::reports::assert_valid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A course under git that has the integrations.
struct Site {
    course: FakeCourse,
}

impl Site {
    fn new() -> Self {
        let site = Site { course: FakeCourse::new() };
        let to = site.integrations();
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        ok(&Command::new("cp").args(["-r", "integrations"]).arg(&to).output().unwrap());
        for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "A course"]] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]);
            ok(&git.args(arguments).current_dir(site.course.root()).output().unwrap());
        }
        site
    }

    fn place(&self) -> PathBuf {
        self.course.root().parent().unwrap().to_path_buf()
    }

    fn integrations(&self) -> PathBuf {
        self.course.root().join("ci/autograde/integrations")
    }

    /// Something to run in an empty place, with this build's grader.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.place()).env("AUTOGRADE", env!("CARGO_BIN_EXE_autograde"));
        command
    }
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn github_actions_and_the_older_classroom_get_their_result_and_no_commands() {
    let site = Site::new();
    let hostile = BROKEN.replace("\"one\"", "\n::error::forged\n\"one\"");
    for (text, status, score) in [(HALF, "fail", 40), (RIGHT, "pass", 100), (&hostile, "error", 0)] {
        let submission = site.course.submit("submission", "labs/lab03/src/free_list.rs", text);
        let outputs = site.place().join("outputs");
        let _ = fs::remove_file(&outputs);
        let mut step = site.command(site.integrations().join("github/grade.sh"));
        let printed =
            ok(&step.args(["lab03"]).arg(&submission).arg("results").env("GITHUB_OUTPUT", &outputs).output().unwrap());
        let lines: Vec<&str> = printed.lines().collect();
        let token = lines[0].strip_prefix("::stop-commands::").unwrap();
        assert_eq!(token.len(), 32);
        assert_eq!(*lines.last().unwrap(), format!("::{token}::"));

        let line = fs::read_to_string(&outputs).unwrap();
        let encoded = line.strip_prefix("result=").unwrap().trim_end();
        fs::write(site.place().join("encoded"), encoded).unwrap();
        let decoded = ok(&Command::new("base64").arg("-d").arg(site.place().join("encoded")).output().unwrap());
        let result = assert_valid(include_str!("../schemas/classroom.schema.json"), status, &decoded);
        assert_eq!(result["status"], status);
        let sum: i64 = result["tests"].as_array().unwrap().iter().map(|test| test["score"].as_i64().unwrap()).sum();
        assert_eq!(sum, score);
    }
}

#[test]
fn classroom_50_gets_its_result() {
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no python3");
        return eprintln!("skipped: there is no python3");
    }
    let site = Site::new();
    let submission = site.course.submit("submission", "labs/lab03/src/free_list.rs", HALF);
    let mut runner = site.command("python3");
    runner.arg(site.integrations().join("classroom50/autograder.py")).current_dir(&submission);
    runner.env("COURSE", site.course.root());
    for name in ["CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL"] {
        runner.env(name, name.to_lowercase());
    }
    ok(&runner.output().unwrap());
    let text = fs::read_to_string(submission.join("result.json")).unwrap();
    let result = assert_valid(include_str!("../schemas/classroom50.schema.json"), "half", &text);
    assert_eq!(
        (&result["score"], &result["max-score"], &result["classroom"]),
        (&40.into(), &100.into(), &"classroom".into())
    );
    assert_eq!(result["tests"][1]["test-name"], "unlink");
    assert_eq!(result["tests"][1]["passed"], false);

    fs::remove_file(submission.join("result.json")).unwrap();
    fs::remove_dir_all(submission.join("labs")).unwrap();
    assert!(!runner.output().unwrap().status.success(), "nothing to grade is no score");
    assert!(!submission.join("result.json").exists());
}

#[test]
fn gitlab_gets_its_junit_report() {
    let site = Site::new();
    let submission = site.course.submit("submission", "labs/lab03/src/free_list.rs", HALF);
    let mut job = site.command(site.integrations().join("gitlab/grade.sh"));
    ok(&job.args(["lab03", ".", "results"]).current_dir(&submission).output().unwrap());
    let junit = fs::read_to_string(submission.join("results/junit.xml")).unwrap();
    assert!(junit.contains("failures=\"1\""), "{junit}");
}

#[test]
fn gradescope_gets_its_results_or_an_error_but_never_points_for_nothing() {
    let site = Site::new();
    let zip = ok(&site
        .command(site.integrations().join("gradescope/make_zip"))
        .args(["lab03", "autograder.zip"])
        .output()
        .unwrap());
    let base = site.place().join("autograder");
    let (submission, results) = (base.join("submission"), base.join("results/results.json"));
    for folder in ["source", "submission", "results"] {
        fs::create_dir_all(base.join(folder)).unwrap();
    }
    let mut archive = zip::ZipArchive::new(fs::File::open(zip.trim()).unwrap()).unwrap();
    archive.extract(base.join("source")).unwrap();
    let run = |name: &str| {
        let mut command = site.command("bash");
        command
            .arg(base.join("source").join(name))
            .env("AUTOGRADER", &base)
            .env("AUTOGRADER_SOURCE", base.join("source"));
        command.output().unwrap()
    };
    ok(&run("setup.sh"));

    fs::write(submission.join("free_list.rs"), HALF).unwrap();
    ok(&run("run_autograder"));
    let schema = include_str!("../schemas/gradescope.schema.json");
    let graded = assert_valid(schema, "half", &fs::read_to_string(&results).unwrap());
    assert_eq!(graded["score"], 40);

    fs::write(submission.join("free_list.rs"), b"\xff\"\\").unwrap();
    ok(&run("run_autograder"));
    let unreadable = assert_valid(schema, "unreadable", &fs::read_to_string(&results).unwrap());
    assert_eq!(unreadable["score"], 0);
    assert!(unreadable["output"].as_str().unwrap().contains("not UTF-8 (line 1)"));

    fs::write(submission.join("free_list.rs"), HALF).unwrap();
    fs::write(base.join("source/course/labs/lab03/tests/exam.rs"), "broken").unwrap();
    assert!(!run("run_autograder").status.success());
    assert!(!results.exists());
}

#[test]
fn autolab_reads_the_last_two_lines() {
    let site = Site::new();
    let lab = site.place().join("autolab");
    fs::create_dir_all(&lab).unwrap();
    ok(&site.command(site.integrations().join("autolab/make_tar")).arg(lab.join("autograde.tar")).output().unwrap());
    let grade = |text: &[u8]| {
        fs::write(lab.join("free_list.rs"), text).unwrap();
        let mut make = site.command("make");
        make.arg("-s").arg("-f").arg(site.integrations().join("autolab/Makefile")).current_dir(&lab);
        ok(&make.output().unwrap()).lines().rev().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let [scores, feedback] = &grade(HALF.as_bytes())[..] else { panic!("two lines") };
    let (scores, feedback): (Value, Value) =
        (serde_json::from_str(scores).unwrap(), serde_json::from_str(feedback).unwrap());
    assert_eq!(scores["scores"], serde_json::json!({ "lifo": 40, "unlink": 0 }));
    assert_eq!(feedback["_presentation"], "semantic");
    assert_eq!(feedback["Rules"]["lifo"]["passed"], true);
    assert!(feedback["Rules"]["unlink"]["hint"].as_str().unwrap().contains("saw <0>"));
    assert_eq!(grade(b"\xff")[0], "{\"scores\": {}}");
}

#[test]
fn slurm_grades_in_shards_and_merges() {
    let site = Site::new();
    for (i, text) in [RIGHT, HALF, BROKEN, HALF].iter().enumerate() {
        site.course.submit(&format!("class/learner {i}"), "free_list.rs", text);
    }
    // A cluster of one node: the tasks of an array run one after the other, right away.
    let bin = site.place().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let sbatch = r#"#!/usr/bin/env bash
set -e
tasks=1
for argument in "$@"; do
    case $argument in --array=1-*) tasks=${argument#--array=1-};; esac
done
for k in $(seq "$tasks"); do SLURM_ARRAY_TASK_ID=$k SLURM_CPUS_PER_TASK=1 bash "${@: -1}" >&2; done
echo "7;cluster"
"#;
    fs::write(bin.join("sbatch"), sbatch).unwrap();
    fs::set_permissions(bin.join("sbatch"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut submit = site.command(site.integrations().join("slurm/submit"));
    ok(&submit.args(["lab03", "class", "results", "3"]).env("PATH", path).output().unwrap());
    let summary = fs::read_to_string(site.place().join("results/class/summary.csv")).unwrap();
    assert_eq!(summary.lines().count(), 5, "{summary}");
    assert_eq!(json(&site.place().join("results/class/batch.json"))["class_size"], 4);
}
