//! What a submission earns, and what about it makes no difference.

use crate::course::{ABORTS, BROKEN, FakeCourse, HALF, RIGHT, WITHOUT_UNLINK, assert_graded, one_line};
use autograde::{Course, Error};
use std::fs;
use std::path::Path;

const LEARNERS_FILE: &str = "labs/lab03/src/free_list.rs";

#[test]
fn a_right_submission_earns_all_points_and_a_half_right_one_its_half() {
    let course = FakeCourse::new();
    let right = course.submit("right", LEARNERS_FILE, RIGHT);
    assert_eq!(course.verdicts(&right), ["passed"; 3]);
    assert_eq!(course.report()["report"]["score"], 100);

    let half = course.submit("half", LEARNERS_FILE, HALF);
    assert_eq!(course.verdicts(&half), ["passed", "passed", "wrong"]);
    assert_eq!(course.report()["report"]["score"], 40);
}

#[test]
fn the_submission_may_be_the_file_or_a_folder_that_holds_it_anywhere() {
    let course = FakeCourse::new();
    let folder = course.submit("alice", "homework/free_list.rs", HALF);
    // What a learner compiled or committed is no second candidate.
    course.submit("alice", "target/free_list.rs", RIGHT);
    course.submit("alice", ".git/free_list.rs", RIGHT);
    for path in [folder.clone(), folder.join("homework"), folder.join("homework/free_list.rs")] {
        assert_eq!(course.verdicts(&path), ["passed", "passed", "wrong"], "{}", path.display());
    }
    let of_a_lab = course.submit("bob", "src/free_list.rs", RIGHT);
    course.submit("bob", "old/free_list.rs", HALF);
    assert_eq!(course.verdicts(&of_a_lab), ["passed"; 3]);
}

#[test]
fn nothing_but_the_learners_file_makes_a_difference() {
    let course = FakeCourse::new();
    let folder = course.submit("mallory", LEARNERS_FILE, HALF);
    let forged_exam = r#"fn main() { std::fs::write(std::env::var("PROCTOR_REPORT").unwrap(), "{}").unwrap() }"#;
    for (file, text) in [
        ("labs/lab03/tests/exam.rs", forged_exam),
        ("labs/lab03/tests/expected.snap", "tail\n"),
        ("labs/lab03/tests/candidate.rs", "fn main() { println!(\"true\") }"),
        ("labs/lab03/src/lib.rs", "compile_error!(\"forged\");"),
        ("labs/lab03/build.rs", "fn main() { println!(\"cargo::rustc-cfg=forged\"); }"),
        ("labs/lab03/Cargo.toml", "[package]\nname = \"forged\"\n"),
        ("labs/lab03/lab.toml", "forged"),
        ("labs/lab03/.cargo/config.toml", "[env]\nFORGED = \"1\"\n"),
        (".cargo/config.toml", "[env]\nFORGED = \"1\"\n[target.'cfg(all())']\nrunner = \"true\"\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"forged\"\n"),
        ("Cargo.toml", "forged"),
        ("Cargo.lock", "forged"),
    ] {
        course.submit("mallory", file, text);
    }
    assert_eq!(course.verdicts(&folder), ["passed", "passed", "wrong"]);
}

#[test]
fn the_callers_environment_makes_no_difference() {
    let course = FakeCourse::new();
    let folder = course.submit("half", LEARNERS_FILE, HALF);
    let elsewhere = course.out().join("elsewhere.json");
    let output = course
        .autograde(&folder)
        .env("INSTA_UPDATE", "always")
        .env("INSTA_FORCE_PASS", "1")
        .env("TRYBUILD", "overwrite")
        .env("FORGED", "1")
        .env("RUSTFLAGS", "--cfg forged")
        .env("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}forged")
        .env("CARGO_BUILD_RUSTC", "/bin/false")
        .env("RUSTC_WRAPPER", "/bin/false")
        .env("RUSTUP_TOOLCHAIN", "forged")
        .env("PROCTOR_REPORT", &elsewhere)
        .output()
        .unwrap();
    assert_graded(&output);
    assert_eq!(course.report()["report"]["score"], 40);
    assert!(!elsewhere.exists());
}

#[test]
fn a_file_that_does_not_compile_is_graded_with_the_compilers_message() {
    let course = FakeCourse::new();
    let folder = course.submit("broken", LEARNERS_FILE, BROKEN);
    assert_eq!(course.verdicts(&folder), ["not_run"; 3]);
    let report = course.report();
    let message = report["compiler_message"].as_str().unwrap();
    assert!(message.starts_with("error[E0308]: mismatched types\n"), "{message}");
    assert!(message.contains("--> src/free_list.rs:2:5\n"), "{message}");
    for file in ["junit.xml", "results.json"] {
        let text = fs::read_to_string(course.out().join(file)).unwrap();
        assert!(text.contains("src/free_list.rs:2:5"), "{file}: {text}");
    }
}

