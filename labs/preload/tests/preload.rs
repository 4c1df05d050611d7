//! The library under programs: what they see must be what C and Rust promise, and a misuse must end them with one sentence.

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
