//! The files in `integrations/`, run as the systems run them, with their folders and variables.

use crate::course::{ABORTS, BROKEN, FakeCourse, HALF, HELD, RIGHT};
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
        Self::with(FakeCourse::new())
    }

    fn with(course: FakeCourse) -> Self {
        let site = Site { course };
        let to = site.integrations();
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        ok(&Command::new("cp").args(["-r", "integrations"]).arg(&to).output().unwrap());
        ok(&Command::new("git").args(["init", "-q"]).current_dir(site.course.root()).output().unwrap());
        site.commit();
        site
    }

    fn commit(&self) {
        for arguments in [&["add", "."][..], &["commit", "-q", "-m", "A course"]] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]);
            ok(&git.args(arguments).current_dir(self.course.root()).output().unwrap());
        }
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

fn there_is_python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "there is no python3");
        eprintln!("skipped: there is no python3");
    }
    there
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn github_actions_and_the_older_classroom_get_their_results_and_no_commands() {
    if !there_is_python() {
        return;
    }
    let site = Site::new();
    let hostile = BROKEN.replace("\"one\"", "\n::error::forged\n\"one\"");
    type Wanted<'a> = &'a [(&'a str, &'a str, i64)];
    let kinds: [(&str, &[u8], Wanted); 5] = [
        ("half", HALF.as_bytes(), &[("lifo", "pass", 40), ("unlink", "fail", 0)]),
        ("right", RIGHT.as_bytes(), &[("lifo", "pass", 40), ("unlink", "pass", 60)]),
        ("broken", hostile.as_bytes(), &[("submission", "error", 0)]),
        ("held", ABORTS.as_bytes(), &[("submission", "error", 0)]),
        ("unreadable", b"\xff", &[("submission", "error", 0)]),
    ];
    for (kind, text, wanted) in kinds {
        let submission = site.course.submit("submission", "labs/lab03/src/free_list.rs", "");
        fs::write(submission.join("labs/lab03/src/free_list.rs"), text).unwrap();
        let files = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"].map(|name| (name, site.place().join(name)));
        let mut step = site.command(site.integrations().join("github/grade.sh"));
        step.args(["lab03"]).arg(&submission).arg("results");
        for (name, path) in &files {
            let _ = fs::remove_file(path);
            step.env(name, path);
        }
        let output = step.output().unwrap();
        assert_eq!(output.status.code(), Some(if kind == "unreadable" { 3 } else { 0 }), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        let token = lines[0].strip_prefix("::stop-commands::").unwrap();
        assert_eq!(token.len(), 32);
        assert_eq!(*lines.last().unwrap(), format!("::{token}::"));

        let [env, outputs, summary] = files.map(|(_, path)| fs::read_to_string(path).unwrap());
        let names: Vec<&str> = wanted.iter().map(|(name, ..)| *name).collect();
        assert_eq!(outputs.trim(), format!("runners={}", names.join(",")), "{kind}");
        assert_eq!(env.lines().count(), wanted.len(), "{kind}: {env}");
        for (line, (name, status, score)) in env.lines().zip(wanted) {
            let encoded = line.strip_prefix(&format!("{}_RESULTS=", name.to_uppercase())).unwrap();
            fs::write(site.place().join("encoded"), encoded).unwrap();
            let decoded = ok(&Command::new("base64").arg("-d").arg(site.place().join("encoded")).output().unwrap());
            let result: Value = serde_json::from_str(&decoded).unwrap();
            assert_eq!(
                (&result["status"], &result["tests"][0]["score"]),
                (&(*status).into(), &(*score).into()),
                "{kind}"
            );
        }
        let seen = match kind {
            "right" => "100 of 100 points",
            "half" => "saw <0>",
            "broken" => "error[E0308]",
            "held" => "line 2: `include_str!`",
            _ => "not UTF-8 (line 1)",
        };
        assert!(summary.contains(seen) && printed.contains(seen), "{kind}: {summary}");
    }
}

#[test]
fn classroom_50_gets_its_result() {
    if !there_is_python() {
        return;
    }
    let site = Site::new();
    let submission = site.course.submit("submission", "labs/lab03/src/free_list.rs", HALF);
    let mut runner = site.command("python3");
    runner.arg(site.integrations().join("classroom50/autograder.py")).current_dir(&submission);
    let outputs = site.place().join("outputs");
    runner.env("COURSE", site.course.root()).env("GITHUB_OUTPUT", &outputs);
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "Handed in"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]).args(arguments);
        ok(&git.env("GIT_COMMITTER_DATE", "2026-06-01T14:32:01Z").current_dir(&submission).output().unwrap());
    }
    let said = || {
        let said = fs::read_to_string(&outputs).unwrap();
        fs::remove_file(&outputs).unwrap();
        said
    };
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
    assert_eq!(result["datetime"], "2026-06-01T14:32:01Z", "when it was handed in, not when it was graded");
    assert_eq!(said(), "status=failure\nsummary=lab03: 40 of 100 points\n");
    let body = submission.join("release-body.md");
    assert!(fs::read_to_string(&body).unwrap().contains("saw <0>"), "the pictures are in the release");

    // Its runner says "all tests passed" when all are.
    site.course.submit("submission", "labs/lab03/src/free_list.rs", HELD);
    ok(&runner.output().unwrap());
    let held = json(&submission.join("result.json"));
    let passed = held["tests"].as_array().unwrap().iter().filter(|test| test["passed"] == true).count();
    assert_eq!((&held["score"], passed), (&0.into(), 2), "two of three");
    assert_eq!(held["tests"][0]["test-name"], "held for review: 100 points wait");
    assert!(fs::read_to_string(&body).unwrap().contains("line 1: `include_str!`"));
    assert_eq!(said(), "status=failure\nsummary=lab03: held for review, 100 of 100 points wait\n");

    fs::remove_file(submission.join("result.json")).unwrap();
    fs::remove_dir_all(submission.join("labs")).unwrap();
    ok(&runner.output().unwrap());
    let text = fs::read_to_string(submission.join("result.json")).unwrap();
    let nothing = assert_valid(include_str!("../schemas/classroom50.schema.json"), "nothing", &text);
    assert!(nothing["tests"].as_array().unwrap().iter().all(|test| test["passed"] == false), "{nothing}");
    assert_eq!(said(), "status=failure\nsummary=lab03: nothing to grade\n");
    // For any other end, the runner would write both anew, and call it an error: the learner would not read why.
    assert!(fs::read_to_string(&body).unwrap().contains("found neither labs/lab03/src/free_list.rs"));

    fs::remove_file(submission.join("result.json")).unwrap();
    site.course.submit("submission", "labs/lab03/src/free_list.rs", HALF);
    assert!(!runner.env("AUTOGRADE", "false").output().unwrap().status.success(), "a broken grader is no score");
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