#[test]
fn a_missing_function_is_the_submissions_error_wherever_the_compiler_finds_it() {
    let course = FakeCourse::new();
    let folder = course.submit("short", LEARNERS_FILE, WITHOUT_UNLINK);
    assert_eq!(course.verdicts(&folder), ["not_run"; 3]);
    let report = course.report();
    let message = report["compiler_message"].as_str().unwrap();
    assert!(message.contains("unlink"), "{message}");
}

#[test]
fn a_course_that_does_not_compile_is_no_fault_of_the_submission() {
    let course = FakeCourse::new();
    course.write("labs/lab03/tests/exam.rs", "fn main() { no_such_function() }");
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    let line = one_line(&course.autograde(&folder).output().unwrap(), 1);
    assert!(line.contains("the course's own lab03 does not compile: error[E0425]"), "{line}");

    course.write("Cargo.toml", "[workspace]\nmembers = 3\n");
    let line = one_line(&course.autograde(&folder).output().unwrap(), 1);
    assert!(line.contains("error: "), "{line}");
}

#[test]
fn a_crash_costs_its_own_cases_and_no_others() {
    let course = FakeCourse::new();
    let folder = course.submit("aborts", LEARNERS_FILE, ABORTS);
    assert_eq!(course.verdicts(&folder), ["passed", "crashed", "crashed"]);
    assert_eq!(course.report()["report"]["score"], 40);
}

#[test]
fn a_case_that_could_not_be_run_costs_nobody_a_point() {
    let course = FakeCourse::new();
    let exam = fs::read_to_string(course.root().join("labs/lab03/tests/exam.rs")).unwrap();
    // As when the machine has no memory left for the third case.
    course.write("labs/lab03/tests/exam.rs", &exam.replace("verdicts.iter_mut()", "verdicts.iter_mut().take(2)"));
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    let line = one_line(&course.autograde(&folder).output().unwrap(), 1);
    assert!(line.contains("the case unlink_middle was not run"), "{line}");
    assert!(!course.out().join("report.json").exists());
}

#[test]
fn what_only_runs_is_graded_and_counts() {
    let course = FakeCourse::new();
    let more = r#"
        unsafe extern "C" { fn getpid() -> i32; }
        pub fn process() -> u32 { unsafe { core::mem::transmute(getpid()) } }
        #[cfg(test)] mod tests { #[test] fn works() { assert_eq!(super::push(), 1); } }
    "#;
    let folder = course.submit("right", LEARNERS_FILE, &format!("{RIGHT}{more}"));
    assert_eq!(course.verdicts(&folder), ["passed"; 3]);
    assert_eq!(course.report()["held"], serde_json::json!([]));
}

