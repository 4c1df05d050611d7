//! The programs that must not compile, checked with trybuild in a process of its own, without limits: it runs cargo.

use crate::finding::Finding;
use crate::judge::Outcome;
use crate::outside::{this_test_again, wait};
use crate::report::Verdict;
use std::path::Path;
use std::time::Duration;

const ASK: &str = "PROCTOR_TYPES";
/// The first time, the lab is compiled once more for trybuild.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether this process was started to run trybuild.
pub fn is_asked() -> bool {
    std::env::var_os(ASK).is_some()
}

/// Compiles the programs in the lab's `tests/compile_fail`, and ends the process.
pub fn run(lab: &str) -> ! {
    let dir = Path::new(lab).join("tests/compile_fail");
    // That folder is a package of its own, with the lab as its one dependency: so trybuild has next to nothing to build.
    // SAFETY: the one other thread is the test runner's, and it waits for this test to end.
    unsafe { std::env::set_var("CARGO_MANIFEST_DIR", &dir) };
    let compared = std::env::set_current_dir(&dir).is_ok()
        && std::panic::catch_unwind(|| trybuild::TestCases::new().compile_fail("*.rs")).is_ok();
    std::process::exit(if compared { 0 } else { 1 })
}

/// Has the programs compiled, after the behaviour they protect has passed with `outcome`.
pub fn examine(name: &str, outcome: Outcome) -> Outcome {
    let start = || {
        let mut command = this_test_again(name)?;
        // Anything but `overwrite`, which makes every program pass, is trybuild's own business.
        command.env(ASK, "1").env("NO_COLOR", "1");
        wait(command, PATIENCE)
    };
    let remains = start().unwrap_or_else(|e| panic!("trybuild could not be started for `{name}`: {e}"));
    let time = outcome.time + remains.time;
    if remains.status.is_some_and(|status| status.success()) {
        return Outcome { time, ..outcome };
    }
    let compiled = compiled(&remains.output);
    let finding = if compiled.is_empty() {
        Finding::new("A program that must not compile is refused, but for another reason than the rule's.")
            .expected("the words in the .stderr file beside the program", differences(&remains.output))
    } else {
        Finding::new("A program compiles that your types should have refused.")
            .expected("a compile error", format!("it compiles: tests/compile_fail/{}", compiled.join(", ")))
    };
    Outcome { verdict: Verdict::Wrong, finding, time, ..outcome }
}

/// The programs of which trybuild says that they compiled.
fn compiled(output: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut name = "";
    for line in output.lines() {
        if let Some(rest) = line.strip_prefix("test ") {
            name = rest.split(" ... ").next().unwrap_or_default();
        } else if line.starts_with("Expected test case to fail to compile") {
            names.push(name);
        }
    }
    names
}

/// What trybuild says about the first program that differs.
fn differences(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("test ") && !line.ends_with("ok"));
    let lines = &lines[first.unwrap_or_default()..];
    let end = lines.iter().skip(1).position(|line| line.starts_with("test ")).map_or(lines.len(), |end| end + 1);
    lines[..end].join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
test a.rs ... ok
test b.rs ... error
Expected test case to fail to compile, but it succeeded.

test c.rs ... mismatch

EXPECTED:
error[E0277]
test d.rs ... ok
";

    #[test]
    fn a_program_that_compiles_is_named() {
        assert_eq!(compiled(OUTPUT), ["b.rs"]);
    }

    #[test]
    fn the_first_difference_is_quoted_alone() {
        let after_b = OUTPUT.split_once("\n\n").map_or("", |(_, rest)| rest);
        assert_eq!(differences(after_b), "test c.rs ... mismatch\n\nEXPECTED:\nerror[E0277]");
    }
}
