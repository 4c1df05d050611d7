//! A candidate's process: started, asked, and watched while it thinks.

use crate::arena::SharedArena;
use crate::confine::{confine, hide_from_others};
use candidate::wire::{self, LONGEST, Ticket};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

// ANCHOR: patience
/// As much processor time one question may take, in seconds. The slowest that right code meets takes a few thousandths of one.
const PATIENCE: f64 = 2.0;
/// The same while a shorter story is looked for, which decides nothing.
const LITTLE_PATIENCE: f64 = 0.1;
/// How often a candidate that has not answered yet is looked at.
const LOOK: Duration = Duration::from_millis(125);
/// If it was asleep in so many looks, one after the other, and has used no processor time in between, nothing will wake it. One that
/// wants to run and isn't let is not asleep.
const ASLEEP: usize = 160;
/// The same where [`SLEEPERS_AT_MOST`] candidates have slept already: one program must not keep a class waiting.
const ASLEEP_AGAIN: usize = 16;
const SLEEPERS_AT_MOST: usize = 2;
// ANCHOR_END: patience
/// In so many looks, a millisecond apart, a candidate that has closed the line and is going to end has ended.
const A_MOMENT: usize = 1000;
static SLEEPERS: AtomicUsize = AtomicUsize::new(0);
// ANCHOR: limit
/// Processor time for a whole case, in seconds: for code that answers every question, but takes a second for each. Right code needs a
/// fraction of one.
const CPU_SECONDS: u64 = 300;
// ANCHOR_END: limit
/// The same where [`SLOW_AT_MOST`] candidates have used that up already.
const CPU_SECONDS_AGAIN: u64 = 20;
const SLOW_AT_MOST: usize = 2;
static SLOW: AtomicUsize = AtomicUsize::new(0);
/// As much of the shared memory may hold anything, in bytes: the examiner copies it. Right code writes headers and links, and clears or
/// copies what it is asked to: a hundredth of that.
const FILLED_AT_MOST: u64 = 1 << 30;
/// How much of its output is kept.
const OUTPUT: u64 = 64 << 10;

/// How a candidate is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// For the verdict, and for the picture.
    Patient,
    /// While a shorter story is looked for: with little patience, and nobody asks where it crashed.
    Hasty,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It thought about one question for [`PATIENCE`] of processor time.
    Stuck,
    /// It did nothing at all.
    Asleep,
    /// It asked the system again and again, in one question.
    Asking,
    /// It has used up the processor time of a whole case, question by question.
    Slow,
    /// This signal killed it.
    Killed(i32),
    /// It left with this code.
    Left(i32),
    /// It said something that is no answer.
    Nonsense,
    /// It filled more memory than anybody can look at.
    Greedy,
}

/// What was seen of a candidate while one answer is waited for.
#[derive(Default)]
struct Watch {
    /// The processor time that it had used at the first look, and at the last.
    started: Option<f64>,
    used: f64,
    /// In how many looks, one after the other, it was asleep.
    asleep: usize,
}

/// A running candidate.
pub struct Process {
    child: Child,
    socket: UnixStream,
    /// The memory that both share.
    memory: File,
    output: io::PipeReader,
    patience: f64,
    received: Vec<u8>,
}

