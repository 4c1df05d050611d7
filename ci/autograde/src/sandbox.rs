//! What a submission can reach while it is compiled and run: next to nothing.
//!
//! A confined program is started by a helper, which is this same program started once more ([`helper`]): it gives up
//! what the policy doesn't allow ([`enter`]) and becomes the program. So no code of ours runs between a fork and an exec.
//!
//! There are three policies. A *build* may read the course and the toolchain and write to the target folder. The *examiner* may do
//! that too, since it has programs compiled that must not compile, and may take as much time and memory as it needs. A *candidate*
//! (the program with the learner's code, which the examiner starts) may read itself and the C library, and do nothing but answer.

mod enter;
mod policy;

pub use policy::{Policy, Protection};

use crate::Error;
use policy::Limit;
use proctor::wire;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The first argument of a program that is started as the helper.
const CONFINE: &str = "confine-and-run";
/// The same, to find out what this kernel can do.
const TRY: &str = "confine-and-tell";

/// Processor time for each process of a build, in seconds. A lab takes one or two on a machine of today.
const BUILD_SECONDS: u64 = 30;
/// Address space for each of them. A compiler takes less than 2 GiB.
const BUILD_MEMORY: u64 = 4 << 30;
/// The largest file that a build writes. A lab's candidate has 20 MiB.
const BUILD_FILE: u64 = 256 << 20;
/// How many more processes and threads there may be than there were before: so many, and so many for each processor. There is
/// a worker for each, and its linker has up to 16.
const MORE_PROCESSES: u64 = 512;
const MORE_FOR_EACH: u64 = 64;
/// The user that a candidate runs as if the grader is root.
const NOBODY: u32 = 65534;

/// What every program needs that isn't linked statically.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
const LOADER: [&str; 2] = ["/etc/ld.so.cache", "/etc/ld.so.preload"];
/// Where a linker and its programs may be.
const PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr", "/nix/store", "/gnu/store", "/run/current-system"];

/// If this program was started as the helper, does what the helper does. `None` for any other start.
///
/// A program that grades calls this first.
pub fn helper() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let task = arguments.next()?;
    let done = match task.to_str()? {
        CONFINE => confine(arguments),
        TRY => tell(arguments),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("error: the sandbox: {line}");
            ExitCode::FAILURE
        }
    })
}

fn policy(argument: Option<OsString>) -> Result<Policy, String> {
    let text = argument.unwrap_or_default();
    serde_json::from_slice(text.as_encoded_bytes()).map_err(|e| format!("{}: {e}", text.display()))
}

fn confine(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let policy = policy(arguments.next())?;
    let program = arguments.next().ok_or("no program is named")?;
    let mut command = Command::new(&program);
    command.args(arguments);
    let protection = enter::enter(&policy)?;
    if let Some(missing) = protection.missing.first().filter(|_| policy.complete) {
        return Err(missing.clone());
    }
    Err(format!("{}: {}", program.display(), command.exec()))
}

fn tell(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let protection = enter::enter(&policy(arguments.next())?)?;
    println!("{}", serde_json::to_string(&protection).map_err(|e| e.to_string())?);
    Ok(())
}

/// Confines programs.
#[derive(Clone, Debug)]
pub struct Sandbox {
    helper: PathBuf,
    /// What it can do on this machine.
    pub protection: Protection,
    processes: u64,
    candidate_processes: u64,
}

impl Sandbox {
    /// Finds out what this machine offers, with `helper` as the program that calls [`helper`].
    ///
    /// # Errors
    /// One line: it can't be started.
    pub fn new(helper: &Path) -> Result<Self, Error> {
        let own = rustix::process::getuid().as_raw();
        let mut sandbox = Sandbox {
            helper: helper.to_path_buf(),
            protection: Protection::default(),
            processes: most_processes(own),
            candidate_processes: most_processes(if own == 0 { NOBODY } else { own }),
        };
        let policy = sandbox.candidate(Path::new("/nonexistent"));
        let told = Command::new(helper).arg(TRY).arg(as_argument(&policy)).output();
        let program = || format!("the sandbox's helper {}", helper.display());
        let told = told.map_err(|error| Error::NotStarted { program: program(), error })?;
        let said = || String::from_utf8_lossy(&told.stderr).trim_end().to_owned();
        sandbox.protection = serde_json::from_slice(&told.stdout).map_err(|_| Error::NoSandbox { said: said() })?;
        Ok(sandbox)
    }

    /// What a build of the course in `copy` may do, with the toolchain in that folder.
    pub fn build(&self, copy: &Path, toolchain: &Path, write: &[&Path]) -> Policy {
        let mut policy = self.examiner(copy, toolchain, write);
        policy.limits.extend([
            Limit::CpuSeconds(BUILD_SECONDS),
            Limit::Memory(BUILD_MEMORY),
            Limit::FileSize(BUILD_FILE),
        ]);
        policy
    }

