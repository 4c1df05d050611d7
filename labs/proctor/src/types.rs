//! The programs that must not compile, checked with trybuild in a process of its own, without limits: it runs cargo.

use crate::confine::limit_compilers;
use crate::finding::Finding;
use crate::report::Verdict;
use crate::sitting::Outcome;
use candidate::wire::TYPES;
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// Whether this process was started to run trybuild.
pub fn is_asked() -> bool {
    std::env::var_os(TYPES).is_some()
}

/// The value of [`TYPES`] for the process in which trybuild runs. The one that starts it reads what it says.
const TRYBUILD: &str = "trybuild";

/// Compiles the programs in the lab's `tests/compile_fail`, and ends the process.
pub fn run(lab: &Path) -> ! {
    let dir = lab.join("tests/compile_fail");
    if std::env::var_os(TYPES).is_some_and(|value| value == TRYBUILD) {
        // That folder is a package of its own, with the lab as its one dependency: so trybuild has next to nothing to build.
        // SAFETY: the one other thread is the test runner's, and it waits for this test to end.
        unsafe { std::env::set_var("CARGO_MANIFEST_DIR", &dir) };
        let compared = std::env::set_current_dir(&dir).is_ok()
            && std::panic::catch_unwind(|| trybuild::TestCases::new().compile_fail("*.rs")).is_ok();
        std::process::exit(if compared { 0 } else { 1 })
    }
    let again = std::env::current_exe()
        .and_then(|exam| Command::new(exam).args(std::env::args_os().skip(1)).env(TYPES, TRYBUILD).output());
    let output = again.unwrap_or_else(|e| panic!("trybuild could not be started: {e}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    eprint!("{said}");
    let as_they_should = output.status.success() || all_fail_as_they_should(&said, programs(&dir));
    std::process::exit(if as_they_should { 0 } else { 1 })
}

/// Has the programs compiled, after the behaviour they protect has passed with `outcome`.
pub fn examine(lab: &Path, name: &str, outcome: Outcome) -> Outcome {
    let started = Instant::now();
    let output = compile(name).unwrap_or_else(|e| panic!("trybuild could not be started for `{name}`: {e}"));
    let time = outcome.time + started.elapsed();
    if output.status.success() {
        return Outcome { time, ..outcome };
    }
    let said = [output.stdout, output.stderr].concat();
    let finding = explain(lab, &String::from_utf8_lossy(&said));
    Outcome { verdict: Verdict::Wrong, finding, heap: None, steps: Vec::new(), playground: None, time, ..outcome }
}

/// Runs this test once more, in a process that only compiles.
fn compile(name: &str) -> io::Result<Output> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    limit_compilers(&mut command);
    // Anything but `overwrite`, which makes every program pass, is trybuild's own business.
    command.env(TYPES, "1").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0").output()
}

/// What trybuild says of the first program that did not fail as it should.
fn explain(lab: &Path, output: &str) -> Finding {
    let Some((name, said)) = first_failure(output) else {
        return Finding::new("The programs that must not compile could not be checked.")
            .expected("trybuild's verdict", output);
    };
    let file = lab.join("tests/compile_fail").join(name);
    let source = std::fs::read_to_string(&file).unwrap_or_default();
    let why = source.lines().next().and_then(|line| line.strip_prefix("// ")).unwrap_or_default();
    if said.contains("writing the following output to `wip/") {
        let how = "TRYBUILD=overwrite with --features solution writes it.";
        return Finding::new(format!("The compiler's words about tests/compile_fail/{name} aren't kept yet: {how}"));
    }
    let headlines = |text: &str| text.lines().filter(|l| l.starts_with("error")).map(str::to_owned).collect::<Vec<_>>();
    let (expected, seen) = match said.split_once("ACTUAL OUTPUT:") {
        Some((expected, actual)) => (headlines(expected), headlines(actual)),
        None => (vec!["a compile error".to_owned()], Vec::new()),
    };
    let only = |these: &[String], those: &[String]| {
        let only: Vec<&str> = these.iter().filter(|line| !those.contains(line)).map(String::as_str).collect();
        only.join("\n")
    };
    if !seen.is_empty() && expected == seen {
        return Finding::new(format!(
            "{why} tests/compile_fail/{name} shows it, and the compiler gives other reasons."
        ))
        .expected("the compiler's message in the file beside it", "the same error, with other notes");
    }
    let said = only(&seen, &expected);
    let said = if said.is_empty() { "the compiler accepts it".to_owned() } else { said };
    let expected = if seen.is_empty() { "a compile error".to_owned() } else { only(&expected, &seen) };
    Finding::new(format!("{why} tests/compile_fail/{name} shows it, and your types no longer refuse it."))
        .expected(expected, said)
}

/// How many programs there are.
fn programs(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "rs")).count()
}

