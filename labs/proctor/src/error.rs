//! What is wrong with a file of the course, or of a run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file, the line in it where that is known, and what is wrong. Shown, it is one line.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug)]
pub enum Fault {
    /// The system said so.
    Io(io::Error),
    /// It can't be read as TOML or JSON.
    Syntax(String),
    /// It is a report of another format.
    Format(String),
    /// The points of a lab's rules sum to this, and not to [`crate::lab::FULL_MARKS`].
    Points(u32),
    /// A rule has no case.
    NoCase(String),
    /// A rule has no hint.
    NoHint(String),
    /// A rule (first) has a hint for something (second) that is none of its cases and no kind of failure.
    NoSuchMistake(String, String),
    /// A rule or a case has a name that is taken.
    Twice(String),
}

impl Error {
    pub(crate) fn new(path: &Path, fault: impl Into<Fault>) -> Self {
        Error { path: path.to_path_buf(), line: None, fault: fault.into() }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(error) => error.fmt(f),
            Fault::Syntax(what) => f.write_str(what),
            Fault::Format(format) => write!(f, "the format is `{format}`, not `{}`", crate::report::FORMAT),
            Fault::Points(points) => {
                write!(f, "the points of the rules sum to {points}, not to {}", crate::lab::FULL_MARKS)
            }
            Fault::NoCase(rule) => write!(f, "rule `{rule}` names no case"),
            Fault::NoHint(rule) => write!(f, "rule `{rule}` has no hint"),
            Fault::NoSuchMistake(rule, name) => {
                write!(f, "rule `{rule}` has a hint for `{name}`, which is none of its cases and no kind of failure")
            }
            Fault::Twice(name) => write!(f, "`{name}` is there twice"),
        }
    }
}

impl std::error::Error for Error {}

/// Programs that end with one line on the screen need no more.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
