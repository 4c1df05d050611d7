//! Asks other allocators what glibc was asked: one C program, a process for each question. An allocator is put in front of the C
//! library by `LD_PRELOAD`; musl is a C library of its own, so the program is compiled for it a second time.

use super::programs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The capture. Its first line names the allocators, with their versions.
pub const FILE: &str = "rivals.txt";

/// What the version of an allocator starts with, and the library to preload.
const RIVALS: [(&str, Option<&str>); 5] = [
    ("glibc", None),
    ("musl", None),
    ("jemalloc", Some("libjemalloc.so.2")),
    ("tcmalloc", Some("libtcmalloc_minimal.so.4")),
    ("mimalloc", Some("libmimalloc.so.2")),
];

/// The questions with a short answer, and what stands above it.
const QUESTIONS: [(&[&str], &str); 7] = [
    (&["distance"], "nearest"),
    (&["between"], "between"),
    (&["links"], "changed"),
    (&["reuse"], "reused"),
    (&["large"], "10 MiB from"),
    (&["freed", "10485760"], "once freed"),
    (&["freed", "1048576"], "1 MiB"),
];

const REQUESTS: [&str; 8] = ["1", "8", "24", "40", "100", "1000", "5000", "100000"];

/// Why the answers can't be compared with the committed ones, if they can't.
pub fn notice(answers: &Result<String, String>, committed: &str) -> Option<String> {
    let versions = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let here = match answers {
        Err(why) => return Some(format!("skipped: {FILE}: {why}")),
        Ok(text) => versions(text),
    };
    let there = versions(committed);
    (here != there).then(|| format!("skipped: {FILE}: it was taken on {there}; here is {here}"))
}

/// What the allocators answer.
///
/// # Errors
/// One of them can't be asked here.
pub fn ask() -> Result<String, String> {
    let rivals = RIVALS.map(|(name, library)| Rival::find(name, library));
    let rivals = rivals.into_iter().collect::<Result<Vec<_>, _>>()?;
    let versions: Vec<&str> = rivals.iter().map(|rival| rival.version.as_str()).collect();
    let table = |width, head: &[&str], row: &dyn Fn(&Rival) -> Result<Vec<String>, String>| {
        let line = |first: &str, cells: Vec<String>| {
            let cells: String = cells.iter().map(|cell| format!(" {cell:>width$}")).collect();
            format!("{first:<15}{cells}\n")
        };
        let lines = rivals.iter().map(|rival| Ok(line(&rival.version, row(rival)?)));
        let lines = lines.collect::<Result<String, String>>()?;
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Ok::<_, String>(line("", head) + &lines)
    };
    let short = table(11, &QUESTIONS.map(|(_, head)| head), &|rival| {
        QUESTIONS.iter().map(|(question, _)| rival.answer(question)).collect()
    })?;
    let usable =
        table(7, &REQUESTS, &|rival| REQUESTS.iter().map(|request| rival.answer(&["usable", request])).collect())?;
    let twice = rivals.iter().map(|rival| Ok(format!("{:<15} {}\n", rival.version, rival.answer(&["twice"])?)));
    let twice = twice.collect::<Result<String, String>>()?;
    let versions = versions.join(", ");
    Ok(format!("{versions}\n\n{short}\nmalloc_usable_size of a block of\n{usable}\na block is freed twice\n{twice}"))
}

/// An allocator that is installed here.
struct Rival {
    version: String,
    probe: PathBuf,
    library: Option<&'static str>,
}

impl Rival {
    fn find(name: &'static str, library: Option<&'static str>) -> Result<Rival, String> {
        let probe = compile(if name == "musl" { "musl-gcc" } else { "cc" })?;
        let mut rival = Rival { version: String::new(), probe, library };
        rival.version = if name == "musl" { musl_version()? } else { rival.answer(&["version"])? };
        // The loader only warns of a library that it can't find.
        if rival.version.starts_with(name) { Ok(rival) } else { Err(format!("{name} isn't installed")) }
    }

    /// What the program prints on both streams, and how it ended if it didn't end well, on one line.
    fn answer(&self, question: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.probe);
        command.env_clear().envs(self.library.map(|library| ("LD_PRELOAD", library))).args(question);
        let output = command.output().map_err(|e| format!("{}: {e}", self.probe.display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned() + &programs::ending(output.status);
        Ok(text.lines().collect::<Vec<_>>().join(" "))
    }
}

/// Compiles the program, beside this one.
fn compile(compiler: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?;
    let probe = own.with_file_name(format!("probe-{compiler}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals/probe.c");
    let output = Command::new(compiler).arg("-o").args([&probe, &source]).output();
    let output = output.map_err(|e| format!("{compiler}: {e}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(probe) } else { Err(complaint.lines().next().unwrap_or(compiler).to_owned()) }
}

/// musl tells its version only when its loader is run without a program.
fn musl_version() -> Result<String, String> {
    let loader = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let output = Command::new(&loader).output().map_err(|e| format!("{loader}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let version = text.lines().find_map(|line| line.strip_prefix("Version "));
    version.map(|version| format!("musl {version}")).ok_or(format!("{loader} tells no version"))
}
