//! In the test runner's process: starts a case's process, waits for it, and looks for the shortest workload that
//! still fails.

use crate::inside::{TICKET, Ticket};
use crate::judge::{Outcome, judge};
use crate::recorder::{End, Recorder};
use crate::report::{SEED, Verdict};
use crate::seed;
use heapkit::workload::{self, Op};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How a case is run.
#[derive(Clone, Copy)]
struct Run {
    /// Processor time for the body of the case, in milliseconds.
    cpu_ms: u64,
    /// Whether to find out where in the code it ended.
    locate: bool,
}

/// For the verdict. Seconds, where the slowest right code needs a tenth of one on an ordinary machine: what a case earns must not
/// depend on how fast the machine is.
const FOR_THE_VERDICT: Run = Run { cpu_ms: 5000, locate: true };
/// While looking for a shorter workload, which may hang many times.
const FOR_A_SHORTER_ONE: Run = Run { cpu_ms: 40, locate: false };
/// For the picture of the shortest.
const FOR_THE_PICTURE: Run = Run { cpu_ms: 100, locate: true };
/// How many shorter workloads to try. A count and not a time, so that the same mistake always ends in the same story.
const TRIES: usize = 150;
/// The same for a case that hangs, where each try takes [`FOR_A_SHORTER_ONE`]'s time.
const TRIES_WHEN_HUNG: usize = 12;
/// A case that sleeps uses no processor time: the end of patience.
const WALL: Duration = Duration::from_secs(60);
/// The same, for a program of which [`SLEEPERS_AT_MOST`] cases have slept through it. So it can't keep a class waiting.
const WALL_FOR_SLEEPERS: Duration = Duration::from_secs(2);
const SLEEPERS_AT_MOST: usize = 2;
static SLEEPERS: AtomicUsize = AtomicUsize::new(0);
/// Address space for a case's process: a 64 GiB request must fail, a debug build must run.
const ADDRESS_SPACE: u64 = 4 << 30;
/// The largest file it may write.
const FILE_SIZE: u64 = 16 << 20;
/// How much of its output is kept.
const OUTPUT: usize = 64 << 10;

/// What is left of a process.
pub struct Remains {
    /// How it ended; `None` if it had to be killed.
    pub status: Option<ExitStatus>,
    /// What it printed, up to a limit.
    pub output: String,
    /// How long it took.
    pub time: Duration,
}

/// Runs the case `name` and judges it; a failing workload is made as short as it gets.
pub fn examine(name: &str) -> Outcome {
    let patience = patience();
    let outcome = run(name, FOR_THE_VERDICT, None);
    // What sleeps would sleep through every one of the tries.
    let awake = outcome.time < patience;
    if !awake {
        SLEEPERS.fetch_add(1, Ordering::Relaxed);
    }
    let shrinkable =
        awake && matches!(outcome.verdict, Verdict::Wrong | Verdict::Crashed | Verdict::Hung | Verdict::Exited);
    match outcome.workload.clone().filter(|_| shrinkable) {
        Some((play, ops)) => shrink(name, outcome, play, &ops),
        None => outcome,
    }
}

/// How long to wait for a case that sleeps.
fn patience() -> Duration {
    if SLEEPERS.load(Ordering::Relaxed) < SLEEPERS_AT_MOST { WALL } else { WALL_FOR_SLEEPERS }
}

fn shrink(name: &str, outcome: Outcome, play: usize, ops: &[Op]) -> Outcome {
    let tries = if outcome.verdict == Verdict::Hung { TRIES_WHEN_HUNG } else { TRIES };
    let kind = kind_of_failure(&outcome);
    let same = |other: &Outcome| kind_of_failure(other) == kind;
    let shortest = workload::shrink(ops, tries, |ops| same(&run(name, FOR_A_SHORTER_ONE, Some((play, ops.to_vec())))));
    let again = run(name, FOR_THE_PICTURE, Some((play, shortest)));
    // Renaming the blocks changes the bytes they hold; if that hides the mistake, the long story has to do.
    if same(&again) { Outcome { time: outcome.time, shrunk: true, ..again } } else { outcome }
}

/// How a case failed, without the names of blocks, which a shorter story may change.
fn kind_of_failure(outcome: &Outcome) -> (Verdict, String) {
    let is_name = |word: &&str| {
        let word = word.trim_end_matches(['.', ',']).trim_end_matches("'s");
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word[1..].chars().all(|c| c.is_ascii_digit())
    };
    let words: Vec<&str> = outcome.finding.what.split(' ').filter(|word| !is_name(word)).collect();
    (outcome.verdict, words.join(" "))
}