    /// What the examiner may do. It shares a file with each candidate that is as large as an address space, and the candidate takes
    /// that much of one: so these are not limited, but for the compilers that it starts.
    pub fn examiner(&self, copy: &Path, toolchain: &Path, write: &[&Path]) -> Policy {
        let home = std::env::home_dir().unwrap_or_default();
        let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let mut run = paths(&LIBRARIES);
        run.extend(paths(&PROGRAMS));
        run.extend([toolchain.to_path_buf(), self.helper.clone()]);
        // Not all of cargo's home: its credentials are there too.
        run.extend(["registry", "git"].map(|name| cargo.join(name)));
        let mut read = paths(&LOADER);
        // Of what the system tells, only what is about the machine.
        read.extend(paths(&["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"]));
        read.extend(["config.toml", "config", "env", ".global-cache"].map(|name| cargo.join(name)));
        // Cargo reads these wherever it is started, and takes it for an error if one is there and can't be read.
        let settings = |folder: &Path| ["config.toml", "config"].map(|name| folder.join(".cargo").join(name));
        read.extend(copy.ancestors().flat_map(settings));
        read.extend(readable_parts(copy));
        run.extend(write.iter().map(|path| path.to_path_buf()));
        Policy {
            run,
            read,
            // Cargo looks for the packages of the workspace.
            list: vec![copy.to_path_buf()],
            write: write.iter().map(|path| path.to_path_buf()).collect(),
            is_candidate: false,
            limits: vec![
                Limit::UsualMemory(BUILD_MEMORY),
                Limit::Processes(self.processes),
                Limit::Files(1024),
                Limit::Core(0),
            ],
            complete: self.protection.is_complete(),
        }
    }

    /// What the candidate `program` may do.
    pub fn candidate(&self, program: &Path) -> Policy {
        let mut run = paths(&LIBRARIES);
        run.push(program.to_path_buf());
        Policy {
            run,
            read: paths(&LOADER),
            list: Vec::new(),
            write: Vec::new(),
            is_candidate: true,
            // Its time is limited by the examiner, as it is at home.
            limits: vec![
                Limit::Memory(wire::ADDRESS_SPACE),
                Limit::OwnMemory(wire::OWN_MEMORY),
                Limit::FileSize(0),
                Limit::Processes(self.candidate_processes),
                Limit::Files(64),
                Limit::Core(0),
            ],
            complete: self.protection.is_complete(),
        }
    }

    /// The words that start `program` under `policy`; its arguments follow.
    pub fn words(&self, policy: &Policy, program: &Path) -> Vec<OsString> {
        vec![self.helper.clone().into(), CONFINE.into(), as_argument(policy).into(), program.into()]
    }
}

fn as_argument(policy: &Policy) -> String {
    // Paths and numbers: nothing that JSON can't hold. A path that is no text isn't allowed, then.
    serde_json::to_string(policy).unwrap_or_default()
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// Everything in the copy of the course but what nobody may read while a submission is compiled: the references and
/// the zoos. What is made of them is compiled before.
fn readable_parts(copy: &Path) -> Vec<PathBuf> {
    let children = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let labs = copy.join("labs");
    let mut parts: Vec<PathBuf> = children(copy).into_iter().filter(|path| *path != labs).collect();
    for part in children(&labs).iter().flat_map(|lab| if lab.is_dir() { children(lab) } else { vec![lab.clone()] }) {
        if !part.ends_with("solution") && !part.ends_with("zoo") {
            parts.push(part);
        }
    }
    parts
}

/// How many processes and threads `user` may have, beside those that run now.
fn most_processes(user: u32) -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    running_threads(user) + MORE_PROCESSES + MORE_FOR_EACH * processors
}

/// How many threads a user runs, in all their programs.
fn running_threads(user: u32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let threads = processes
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user))
        .map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(0, |tasks| tasks.count() as u64));
    threads.sum()
}

/// The helper: `autograde` itself, or beside the running program, or where a test runs, in the folder above.
pub fn find_helper() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().map_err(Error::at(Path::new("/proc/self/exe")))?;
    if program.file_stem().is_some_and(|name| name == "autograde") {
        return Ok(program);
    }
    // target/debug/mutants → target/debug/autograde ← target/debug/deps/suite-0123
    let mut places = program.ancestors().skip(1).take(2).map(|folder| folder.join("autograde"));
    let helper = places.find(|helper| helper.is_file());
    helper.ok_or(Error::NoHelper { beside: program })
}
