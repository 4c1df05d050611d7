//! What a program may do.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a program may do. Everything else it may not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Files and folders whose files it may read and run.
    pub run: Vec<PathBuf>,
    /// Files and folders whose files it may read.
    pub read: Vec<PathBuf>,
    /// Folders whose names, but not whose files, it may read.
    pub list: Vec<PathBuf>,
    /// Folders in which it may do what it likes.
    pub write: Vec<PathBuf>,
    /// Whether it runs a learner's code: then it starts no process and opens no device.
    pub is_candidate: bool,
    /// How much it may take.
    pub limits: Vec<Limit>,
    /// Whether nothing may be missing: that is what the report says.
    pub complete: bool,
}

/// How much a program may take of something.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Limit {
    /// Processor time of a process.
    CpuSeconds(u64),
    /// Address space of a process, in bytes.
    Memory(u64),
    /// The same for what is started without another limit.
    UsualMemory(u64),
    /// Memory of a process that it shares with nobody, in bytes.
    OwnMemory(u64),
    /// The size of a file that it writes, in bytes.
    FileSize(u64),
    /// How many descriptors it has.
    Files(u64),
    /// How many processes its user has.
    Processes(u64),
    /// The size of a core file.
    Core(u64),
}

/// What keeps a submission from doing harm on this machine, and what should and doesn't.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// What does.
    pub active: Vec<String>,
    /// What should, with the reason why it doesn't.
    pub missing: Vec<String>,
}

impl Protection {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Says loudly what is missing.
    pub fn warn(&self) {
        for missing in &self.missing {
            eprintln!("autograde: warning: the sandbox is not complete: {missing}");
        }
    }
}