fn run(name: &str, how: Run, instead: Option<(usize, Vec<Op>)>) -> Outcome {
    let start = || -> io::Result<Outcome> {
        let recorder = Recorder::create()?;
        // std seeds its hashers from the system's random numbers.
        let token = RandomState::new().hash_one(name) | 1;
        recorder.hide_token(token)?;
        let end = if instead.is_some() { End::Replay } else { End::Whole };
        let ticket = Ticket { fd: recorder.fd(), cpu_ms: how.cpu_ms, locate: how.locate, instead };
        let mut command = case_command(name)?;
        command.env(TICKET, ticket.write());
        limited(&mut command, recorder.fd());
        let remains = wait(command, patience())?;
        Ok(judge(&recorder, &remains, end.proof(token)))
    };
    start().unwrap_or_else(|e| panic!("the case `{name}` could not be started: {e}"))
}

/// Names the program whose cases are to be run, a word on each line: whoever grades a stranger's code doesn't judge it by a
/// program that the code is a part of. This program, made with the starter, then judges what another one does, made
/// with the submission.
pub const CASES: &str = "PROCTOR_CASES";

/// The command that runs the body of the case `name`: in this very program, or in the one that [`CASES`] names.
fn case_command(name: &str) -> io::Result<Command> {
    let Ok(words) = std::env::var(CASES) else { return this_test_again(name) };
    let mut words = words.lines();
    let mut command = Command::new(words.next().unwrap_or_default());
    // It has no business with what this program was told.
    command.args(words).env_clear();
    if let Some(seed) = seed::of_this_run() {
        command.env(SEED, seed.to_string());
    }
    finish(&mut command, name);
    command.env("INSTA_UPDATE", "no");
    Ok(command)
}

/// The command that runs the test `name` of this very program.
pub fn this_test_again(name: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    finish(&mut command, name);
    Ok(command)
}

fn finish(command: &mut Command, name: &str) {
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("RUST_BACKTRACE", "0").env_remove("INSTA_FORCE_PASS");
    if std::env::var_os("INSTA_UPDATE").is_none() {
        // A learner's failing picture is shown, not left beside the snapshot.
        command.env("INSTA_UPDATE", "no");
    }
    // Otherwise insta asks cargo, which takes longer than the case.
    command.env("INSTA_WORKSPACE_ROOT", concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
}

/// Limits what a learner's code can use up, leaves no core file, and hands the case its own recorder, but none of the cases
/// that run beside it.
fn limited(command: &mut Command, recorder: i32) {
    let limits = [
        (libc::RLIMIT_AS, ADDRESS_SPACE),
        (libc::RLIMIT_FSIZE, FILE_SIZE),
        (libc::RLIMIT_CORE, 0),
        // Behind the timer of the case itself, for code that gets rid of it.
        (libc::RLIMIT_CPU, FOR_THE_VERDICT.cpu_ms.div_ceil(1000) + 2),
    ];
    // SAFETY: between fork and exec only system calls that may be made there.
    unsafe {
        command.pre_exec(move || {
            for (resource, limit) in limits {
                let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                if libc::setrlimit(resource, &raw const limit) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            if libc::fcntl(recorder, libc::F_SETFD, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// Starts a command in a process group of its own and waits for it, `patience` at most. Whatever of the group is then
/// left, is killed.
pub fn wait(mut command: Command, patience: Duration) -> io::Result<Remains> {
    let started = Instant::now();
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn()?;
    // The command holds the pipe's writing end open.
    drop(command);
    let output = collect(reader);
    let ended = ends_within(&child, patience)?;
    // SAFETY: a plain system call; the group is the child's own.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    let status = child.wait()?;
    // A grandchild that left the group could keep the pipe open for ever.
    let output = output.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    Ok(Remains {
        status: ended.then_some(status),
        output: String::from_utf8_lossy(&output).into_owned(),
        time: started.elapsed(),
    })
}

/// Reads all there is, keeps the first [`OUTPUT`] bytes.
fn collect(mut reader: io::PipeReader) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = reader.by_ref().take(OUTPUT as u64).read_to_end(&mut kept);
        let _ = io::copy(&mut reader, &mut io::sink());
        let _ = send.send(kept);
    });
    receive
}

fn ends_within(child: &Child, patience: Duration) -> io::Result<bool> {
    // SAFETY: a plain system call. The child has not been waited for, so its number is still its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, and nobody else's.
    let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        // SAFETY: one descriptor in an array of one.
        match unsafe { libc::poll(&raw mut poll, 1, left as i32) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// The signal that ended a process, if one did.
pub fn signal(remains: &Remains) -> Option<i32> {
    remains.status.and_then(|status| status.signal())
}
