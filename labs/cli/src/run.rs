//! `cargo lab run`: a program on the learner's malloc, and what that did.

#[expect(dead_code, reason = "the library itself needs the rest")]
#[path = "../../preload/src/report/layout.rs"]
mod layout;

use crate::Failure;
use crate::library::{Library, Source};
use layout::{Call, Counter, LOADED, PARENT, PATH, PICTURE, PICTURE_CHUNKS, SENTENCE, SENTENCE_BYTES, WORDS};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Runs the program, and says on standard error what came of it. The answer is its exit code; after a signal, as a shell has it.
pub fn run(root: &Path, source: Source, program: &OsStr, arguments: &[OsString]) -> Result<u8, Failure> {
    let library = Library::build(root, source)?;
    let report = library.file("report");
    let cannot = |e: std::io::Error| Failure::Other(format!("{}: {e}", report.display()));
    fs::write(&report, [0; WORDS * 8]).map_err(cannot)?;
    let status = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", library.preload())
        .env(OsStr::from_bytes(PATH.to_bytes()), &report)
        .env(OsStr::from_bytes(PARENT.to_bytes()), std::process::id().to_string())
        .status()
        .map_err(|e| Failure::Other(format!("{} can't be started: {e}", program.display())))?;
    let words: Vec<u64> =
        fs::read(&report).map_err(cannot)?.as_chunks().0.iter().map(|&w| u64::from_le_bytes(w)).collect();
    let name = PathBuf::from(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    eprint!("{}", Report { words }.tell(&name, status, source));
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// What the library has left.
struct Report {
    words: Vec<u64>,
}

impl Report {
    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    fn count(&self, counter: Counter) -> u64 {
        self.word(counter as usize)
    }

    fn tell(&self, name: &str, status: ExitStatus, source: Source) -> String {
        let whose = if source == Source::Solution { "the reference's malloc" } else { "your malloc" };
        if self.word(0) != LOADED {
            return format!(
                "\ncargo lab run: {name} never loaded {whose}. Is it linked statically, or started with other rights than yours?\n"
            );
        }
        let mut text = String::from("\n");
        if let Some(sentence) = self.sentence() {
            let _ = writeln!(text, "cargo lab run: {whose} broke under {name}: {sentence}");
            self.draw(&mut text);
        } else if let Some(signal) = status.signal() {
            let _ = writeln!(text, "cargo lab run: signal {signal} ended {name}, outside of {whose}.");
            self.draw(&mut text);
        }
        let calls = Call::ALL.map(|call| (self.word(Counter::Calls as usize + call as usize), call.name()));
        let all: u64 = calls.iter().map(|(count, _)| count).sum();
        if all == 0 {
            return text;
        }
        let kinds: Vec<String> =
            calls.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{name} {count}")).collect();
        let threads = self.count(Counter::Threads);
        let plural = if threads == 1 { "" } else { "s" };
        let _ = write!(text, "{name} on {whose}: {all} calls ({}) from {threads} thread{plural}; ", kinds.join(" · "));
        let (alive, taken, regions) =
            (self.count(Counter::PeakAlive), self.count(Counter::PeakTaken), self.count(Counter::Regions));
        let _ = write!(text, "at most {} in use at once", bytes(alive));
        let _ = match regions {
            0 if taken > 0 => {
                writeln!(text, ", of {} from the system: {} %", bytes(taken), alive * 100 / taken)
            }
            _ => writeln!(text, ", {} from the system and what was used of {regions} regions", bytes(taken)),
        };
        text
    }

    fn sentence(&self) -> Option<String> {
        let len = usize::try_from(self.count(Counter::SentenceLength)).ok().filter(|len| *len > 0)?;
        let bytes: Vec<u8> =
            self.words.iter().skip(SENTENCE).take(SENTENCE_BYTES / 8).flat_map(|word| word.to_le_bytes()).collect();
        Some(String::from_utf8_lossy(&bytes[..len.min(bytes.len())]).into_owned())
    }

    /// The chunks around the block in question, as they are in the main arena.
    fn draw(&self, text: &mut String) {
        let seen = usize::try_from(self.count(Counter::Chunks)).unwrap_or(0);
        let walk = self.count(Counter::Walk);
        if walk == 0 || seen == 0 {
            return;
        }
        let marked = usize::try_from(self.count(Counter::Marked)).unwrap_or(0);
        let _ = writeln!(text, "\n  chunk at            size  flags");
        for number in (seen - seen.min(PICTURE_CHUNKS))..seen {
            let place = PICTURE + number % PICTURE_CHUNKS * 2;
            let (at, word) = (self.word(place), self.word(place + 1));
            let flags: String =
                [(4, 'A'), (2, 'M'), (1, 'P')].iter().map(|(bit, c)| if word & bit == 0 { '-' } else { *c }).collect();
            let note = match (number + 1 == marked, number + 1 == seen && walk == 2) {
                (_, true) => "  ← this size leads to no chunk",
                (true, _) => "  ← this block",
                _ => "",
            };
            let _ = writeln!(text, "  {at:#x} {:>12}  {flags}{note}", word & !7);
        }
        let _ = match (walk, marked) {
            (2, _) => writeln!(text, "Up to there, the main arena's chunks lie side by side.\n"),
            (_, 0) => {
                writeln!(text, "The main arena's chunks lie side by side, up to the break. The last ones are shown.\n")
            }
            _ => writeln!(text, "Up to there, the main arena's chunks lie side by side.\n"),
        };
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} bytes"),
        10_000..10_000_000 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}
