//! Programs are recorded as they are.

use heapkit::trace::{self, Trace};
use heapkit::workload::{self, Op};
use std::process::{Command, Output};

const EVERY_CALL: &str = env!("CARGO_BIN_EXE_every-call");
const CALLS: &str = "m0:1001 c1:77 a2:64:300 a3:32:320 a4:128:5 m5:15 r0:2002 f1 f2";

/// Records `program` with these options.
fn record(options: &[&str], program: &[&str]) -> (Output, Result<Trace, trace::Error>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.rep.gz");
    let mut command = Command::new(env!("CARGO_BIN_EXE_record"));
    command.arg("-o").arg(&file).args(options).arg("--").args(program);
    let output = command.output().unwrap();
    (output, trace::read(&file))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_call_that_changes_the_heap_is_recorded_even_if_no_handler_runs_at_the_end() {
    let (output, trace) = record(&[], &[EVERY_CALL, "calls"]);
    assert_eq!(workload::format(&trace.unwrap().ops), CALLS, "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(3), "the program's own exit code");
    assert!(stderr(&output).contains("out.rep.gz: 9 operations, at most "), "{}", stderr(&output));
}

#[test]
fn a_program_that_crashes_leaves_what_it_did() {
    let (output, trace) = record(&[], &[EVERY_CALL, "abort"]);
    assert_eq!(workload::format(&trace.unwrap().ops), "m0:1001");
    assert_eq!(output.status.code(), Some(128 + 6));
}

#[test]
fn of_a_longer_run_the_beginning_is_kept() {
    let (output, trace) = record(&["--limit", "4"], &[EVERY_CALL, "calls"]);
    assert_eq!(workload::format(&trace.unwrap().ops), "m0:1001 c1:77 a2:64:300 a3:32:320");
    assert!(stderr(&output).contains("4 operations (the first 4 of 9 calls)"), "{}", stderr(&output));
}

#[test]
fn threads_share_one_order() {
    // Were it not one order, a block would be freed before it is made, and another made where it stands.
    let (_, trace) = record(&[], &[EVERY_CALL, "threads"]);
    let ops = trace.unwrap().ops;
    let made: Vec<usize> =
        ops.iter().filter(|op| matches!(op, Op::Malloc { size: 1003, .. })).filter_map(|op| op.id()).collect();
    assert_eq!(made.len(), 4000);
    let freed: std::collections::HashSet<usize> =
        ops.iter().filter(|op| matches!(op, Op::Free { .. })).filter_map(|op| op.id()).collect();
    assert!(made.iter().all(|id| freed.contains(id)));
}

#[test]
fn children_are_not_recorded_and_not_held_up() {
    let (output, trace) = record(&[], &[EVERY_CALL, "fork"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let asked = |bytes| {
        let ops = &trace.as_ref().unwrap().ops;
        ops.iter().filter(|op| matches!(op, Op::Malloc { size, .. } if *size == bytes)).count()
    };
    assert_eq!((asked(1001), asked(1002)), (1, 0));
}

#[test]
fn a_wrapper_that_becomes_the_program_does_not_count() {
    let (_, trace) = record(&[], &["sh", "-c", "exec \"$0\" calls", EVERY_CALL]);
    assert_eq!(workload::format(&trace.unwrap().ops), CALLS);
}

#[test]
fn what_can_not_be_recorded_is_said_in_one_line() {
    let said = |options: &[&str], program: &[&str], line: &str| {
        let (output, trace) = record(options, program);
        assert!(stderr(&output).starts_with(line) && stderr(&output).lines().count() == 1, "{}", stderr(&output));
        assert!(!output.status.success() && trace.is_err());
    };
    said(&[], &["/no/such/program"], "record: /no/such/program can't be started: No such file");
    said(
        &[],
        &[EVERY_CALL, "nothing"],
        &format!("record: {EVERY_CALL} never called malloc: there is nothing to record"),
    );
    said(&[], &["no\nsuch"], "record: no\\nsuch can't be started: No such file");
    said(&[], &[], "record: which program? (record --help tells more)");
    said(&["--limit", "many"], &["true"], "record: cannot parse argument \"many\"");
    said(&["--limit", "18446744073709551615"], &["true"], "record: there is no room for a log of 184467440");
}

#[test]
fn a_program_without_the_dynamic_linker_can_not_be_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("static.c"), dir.path().join("static"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let compiled = Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: nothing can be linked statically here");
    }
    let (output, trace) = record(&[], &[program.to_str().unwrap()]);
    assert!(stderr(&output).contains(" can't be recorded: is it linked statically"), "{}", stderr(&output));
    assert!(trace.is_err());
}

#[test]
fn it_runs_from_a_path_with_spaces_and_colons() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("my own: programs");
    std::fs::create_dir(&place).unwrap();
    let built = std::path::Path::new(env!("CARGO_BIN_EXE_record"));
    std::fs::copy(built, place.join("record")).unwrap();
    std::fs::copy(built.with_file_name("deps").join("librecorder.so"), place.join("librecorder.so")).unwrap();
    let file = place.join("the trace.rep");
    let output =
        Command::new(place.join("record")).arg("-o").arg(&file).args(["--", EVERY_CALL, "calls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(workload::format(&trace::read(&file).unwrap().ops), CALLS);
}

#[test]
fn a_limit_on_files_is_said_and_the_program_still_has_it() {
    let limited = |blocks: &str, rest: &[&str]| {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_record")]).args(rest).output().unwrap()
    };
    let output = limited("8", &["-o", "/dev/null", "--", EVERY_CALL, "calls"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("there is no room for a log of 1000000 calls: File too large"), "{output:?}");
    // A program that writes too much is ended by the same signal as without us.
    let writes = ["--limit", "10", "-o", "/dev/null", "--", "sh", "-c", "head -c 100000 /dev/zero >\"$0\"; exit $?"];
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large");
    let arguments: Vec<&str> = writes.into_iter().chain([large.to_str().unwrap()]).collect();
    assert_eq!(limited("8", &arguments).status.code(), Some(128 + 25), "SIGXFSZ");
}