#[test]
fn nothing_is_left_of_a_submission() {
    let course = FakeCourse::new();
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    assert_graded(&course.autograde(&folder).output().unwrap());
    let grading = course.root().join("target/grading");
    assert!(!grading.join("private").exists());
    let left = fs::read_dir(grading.join("target/debug/deps")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(left.is_empty() && !grading.join("target/debug/lab03-candidate").exists(), "{left:?}");
}

#[test]
fn the_starter_stands_in_the_copy_again_and_the_course_is_untouched() {
    let course = FakeCourse::new();
    let starter = fs::read_to_string(course.root().join(LEARNERS_FILE)).unwrap();
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    assert_graded(&course.autograde(&folder).output().unwrap());
    let copy = course.root().join("target/grading/course");
    for root in [&copy, &course.root()] {
        assert_eq!(fs::read_to_string(root.join(LEARNERS_FILE)).unwrap(), starter);
    }
}

#[test]
fn a_change_of_the_course_reaches_the_next_grading() {
    let course = FakeCourse::new();
    let folder = course.submit("half", LEARNERS_FILE, HALF);
    assert_eq!(course.verdicts(&folder), ["passed", "passed", "wrong"]);
    let exam = fs::read_to_string(course.root().join("labs/lab03/tests/exam.rs")).unwrap();
    course.write("labs/lab03/tests/exam.rs", &exam.replace("case.stdout == b\"true\\n\"", "!case.stdout.is_empty()"));
    assert_eq!(course.verdicts(&folder), ["passed", "passed", "passed"]);
}

#[test]
fn a_checkout_that_was_moved_or_copied_grades() {
    let course = FakeCourse::new();
    // As trybuild does, the exam knows the folder that it was compiled in.
    let exam = fs::read_to_string(course.root().join("labs/lab03/tests/exam.rs")).unwrap();
    let exam =
        exam.replace("\"tests/expected.snap\"", "concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/tests/expected.snap\")");
    course.write("labs/lab03/tests/exam.rs", &exam);
    let folder = course.submit("half", LEARNERS_FILE, HALF);
    assert_eq!(course.verdicts(&folder), ["passed", "passed", "wrong"]);

    let (copied, moved) = (course.root().with_file_name("a copy"), course.root().with_file_name("moved"));
    let grade = |root: &Path| {
        let out = course.out().join("again");
        let _ = fs::remove_dir_all(&out);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_autograde"));
        command.current_dir(root).args(["--lab", "lab03"]).arg(&folder).arg("--out").arg(&out);
        assert_graded(&command.output().unwrap());
        let report = fs::read_to_string(out.join("report.json")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["report"]["score"], 40);
    };
    let copy = std::process::Command::new("cp").arg("-a").arg(course.root()).arg(&copied).status();
    assert!(copy.unwrap().success());
    grade(&copied);
    fs::rename(course.root(), &moved).unwrap();
    grade(&moved);
    fs::rename(&copied, course.root()).unwrap();
    grade(&course.root());
}

#[test]
fn an_ordinary_user_grades_too() {
    let course = FakeCourse::new();
    let folder = course.submit("half", LEARNERS_FILE, HALF);
    let place = course.out().parent().unwrap().to_path_buf();
    let sysroot =
        std::process::Command::new("rustc").arg("--print=sysroot").current_dir(course.root()).output().unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    // The toolchain, which may lie where only root can read, and nobody may write to it: no rustup takes part.
    let script = r#"
        set -e
        place=$1 toolchain=$2 user=4242; shift 2
        chown -R "$user" "$place"
        bound=$place/rustup/toolchains/bound; mkdir -p "$bound"
        mount --bind "$toolchain" "$bound" || exit 77
        mount -o remount,bind,ro "$bound" || exit 77
        exec setpriv --reuid="$user" --regid="$user" --clear-groups --inh-caps=-all env HOME="$place" \
            CARGO_HOME="$place/cargo" RUSTUP_HOME="$place/rustup" PATH="$bound/bin:/usr/bin:/bin" "$@""#;
    let grade = course.autograde(&folder);
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh"]).arg(&place).arg(sysroot.trim());
    shell.arg(grade.get_program()).args(grade.get_args()).current_dir(course.root());
    let output = shell.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || stderr.contains("unshare failed") {
        // Then the user of all these tests is one.
        return eprintln!("skipped: only root can become another user: {stderr}");
    }
    assert_graded(&output);
    assert_eq!(course.report()["report"]["score"], 40);
    let active = course.report()["sandbox"]["active"].to_string();
    // What root adds; the rest is there for everybody.
    assert!(!active.contains("a user of its own"), "{active}");
    for part in ["limits", "landlock", "seccomp"] {
        assert!(active.contains(part), "{part}: {active}");
    }
}

#[test]
fn a_file_from_windows_earns_the_same() {
    let course = FakeCourse::new();
    let folder = course.submit("windows", LEARNERS_FILE, &format!("\u{feff}{}", HALF.replace('\n', "\r\n")));
    assert_eq!(course.verdicts(&folder), ["passed", "passed", "wrong"]);
    // What has to be read is found in its line.
    let aborts = course.submit("held", LEARNERS_FILE, &ABORTS.replace('\n', "\r\n"));
    assert_eq!(course.verdicts(&aborts), ["passed", "crashed", "crashed"]);
    assert_eq!(course.report()["held"][0]["line"], 2);
}

#[test]
fn a_toolchain_may_be_anywhere() {
    let course = FakeCourse::new();
    let folder = course.submit("half", LEARNERS_FILE, HALF);
    let rustc = std::process::Command::new("rustc").arg("--print=sysroot").current_dir(course.root()).output().unwrap();
    let toolchain = String::from_utf8(rustc.stdout).unwrap();
    // As in a container without rustup. If there is a compiler in /usr/bin, it is another one: it would have to compile once more what
    // the lab is built on, and can't read it.
    course.write("labs/given/Cargo.toml", "[package]\nname = \"given\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    course.write("labs/given/src/lib.rs", "#[path = \"../solution/chunk.rs\"]\npub mod chunk;\n");
    course.write("labs/given/solution/chunk.rs", "pub const SIZE: usize = 32;\n");
    let manifest = fs::read_to_string(course.root().join("labs/lab03/Cargo.toml")).unwrap();
    course.write("labs/lab03/Cargo.toml", &format!("{manifest}\n[dependencies]\ngiven = {{ path = \"../given\" }}\n"));
    let package = |name: &str| format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
    let lock = format!("version = 4\n{}{}dependencies = [\"given\"]\n", package("given"), package("lab03"));
    course.write("Cargo.lock", &lock);
    let mut grade = course.autograde(&folder);
    grade.env("RUSTUP_HOME", course.out()).env("PATH", format!("{}/bin:/usr/bin:/bin", toolchain.trim()));
    assert_graded(&grade.output().unwrap());
    assert_eq!(course.report()["report"]["score"], 40);
}

#[test]
fn where_not_even_the_starter_can_be_compiled_nobody_loses_a_point() {
    let course = FakeCourse::new();
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    // As the compiler of a submission that is another than the course's: it would have to compile a reference, which it can't read.
    course.write("labs/lab03/solution/chunk.rs", "");
    let lib = fs::read_to_string(course.root().join("labs/lab03/src/lib.rs")).unwrap();
    course.write("labs/lab03/src/lib.rs", &format!("#[path = \"../solution/chunk.rs\"]\nmod chunk;\n{lib}"));
    let line = one_line(&course.autograde(&folder).output().unwrap(), 1);
    assert!(line.contains("lab03 can't be compiled here: error: couldn't read"), "{line}");
    assert!(!course.out().join("report.json").exists());
}

#[test]
fn two_gradings_at_once_do_not_mix() {
    let course = FakeCourse::new();
    let submissions = [
        (course.submit("right", LEARNERS_FILE, RIGHT), course.out().join("1"), 100),
        (course.submit("half", LEARNERS_FILE, HALF), course.out().join("2"), 40),
        (course.submit("broken", LEARNERS_FILE, BROKEN), course.out().join("3"), 0),
    ];
    let running: Vec<_> = submissions
        .iter()
        .map(|(folder, out, _)| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_autograde"));
            command.current_dir(course.root()).args(["--lab", "lab03"]).arg(folder).arg("--out").arg(out);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for (mut child, (_, out, score)) in running.into_iter().zip(&submissions) {
        assert!(child.wait().unwrap().success());
        let report: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
        assert_eq!(report["report"]["score"], *score);
    }
}

#[test]
fn other_features_can_be_asked_for() {
    let course = FakeCourse::new();
    let found = Course::find(&course.root()).unwrap();
    let lab = found.lab("lab03").unwrap();
    let mut grader = found.grader(&found.grading_dir()).unwrap();
    assert_eq!(grader.grade(&lab, RIGHT).unwrap().report.score, 100);
    // Without `given` this course has no functions to test.
    let error = grader.features([""; 0]).grade(&lab, RIGHT).unwrap_err();
    assert!(matches!(error, Error::NotCompiled { .. }), "{error}");
}

#[test]
fn bad_usage_gets_one_line() {
    let course = FakeCourse::new();
    let line = one_line(&course.autograde(Path::new("nowhere")).output().unwrap(), 2);
    assert!(line.contains("nowhere: No such file"), "{line}");

    let line_for = |path: &Path| one_line(&course.autograde(path).output().unwrap(), 3);
    let empty = course.submit("empty", "README.md", "");
    let line = line_for(&empty);
    assert!(line.contains("neither labs/lab03/src/free_list.rs nor src/free_list.rs"), "{line}");

    let twice = course.submit("twice", "a/free_list.rs", RIGHT);
    course.submit("twice", "b/free_list.rs", RIGHT);
    let line = line_for(&twice);
    assert!(line.contains("2 files are called free_list.rs (a/free_list.rs, b/free_list.rs"), "{line}");

    let large = course.submit("large", "free_list.rs", &" ".repeat((1 << 20) + 1));
    assert!(line_for(&large).contains("larger than 1048576 bytes"));

    let latin = course.submit("latin", "free_list.rs", "");
    fs::write(latin.join("free_list.rs"), b"// one\n// caf\xe9\n").unwrap();
    assert!(line_for(&latin).contains("not UTF-8 (line 2)"));

    let link = course.submit("link", "src/README.md", "");
    std::os::unix::fs::symlink(twice.join("a/free_list.rs"), link.join("src/free_list.rs")).unwrap();
    assert!(line_for(&link).contains("a link to outside the submission"));

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_autograde"))
        .current_dir(course.root())
        .args(["--lab", "lab99"])
        .arg(&twice)
        .output()
        .unwrap();
    let line = one_line(&output, 2);
    assert!(line.contains("there is no lab `lab99` (there are: lab03)"), "{line}");

    assert!(one_line(&course.autograde(&twice).arg("--fast").output().unwrap(), 2).contains("--fast"));
    assert!(!course.out().join("report.json").exists(), "nothing was graded");
}

#[test]
fn a_missing_toolchain_gets_one_line() {
    let course = FakeCourse::new();
    let folder = course.submit("right", LEARNERS_FILE, RIGHT);
    let line = one_line(&course.autograde(&folder).env("PATH", "/nonexistent").output().unwrap(), 1);
    assert!(line.contains("can't be started"), "{line}");
}