/// A program that did not fail as it should, and what trybuild says of it: the first one that compiles, if one does.
fn first_failure(output: &str) -> Option<(&str, &str)> {
    let failures = || verdicts(output).filter(|(_, said)| !is_as_expected(said));
    failures().find(|(_, said)| !said.contains("ACTUAL OUTPUT:")).or_else(|| failures().next())
}

fn all_fail_as_they_should(output: &str, programs: usize) -> bool {
    verdicts(output).filter(|(_, said)| is_as_expected(said)).count() == programs && first_failure(output).is_none()
}

/// Each program, and what trybuild says of it: `ok`, or more than that.
fn verdicts(output: &str) -> impl Iterator<Item = (&str, &str)> {
    // `test chunk_is_not_copied.rs ... mismatch`; the test runner's own line has no `.rs`.
    let mut rest = output;
    let mut starts = Vec::new();
    for line in output.split_inclusive('\n') {
        if line.starts_with("test ") && line.contains(".rs ... ") {
            starts.push(output.len() - rest.len());
        }
        rest = &rest[line.len()..];
    }
    let ends = starts.clone().into_iter().skip(1).chain([output.len()]);
    starts.into_iter().zip(ends).filter_map(|(start, end)| output[start + "test ".len()..end].split_once(" ... "))
}

/// Where the compiler cites the lab, it names the file: the reference and a learner's file may differ in that.
fn is_as_expected(said: &str) -> bool {
    let of_a_learner = |text: &str| -> String {
        // Between two rules of dots; then comes how to accept the output.
        let lines = text.lines().take_while(|line| !line.starts_with("note: If the actual output"));
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('┈'));
        lines.collect::<Vec<_>>().join("\n").replace("src/../solution/", "src/")
    };
    let both = said.split_once("EXPECTED:").and_then(|(_, texts)| texts.split_once("ACTUAL OUTPUT:"));
    said.trim_end() == "ok" || both.is_some_and(|(expected, actual)| of_a_learner(expected) == of_a_learner(actual))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISMATCH: &str = "\
test the_types_refuse_misuse ...     Checking lab02
test a.rs ... ok
test b.rs ... mismatch

EXPECTED:
error[E0277]: the trait bound `Chunk: Copy` is not satisfied
error[E0277]: the trait bound `Chunk: Clone` is not satisfied

ACTUAL OUTPUT:
error[E0277]: the trait bound `Chunk: Copy` is not satisfied

test c.rs ... ok
";

    #[test]
    fn the_error_that_is_missing_is_named() {
        let finding = explain(Path::new("/nowhere"), MISMATCH);
        assert_eq!(finding.expected.as_deref(), Some("error[E0277]: the trait bound `Chunk: Clone` is not satisfied"));
        assert_eq!(finding.seen.as_deref(), Some("the compiler accepts it"));
        assert!(finding.what.contains("tests/compile_fail/b.rs"));
    }

    #[test]
    fn a_program_without_kept_words_is_no_mistake_of_the_types() {
        let output = "test a.rs ... wip\n\nNOTE: writing the following output to `wip/a.stderr`.\nerror[E0382]: use of moved value\n";
        let finding = explain(Path::new("/nowhere"), output);
        assert!(finding.what.contains("a.rs aren't kept yet"), "{}", finding.what);
        assert_eq!(finding.seen, None);
    }

    #[test]
    fn the_name_of_the_labs_file_may_differ() {
        let of = |file| format!("error: no\n  --> $WORKSPACE/labs/lab07/src/{file}\n");
        let output = |actual| {
            let expected = of("../solution/pools.rs");
            format!(
                "test a.rs ... ok\ntest b.rs ... mismatch\n\nEXPECTED:\n┈┈\n{expected}┈┈\n\nACTUAL OUTPUT:\n┈┈\n{actual}┈┈\nnote: If the actual output is the correct output you can bless it\n\ntest c.rs ... ok\n"
            )
        };
        assert!(all_fail_as_they_should(&output(of("pools.rs")), 3));
        assert!(!all_fail_as_they_should(&output(of("other.rs")), 3));
        assert!(!all_fail_as_they_should(&output(of("pools.rs")), 4));
        assert!(!all_fail_as_they_should("", 1));
    }

    #[test]
    fn a_program_that_compiles_is_named() {
        let output =
            "test a.rs ... error\nExpected test case to fail to compile, but it succeeded.\ntest b.rs ... ok\n";
        let finding = explain(Path::new("/nowhere"), output);
        assert_eq!(finding.seen.as_deref(), Some("the compiler accepts it"));
        assert!(finding.what.contains("tests/compile_fail/a.rs"));
    }
}