/// Compiled for the course as the grader is, and hands on to the grader of this build.
const GRADER: &str = r#"
use std::os::unix::process::CommandExt;

fn main() {
    let grader = std::env::var_os("GRADER").unwrap();
    panic!("{}", std::process::Command::new(grader).args(std::env::args_os().skip(1)).exec());
}
"#;

#[test]
fn a_push_compiles_nothing_but_the_learners_file() {
    let course = FakeCourse::new();
    course.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"labs/lab03\", \"ci/autograde\"]\n");
    let lock = ["autograde", "lab03"].map(|name| format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n"));
    course.write("Cargo.lock", &format!("version = 4\n{}", lock.concat()));
    course
        .write("ci/autograde/Cargo.toml", "[package]\nname = \"autograde\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    course.write("ci/autograde/src/main.rs", GRADER);
    for part in ["candidate", "heapkit", "proctor"] {
        course.write(&format!("labs/{part}/README.md"), "A part of the grader.\n");
    }
    let site = Site::with(course);
    let submission = site.course.submit("submission", "free_list.rs", HALF);
    // What a job keeps in the project is nothing that was handed in.
    site.course.submit("submission", ".autograde/cargo/registry/src/crate/src/free_list.rs", RIGHT);
    for (system, kept) in [("gitlab", submission.join(".autograde/target")), ("github", site.place().join("kept"))] {
        // A machine that has nothing but a fresh clone and what was kept of the last one, in the same place.
        let push = || {
            let clone = site.place().join("clone");
            let _ = fs::remove_dir_all(&clone);
            ok(&Command::new("git").args(["clone", "-q"]).arg(site.course.root()).arg(&clone).output().unwrap());
            let mut job = site.command(clone.join("ci/autograde/integrations").join(system).join("grade.sh"));
            job.env_remove("AUTOGRADE").env("GRADER", env!("CARGO_BIN_EXE_autograde"));
            job.args(["lab03", ".", "results"]).current_dir(&submission);
            if system == "gitlab" {
                job.arg(".autograde");
            } else if kept.exists() {
                fs::rename(&kept, clone.join("target")).unwrap();
            }
            ok(&job.output().unwrap());
            if system == "github" {
                fs::rename(clone.join("target"), &kept).unwrap();
            }
            let junit = fs::read_to_string(submission.join("results/junit.xml")).unwrap();
            assert!(junit.contains("failures=\"1\""), "{system}: {junit}");
            ["autograde", "grading/exams/prepared-lab03"].map(|name| {
                fs::metadata(kept.join(name)).unwrap_or_else(|e| panic!("{system}: {name}: {e}")).modified().unwrap()
            })
        };
        let first = push();
        assert!(!kept.join("grader").exists(), "{system}: only the program is kept");
        assert_eq!(push(), first, "{system}: grader and exam were compiled once");
        site.course.write("book/src/welcome.md", &format!("# Welcome, {system}\n"));
        site.commit();
        assert_eq!(push()[0], first[0], "{system}: a page of the book is no part of the grader");
        site.course.write("ci/autograde/src/main.rs", &format!("{GRADER}// {system}\n"));
        site.commit();
        assert!(push()[0] > first[0], "{system}: another grader is compiled");
    }
}

#[test]
fn a_grader_in_a_cache_is_known_by_all_it_is_made_of() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--package", "autograde", "--edges", "normal,build"]);
    let tree = ok(&cargo.args(["--prefix", "none", "--format", "{p}"]).output().unwrap());
    let root = Path::new("../..").canonicalize().unwrap();
    let own = tree.lines().filter_map(|line| line.split_once(" (/")?.1.split_once(')'));
    let mut own: Vec<String> = own
        .filter_map(|(path, _)| Path::new(&format!("/{path}")).strip_prefix(&root).ok()?.to_str().map(str::to_owned))
        .collect();
    own.sort();
    own.dedup();
    let starter = fs::read_to_string("integrations/autograde").unwrap();
    let parts = starter.lines().find(|line| line.starts_with("parts=")).unwrap();
    assert_eq!(own, ["ci/autograde", "labs/candidate", "labs/heapkit", "labs/proctor"], "{parts}");
    assert!(parts.contains("ci/autograde/{Cargo.toml,src} labs/{candidate,heapkit,proctor}"), "{parts}");
}

