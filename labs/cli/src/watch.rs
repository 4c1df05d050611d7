//! `cargo lab watch`: grades at each save of the learner's file.

use notify::{RecursiveMode, Watcher};
use proctor::lab::Lab;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

/// An editor writes a file in several steps; so long after the last one it is done.
const QUIET: Duration = Duration::from_millis(80);

/// Clears the screen and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

/// Grades now and at each save, until the learner leaves with Ctrl-C.
pub fn watch(root: &Path, lab: &Lab) -> Result<(), String> {
    let file = lab.learner_file();
    let folder = file.parent().unwrap_or(root);
    let cannot = |e: notify::Error| format!("{} can't be watched: {e}", folder.display());
    let (sender, events) = channel();
    let mut watcher = notify::recommended_watcher(sender).map_err(cannot)?;
    // The folder, not the file: many editors write a new file and rename it into the old one's place.
    watcher.watch(folder, RecursiveMode::NonRecursive).map_err(cannot)?;
    loop {
        let graded = version(&file);
        grade(root, lab)?;
        wait_for_another_version(&file, graded, &events)?;
    }
}

fn grade(root: &Path, lab: &Lab) -> Result<(), String> {
    if std::io::stdout().is_terminal() {
        print!("{CLEAR}");
    }
    println!("Grading {} …", lab.name);
    // Nothing is lost when this is late.
    let _ = std::io::stdout().flush();
    // Set by cargo: the very one that started this program.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Red cases are no failure of the watch, and cargo has said what it is.
    Command::new(&cargo)
        .args(["test", "--package", &lab.name])
        .current_dir(root)
        .status()
        .map_err(|e| format!("{} can't be started: {e}", cargo.display()))?;
    println!("\nSave labs/{}/{} to grade again; Ctrl-C to leave.", lab.name, lab.file.display());
    let _ = std::io::stdout().flush();
    Ok(())
}

/// What tells one saved version of a file from the next; nothing while there is no file.
fn version(file: &Path) -> Option<(SystemTime, u64)> {
    let about = file.metadata().ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn wait_for_another_version(
    file: &Path,
    graded: Option<(SystemTime, u64)>,
    events: &Receiver<notify::Result<notify::Event>>,
) -> Result<(), String> {
    loop {
        let event = events.recv().map_err(|_| "the watch has ended".to_owned())?;
        event.map_err(|e| e.to_string())?;
        while events.recv_timeout(QUIET).is_ok() {}
        let now = version(file);
        // Reading the file, which the compiler does, makes events too.
        if now.is_some() && now != graded {
            return Ok(());
        }
    }
}
