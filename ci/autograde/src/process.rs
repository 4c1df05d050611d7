//! Starts a program with a clean environment and waits for it, but not for ever.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a program may know of the caller: where the toolchain lives and how to reach the network through it.
///
/// Nothing that changes how code is compiled or how a case is judged (`RUSTFLAGS`, `INSTA_UPDATE`, …).
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_UPDATE_ROOT",
    "CARGO_HTTP_CAINFO",
    "CARGO_HTTP_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// How much of each output stream is kept: the first bytes, for cargo's messages come first.
const KEPT_BYTES: usize = 4 << 20;

/// How a program ended.
pub struct Finished {
    /// Its status; nothing when the time was up and it was killed.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
}

/// `program`, to be started without the caller's environment.
pub fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command.envs(ALLOWED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

/// What a confined program may know: not how to reach the network.
const CONFINED: &[&str] = &["PATH", "HOME", "LANG", "CARGO_HOME", "RUSTUP_HOME"];

/// The command that `words` make, with nothing of the caller's environment but where the toolchain lives.
pub fn confined_command(words: &[OsString]) -> Command {
    let mut command = clean_command(&words[0]);
    command.args(&words[1..]);
    for name in ALLOWED.iter().filter(|name| !CONFINED.contains(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs `command` until it ends, or until `limit` is over and it is killed with all its children.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Finished> {
    let deadline = Instant::now() + limit;
    // A process group of its own, so that its children can be killed with it.
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().map(keep_start);
    let stderr = child.stderr.take().map(keep_start);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        thread::sleep(Duration::from_millis(2));
    };
    if status.is_none() {
        // Candidates have groups of their own.
        for process in descendants(child.id()) {
            let _ = Pid::from_raw(process.cast_signed()).map(|process| kill_process(process, Signal::KILL));
        }
    }
    // Also after an orderly end: a program may have left children, and they hold the pipes open.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    if status.is_none() {
        child.wait()?;
    }
    Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
}

/// The children of a process, and theirs. A candidate can't start processes, so there is no race to win.
fn descendants(process: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `17 (a name) S 1 …`: the parent is the second word behind the name.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        let own = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(own), Some(parent)) = (own, parent) {
            children.entry(parent).or_default().push(own);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![process];
    while let Some(process) = next.pop() {
        let of_this = children.remove(&process).unwrap_or_default();
        found.extend(&of_this);
        next.extend(of_this);
    }
    found
}

/// Reads `stream` to its end, and sends what stood at its start.
fn keep_start(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 1 << 16];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            let room = KEPT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&buffer[..n.min(room)]);
        }
        let _ = sender.send(kept);
    });
    receiver
}

fn text(stream: Option<Receiver<Vec<u8>>>) -> String {
    // A child that left the group may still hold the pipe: don't wait for it.
    let bytes = stream.and_then(|stream| stream.recv_timeout(Duration::from_secs(5)).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_ends_is_killed_with_its_children() {
        let start = Instant::now();
        let mut command = clean_command("sh");
        command.args(["-c", "echo begun; sleep 60 & sleep 60"]);
        let finished = run(&mut command, Duration::from_secs(2)).unwrap();
        assert!(finished.status.is_none());
        assert_eq!(finished.stdout, "begun\n");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_child_left_behind_does_not_delay_the_end() {
        let start = Instant::now();
        let finished = run(clean_command("sh").args(["-c", "sleep 60 & exit 3"]), Duration::MAX / 4).unwrap();
        assert_eq!(finished.status.and_then(|status| status.code()), Some(3));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