#[test]
fn images_have_the_courses_toolchain_and_both_workflows_keep_the_same() {
    let read = |file: &str| fs::read_to_string(Path::new("integrations").join(file)).unwrap();
    let pinned = fs::read_to_string("../../rust-toolchain.toml").unwrap();
    let version = pinned.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(read("container/Dockerfile").contains(&format!("\nFROM rust:{version}-slim-")));
    assert!(read("gitlab/gitlab-ci.yml").contains(&format!("\n  image: rust:{version}-")));
    let cache = |file: &str| {
        let text = read(file);
        text.split("actions/cache@").nth(1).and_then(|rest| rest.split("- name:").next()).unwrap().to_owned()
    };
    assert_eq!(cache("github/autograde.yml"), cache("github/classroom.yml"));
    assert!(cache("github/autograde.yml").contains("course/target"));
}

#[test]
fn gradescope_gets_its_results_or_an_error_but_never_points_for_nothing() {
    let site = Site::new();
    let zip = ok(&site
        .command(site.integrations().join("gradescope/make_zip"))
        .args(["lab03", "autograder.zip", "--visibility", "after_due_date", "--leaderboard"])
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
    assert_eq!(graded["visibility"], "after_due_date");
    assert!(graded["tests"].as_array().unwrap().iter().all(|test| test["visibility"] == "after_due_date"));
    assert_eq!(graded["leaderboard"], serde_json::json!([{ "name": "Points", "value": 40, "order": "desc" }]));

    fs::write(submission.join("free_list.rs"), b"\xff\"\\").unwrap();
    ok(&run("run_autograder"));
    let unreadable = assert_valid(schema, "unreadable", &fs::read_to_string(&results).unwrap());
    assert_eq!(unreadable["score"], 0);
    let said = unreadable["output"].as_str().unwrap();
    assert!(said.contains("not UTF-8 (line 1)"), "{said}");
    assert!(unreadable.get("leaderboard").is_none());
    // Nor does a learner read where the server keeps what.
    assert!(!unreadable.to_string().contains(&*base.to_string_lossy()));
    for name in ["a/free_list.rs", "b/free_list.rs", "c/free_list.rs"] {
        fs::create_dir_all(submission.join(name).parent().unwrap()).unwrap();
        fs::write(submission.join(name), HALF).unwrap();
    }
    fs::remove_file(submission.join("free_list.rs")).unwrap();
    ok(&run("run_autograder"));
    let several = assert_valid(schema, "several", &fs::read_to_string(&results).unwrap());
    let said = several["output"].as_str().unwrap();
    assert!(
        said.contains("3 files are called free_list.rs (a/free_list.rs, b/free_list.rs, c/free_list.rs)"),
        "{said}"
    );
    for name in ["a", "b", "c"] {
        fs::remove_dir_all(submission.join(name)).unwrap();
    }

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
    // As Autolab reads the last line (saveAutograde in app/helpers/assessment_autograde_core.rb): without scores it is an error and
    // each problem gets 0, a score of null leaves a problem ungraded, and a name that is no problem's is an error.
    let ungraded = serde_json::json!({ "lifo": null, "unlink": null });
    for (kind, text) in [("unreadable", &b"\xff"[..]), ("held", HELD.as_bytes())] {
        let [scores, feedback] = &grade(text)[..] else { panic!("two lines") };
        let scores: Value = serde_json::from_str(scores).unwrap();
        assert_eq!(scores["scores"], ungraded, "{kind}");
        let said = if kind == "held" { "line 1: `include_str!`" } else { "not UTF-8 (line 1)" };
        assert!(feedback.contains(said), "{kind}: {feedback}");
    }
    let mut broken = site.command("make");
    broken.arg("-s").arg("-f").arg(site.integrations().join("autolab/Makefile")).current_dir(&lab);
    let said = ok(&broken.env("AUTOGRADE", "false").output().unwrap());
    let scores: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(scores["scores"], ungraded, "a broken grader costs nobody a point");
}

/// A cluster of one node. As Slurm does, it takes every job, says its number, and answers nothing of how it ends. The tasks of an array
/// run at once. A task that is killed has failed, and a job that depends on its good end is never run: it stays in the queue, or is
/// cancelled if it is told to be. `KILL_TASK` names a task of an array that is killed once it has its first result.
const SBATCH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
state=$CLUSTER; mkdir -p "$state"
job=$(($(cat "$state/last" 2>/dev/null || echo 0) + 1)); echo "$job" >"$state/last"
tasks= after= log=/dev/null never=DependencyNeverSatisfied
for argument in "$@"; do
    case $argument in
        --array=1-*) tasks=${argument#--array=1-} ;;
        --dependency=afterok:*) after=${argument#--dependency=afterok:} ;;
        --kill-on-invalid-dep=yes) never=CANCELLED ;;
        --output=*) log=${argument#--output=} ;;
    esac
done
end=COMPLETED
if [ -n "$after" ] && [ "$(cat "$state/$after")" != COMPLETED ]; then
    end=$never
else
    ids=0
    [ -z "$tasks" ] || ids=$(seq "$tasks")
    declare -A running
    for k in $ids; do
        SLURM_ARRAY_TASK_ID=$k SLURM_CPUS_PER_TASK=1 setsid bash "${@: -1}" >"${log//%a/$k}" 2>&1 &
        running[$k]=$!
    done
    if [ -n "$tasks" ] && [ -n "${KILL_TASK:-}" ]; then
        until compgen -G "$OUT/shard-$KILL_TASK/results/*/entry.json" >/dev/null; do sleep 0.005; done
        pkill -KILL --session "${running[$KILL_TASK]}"
    fi
    for task in "${running[@]}"; do
        wait "$task" || end=FAILED
    done
fi
echo "$end" >"$state/$job"
echo "$job;cluster"
"#;

#[test]
fn slurm_grades_in_shards_merges_and_goes_on_after_a_killed_task() {
    let site = Site::new();
    for i in 0..12 {
        let text = [RIGHT, HALF, BROKEN, HALF][i % 4];
        site.course.submit(&format!("class/learner {i}"), "free_list.rs", &format!("{text}// {i}\n"));
    }
    let (bin, cluster, results) =
        (site.place().join("bin"), site.place().join("cluster"), site.place().join("results"));
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("sbatch"), SBATCH).unwrap();
    fs::set_permissions(bin.join("sbatch"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let submit = |kill: &str| {
        let mut submit = site.command(site.integrations().join("slurm/submit"));
        submit
            .args(["lab03", "class", "results", "2"])
            .env("PATH", &path)
            .env("CLUSTER", &cluster)
            .env("KILL_TASK", kill);
        ok(&submit.output().unwrap());
    };
    let end = |job: u32| fs::read_to_string(cluster.join(job.to_string())).unwrap().trim().to_owned();

    submit("2");
    assert_eq!([end(1), end(2)], ["FAILED", "CANCELLED"]);
    assert!(!results.join("class").exists(), "nothing is merged of half a class");
    let kept: Vec<_> = fs::read_dir(results.join("shard-2/results"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("entry.json"))
        .filter(|seal| seal.exists())
        .map(|seal| (seal.clone(), fs::metadata(seal).unwrap().modified().unwrap()))
        .collect();
    assert!(!kept.is_empty());

    submit("");
    assert_eq!([end(3), end(4)], ["COMPLETED", "COMPLETED"]);
    for (seal, written) in kept {
        assert_eq!(fs::metadata(seal).unwrap().modified().unwrap(), written, "it was graded once");
    }
    let summary = fs::read_to_string(results.join("class/summary.csv")).unwrap();
    assert_eq!(summary.lines().count(), 13, "{summary}");
    assert_eq!(summary.lines().filter(|line| line.contains(",graded,")).count(), 12, "{summary}");
    assert_eq!(json(&results.join("class/batch.json"))["class_size"], 12);
}
