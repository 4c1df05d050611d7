//! The library under programs: what they see must be what C and Rust promise, and a misuse must end them with one sentence.

#[expect(dead_code, reason = "the library itself needs the rest")]
#[path = "../src/report/layout.rs"]
mod layout;

use layout::{Call, Counter, LOADED, PARENT, PATH, PICTURE, PICTURE_CHUNKS, WORDS};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library, which cargo builds with these tests.
fn library() -> PathBuf {
    let here = std::env::current_exe().expect("a test has a file");
    here.parent().unwrap_or(Path::new("/")).join("libpreload.so")
}

fn preloaded(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", library()).env_remove("HEAP_REPORT");
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_function_does_what_c_asks_of_it() {
    let output = preloaded(env!("CARGO_BIN_EXE_every-function"), &[]);
    assert!(output.status.success(), "{:?}\n{}", output.status, text(&output.stderr));
}

#[test]
fn a_rust_program_runs_on_it() {
    let run = |program: &mut Command| {
        let output = program.output().expect("it starts");
        assert!(output.status.success(), "{:?}\n{}", output.status, text(&output.stderr));
        text(&output.stdout)
    };
    let once = run(&mut Command::new(env!("CARGO_BIN_EXE_on-this-malloc")));
    assert_eq!(once, run(&mut Command::new(env!("CARGO_BIN_EXE_on-this-malloc"))));
}

#[test]
fn each_misuse_ends_the_program_with_a_sentence() {
    let sentences = [
        ("a pointer into a block", "invalid pointer"),
        ("a size that is no chunk's", "invalid size"),
        ("a size beyond the heap", "double free or corruption (out)"),
        ("freed twice in a row", "double free detected in the cache"),
        ("freed twice with another one between", "double free detected in the cache"),
        ("a link in the cache", "unaligned chunk detected in the cache"),
        ("freed twice into a fast bin", "double free or corruption (fasttop)"),
        ("a link in a fast bin", "memory corruption (fast)"),
        ("freed twice, and large", "double free or corruption (!prev)"),
        ("the next chunk's size", "invalid next size"),
        ("the boundary tag", "corrupted size vs. prev_size"),
        ("a link in a bin", "corrupted double-linked list"),
        ("the top chunk's size", "corrupted top size"),
        ("a mapping's start", "munmap_chunk(): invalid pointer"),
    ];
    for (misuse, sentence) in sentences {
        let output = preloaded(env!("CARGO_BIN_EXE_corrupts"), &[misuse]);
        let said = text(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{misuse}: {:?} {said}", output.status);
        let (call, rest) = said.split_once(": ").unwrap_or_default();
        assert!(call.starts_with("free(") || call == "malloc()", "{misuse}: {said}");
        assert_eq!(rest, format!("{sentence}\n"), "{misuse}");
    }
}

/// Runs a program that leaves a report.
fn reported(program: &str, arguments: &[&str]) -> (Output, Vec<u64>) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report of {}", arguments.join(" ")));
    std::fs::write(&file, [0; WORDS * 8]).expect("the folder is there");
    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", library()).env(OsStr::from_bytes(PATH.to_bytes()), &file);
    command.env(OsStr::from_bytes(PARENT.to_bytes()), std::process::id().to_string());
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let bytes = std::fs::read(&file).expect("the file is there");
    (output, bytes.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect())
}

#[test]
fn a_program_leaves_what_it_asked_for_however_it_ends() {
    // What it misuses is nothing that a check could find.
    let (output, words) = reported(env!("CARGO_BIN_EXE_corrupts"), &["nothing"]);
    assert!(output.status.success());
    let count = |counter: Counter| words[counter as usize];
    assert_eq!(words[0], LOADED);
    let calls = |call: Call| words[Counter::Calls as usize + call as usize];
    assert!(calls(Call::Malloc) > 0 && calls(Call::Free) > 0);
    assert!(count(Counter::PeakAlive) > 0 && count(Counter::PeakAlive) <= count(Counter::PeakTaken));
    assert_eq!((count(Counter::Threads), count(Counter::SentenceLength)), (1, 0));

    // So are they when a signal ends it that nobody can handle.
    let (output, words) = reported("sh", &["-c", "x=$(echo one); kill -KILL $$"]);
    assert_eq!((output.status.signal(), words[0]), (Some(libc::SIGKILL), LOADED));
}

#[test]
fn a_program_that_breaks_leaves_the_chunks_around_the_block() {
    let (output, words) = reported(env!("CARGO_BIN_EXE_corrupts"), &["freed twice, and large"]);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    let count = |counter: Counter| words[counter as usize] as usize;
    assert!(count(Counter::SentenceLength) > 0);
    let marked = count(Counter::Marked);
    assert!((1..=count(Counter::Chunks)).contains(&marked));
    let place = PICTURE + (marked - 1) % PICTURE_CHUNKS * 2;
    // The second one, of 2,016 bytes; the one before it is in use.
    assert_eq!(words[place + 1], 2_016 | 1);
    assert!(text(&output.stderr).starts_with(&format!("free({:#x})", words[place] + 16)));
    // After it, the sizes lead on.
    assert_eq!(count(Counter::Walk), 1);
}