impl Process {
    /// Starts the candidate of `lab`, which shares `arena`.
    ///
    /// # Errors
    /// What the system says, with the program's name.
    pub fn start(lab: &str, arena: &SharedArena, manner: Manner) -> io::Result<Self> {
        static HIDDEN: Once = Once::new();
        HIDDEN.call_once(hide_from_others);
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        let memory = arena.open_again()?;
        let (output, printed) = io::pipe()?;
        for end in [output.as_raw_fd(), printed.as_raw_fd()] {
            // It may print more than the pipe holds, and nobody reads before it is gone; a grandchild may keep the pipe open for ever.
            // SAFETY: a plain system call on our own descriptor.
            unsafe { libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK) };
        }
        let words = words(lab)?;
        let mut command = Command::new(&words[0]);
        let ticket =
            Ticket { memory: memory.as_raw_fd(), socket: theirs.as_raw_fd(), locate: manner == Manner::Patient };
        command
            .args(&words[1..])
            // It has no business with what this program was told, nor with the folder where that happened.
            .env_clear()
            .env(wire::TICKET, ticket.line())
            .env("RUST_BACKTRACE", "0")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed);
        let slow = SLOW.load(Ordering::Relaxed) >= SLOW_AT_MOST;
        let seconds = if slow { CPU_SECONDS_AGAIN } else { CPU_SECONDS };
        confine(&mut command, [ticket.memory, ticket.socket], seconds, words.len() == 1);
        let program = words[0].display();
        let child = command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        let patience = if manner == Manner::Patient { PATIENCE } else { LITTLE_PATIENCE };
        Ok(Process { child, socket, memory, output, patience, received: Vec::new() })
    }

    /// Sends the words of a frame.
    pub fn send(&mut self, words: &[u64]) -> Result<(), Ended> {
        let count = words.len() as u64;
        let bytes: Vec<u8> = [count].iter().chain(words).flat_map(|word| word.to_ne_bytes()).collect();
        let (mut left, mut watch) = (&bytes[..], Watch::default());
        while !left.is_empty() {
            match self.socket.write(left) {
                Ok(sent) => left = &left[sent..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.look(&mut watch)?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // It is gone: what became of it, the next `receive` says.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits for the words of its next frame.
    pub fn receive(&mut self) -> Result<Vec<u64>, Ended> {
        let (mut looked, mut watch) = (Instant::now(), Watch::default());
        let mut buffer = [0; 4096];
        loop {
            match self.frame() {
                Ok(Some(_)) if self.is_greedy() => return Err(self.interrupted(Ended::Greedy)),
                Ok(Some(words)) => return Ok(words),
                Ok(None) => {}
                Err(()) => return Err(self.interrupted(Ended::Nonsense)),
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(self.gone()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted || e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.gone()),
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look(&mut watch)?;
            }
        }
    }

    /// Looks at a candidate that has not answered yet, and ends it if it never will.
    fn look(&mut self, watch: &mut Watch) -> Result<(), Ended> {
        let used = self.processor_time();
        let started = *watch.started.get_or_insert(used);
        // What it sends byte by byte takes processor time as well.
        let is_idle = self.is_asleep() && (used <= watch.used || !self.received.is_empty());
        watch.asleep = if is_idle { watch.asleep + 1 } else { 0 };
        watch.used = used;
        let asleep = if SLEEPERS.load(Ordering::Relaxed) < SLEEPERS_AT_MOST { ASLEEP } else { ASLEEP_AGAIN };
        let why = if self.is_greedy() {
            Ended::Greedy
        } else if used - started > self.patience {
            Ended::Stuck
        } else if watch.asleep > asleep {
            SLEEPERS.fetch_add(1, Ordering::Relaxed);
            Ended::Asleep
        } else {
            return Ok(());
        };
        Err(self.interrupted(why))
    }

    /// Whether it waits for something, and not for a processor: asleep, stopped, or held up by a child. Where nobody may look (a sandbox
    /// around the examiner), it may be: then the processor time alone has to say it.
    fn is_asleep(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())) else { return true };
        // 17 (lab03-candidate) R …
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" R"))
    }

    /// Whether it has filled too much of the shared memory: no limit of the system counts that.
    fn is_greedy(&self) -> bool {
        const BLOCK: u64 = 512;
        self.memory.metadata().is_ok_and(|data| data.blocks() * BLOCK > FILLED_AT_MOST)
    }

    /// Takes a whole frame out of what was received, if there is one.
    fn frame(&mut self) -> Result<Option<Vec<u64>>, ()> {
        let Some((count, rest)) = self.received.split_first_chunk::<8>() else { return Ok(None) };
        let count = usize::try_from(u64::from_ne_bytes(*count)).ok().filter(|count| *count <= LONGEST).ok_or(())?;
        if rest.len() < 8 * count {
            return Ok(None);
        }
        let words = rest[..8 * count].chunks_exact(8).filter_map(|word| word.try_into().ok());
        let words = words.map(u64::from_ne_bytes).collect();
        self.received.drain(..8 + 8 * count);
        Ok(Some(words))
    }

    /// Processor time that it has used so far, in seconds.
    fn processor_time(&self) -> f64 {
        let mut clock = 0;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: plain system calls that fill in the two values. The child has not been waited for, so the number is its own.
        unsafe {
            libc::clock_getcpuclockid(self.child.id().cast_signed(), &raw mut clock);
            libc::clock_gettime(clock, &raw mut time);
        }
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }

    /// Has it write down where it is, and ends it.
    pub fn interrupted(&mut self, why: Ended) -> Ended {
        // SAFETY: a plain system call; the child has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGPROF) };
        // The handler allocates, which it must not: it may hang.
        let mut buffer = [0; 4096];
        for _ in 0..ASLEEP_AGAIN {
            match self.socket.read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Ok(count) if count > 0 => {}
                _ => break,
            }
        }
        self.kill();
        why
    }

    /// How it has ended, after it has closed its end of the line.
    fn gone(&mut self) -> Ended {
        let (since, mut asleep) = (self.processor_time(), 0);
        // That happens a moment before it is gone. One that has only closed the line goes to sleep, or works on.
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            asleep += usize::from(self.is_asleep());
            if asleep > A_MOMENT || self.processor_time() - since > LITTLE_PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let Some(status) = self.kill() else { return Ended::Left(0) };
        match status.signal() {
            Some(libc::SIGXCPU) => {
                SLOW.fetch_add(1, Ordering::Relaxed);
                Ended::Slow
            }
            Some(signal) => Ended::Killed(signal),
            None => Ended::Left(status.code().unwrap_or_default()),
        }
    }

    /// Ends it and whatever of its group is still there, and says how it has ended.
    fn kill(&mut self) -> Option<ExitStatus> {
        // SAFETY: a plain system call; the group is the child's own.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        self.child.wait().ok()
    }

    /// What it has printed. Only once it is gone.
    pub fn output(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.output.by_ref().take(OUTPUT).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The words that start the candidate of `lab`: the program beside this one, unless somebody named another.
fn words(lab: &str) -> io::Result<Vec<OsString>> {
    if let Ok(words) = std::env::var(wire::CANDIDATE) {
        return Ok(words.lines().map(OsString::from).collect());
    }
    // target/debug/deps/exam-0123 → target/debug/lab03-candidate
    let exam = std::env::current_exe()?;
    let folder: Option<PathBuf> = exam.ancestors().nth(2).map(PathBuf::from);
    let program = folder.unwrap_or_default().join(format!("{lab}-candidate"));
    Ok(vec![program.into()])
}
