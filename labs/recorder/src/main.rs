//! `record`: starts a program and keeps what it asks of its `malloc`.

mod convert;
mod log;

use heapkit::trace::{self, Trace};
use lexopt::{Arg, Parser, ValueExt};
use log::{Call, Record};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

const USAGE: &str = "\
    record [-o FILE] [--limit CALLS] [--] PROGRAM [ARGUMENT]...

Runs PROGRAM and writes what it asks of malloc to FILE (trace.rep.gz), compressed if that ends in .gz.
Of a longer run, the first CALLS (1000000) are kept.

Recorded is the process that record starts; if that becomes another program by exec, the last one. Its children are
not. The program must use glibc's malloc, dynamically linked. record ends with the program's own exit code.
";

/// What to do.
struct Order {
    file: PathBuf,
    limit: usize,
    program: OsString,
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    match order() {
        Ok(Some(order)) => run(&order).unwrap_or_else(|line| fail(&line, 1)),
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{error} (record --help tells more)"), 2),
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    // In one line, whatever is in a name.
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    eprintln!("record: {}", line.chars().map(shown).collect::<String>());
    ExitCode::from(code)
}

/// Reads the command line; `None` asks for help.
fn order() -> Result<Option<Order>, lexopt::Error> {
    let (mut file, mut limit) = (PathBuf::from("trace.rep.gz"), 1_000_000);
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Short('o') => file = parser.value()?.into(),
            Arg::Long("limit") => limit = parser.value()?.parse()?,
            // What follows is the program's own.
            Arg::Value(program) => {
                let arguments = parser.raw_args()?.collect();
                return Ok(Some(Order { file, limit, program, arguments }));
            }
            other => return Err(other.unexpected()),
        }
    }
    Err("which program?".into())
}

fn run(order: &Order) -> Result<ExitCode, String> {
    let Order { file, limit, program, arguments } = order;
    let library = Library::find()?;
    let file_size = on_too_large_a_file(libc::SIG_IGN);
    let log = empty_log(*limit).map_err(|e| format!("there is no room for a log of {limit} calls: {e}"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LD_PRELOAD", &library.path)
        .env(OsStr::from_bytes(log::PARENT.to_bytes()), std::process::id().to_string())
        .env(OsStr::from_bytes(log::PATH.to_bytes()), log.path());
    // The program has this signal as it would without us.
    let restore = move || {
        on_too_large_a_file(file_size);
        Ok(())
    };
    // SAFETY: between fork and exec, only `signal` is called, which POSIX allows there.
    unsafe { command.pre_exec(restore) };
    let status = command.status().map_err(|e| format!("{} can't be started: {e}", program.display()))?;

    let Log { was_loaded, made, calls } = read_log(log.path())?;
    if made == 0 {
        let why = match was_loaded {
            true => "never called malloc: there is nothing to record",
            false => "can't be recorded: is it linked statically, or started with other rights than yours?",
        };
        return Err(format!("{} {why}", program.display()));
    }
    let kept = calls.len();
    let trace = trace::write(file, &convert::ops(calls)).map_err(|e| e.to_string())?;
    report(file, &trace, kept, made);
    Ok(exit_code(status))
}

/// Has the signal for a file that grows beyond its limit handled like this, and says how it was before. Ignored, it leaves an error to
/// the call that writes.
fn on_too_large_a_file(handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: the handler is one of the system's own, or what was there before.
    unsafe { libc::signal(libc::SIGXFSZ, handler) }
}

/// The library that is preloaded: cargo builds it beside this program.
struct Library {
    path: PathBuf,
    /// The folder of the link, for as long as it is needed.
    _link: Option<tempfile::TempDir>,
}

impl Library {
    fn find() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("where am I? {e}"))?;
        let here = program.parent().unwrap_or(Path::new("/"));
        // In `deps` first: cargo always renews that one, and the copy beside the program only when asked for the library.
        let places = ["deps/librecorder.so", "librecorder.so"].map(|name| here.join(name));
        let library = places.into_iter().find(|place| place.is_file());
        let library =
            library.ok_or_else(|| format!("librecorder.so isn't in {}: cargo build -p recorder", here.display()))?;
        if !is_split(&library) {
            return Ok(Library { path: library, _link: None });
        }
        // The dynamic linker takes a space or a colon for the end of a name, and knows no way to quote them. A link has another name.
        let cannot =
            |e| format!("{}: it can't be preloaded from there, and a link to it can't be made: {e}", library.display());
        let folder = tempfile::tempdir().map_err(cannot)?;
        let path = folder.path().join("librecorder.so");
        std::os::unix::fs::symlink(&library, &path).map_err(cannot)?;
        match is_split(&path) {
            true => Err(format!("{}: no library can be preloaded from a path with a space or colon", path.display())),
            false => Ok(Library { path, _link: Some(folder) }),
        }
    }
}

/// Whether the dynamic linker would take the path for two.
fn is_split(path: &Path) -> bool {
    path.to_string_lossy().contains([' ', ':'])
}

/// A log for `calls` calls. It is written out in full: a disk too small shows here, not as a crash of the program.
fn empty_log(calls: usize) -> std::io::Result<tempfile::NamedTempFile> {
    let mut log = tempfile::NamedTempFile::new()?;
    let zeroes =
        calls.checked_mul(size_of::<Record>()).and_then(|bytes| bytes.checked_add(log::HEAD * size_of::<u64>()));
    let zeroes = zeroes.ok_or(std::io::ErrorKind::FileTooLarge)?;
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), zeroes as u64), &mut log)?;
    log.flush()?;
    Ok(log)
}

/// What the library has left.
struct Log {
    /// Whether it was in the program at all.
    was_loaded: bool,
    /// How many calls were made.
    made: u64,
    /// Those that had room.
    calls: Vec<Call>,
}

fn read_log(path: &Path) -> Result<Log, String> {
    let bytes = fs::read(path).map_err(|e| format!("the log is gone: {e}"))?;
    let words: Vec<u64> = bytes.as_chunks().0.iter().map(|&word| u64::from_ne_bytes(word)).collect();
    let [loaded, made, records @ ..] = &words[..] else {
        return Err("the log is empty: something has cut it".to_owned());
    };
    let calls = records.as_chunks().0.iter().take(usize::try_from(*made).unwrap_or(usize::MAX));
    let calls: Option<Vec<Call>> = calls.map(|&record| Call::read(record)).collect();
    let calls = calls.ok_or("the log is damaged: did the program write to it?")?;
    Ok(Log { was_loaded: *loaded == log::LOADED, made: *made, calls })
}

fn report(file: &Path, trace: &Trace, kept: usize, made: u64) {
    let Trace { ops, peak, largest, .. } = trace;
    let part = if (kept as u64) < made { format!(" (the first {kept} of {made} calls)") } else { String::new() };
    let sizes = format!("at most {peak} bytes alive, the largest request {largest}");
    eprintln!("{}: {} operations{part}, {sizes}", file.display(), ops.len());
}

/// The program's own exit code; for a signal, as a shell has it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
