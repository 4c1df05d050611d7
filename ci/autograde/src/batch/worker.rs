//! The graders of a batch: each has its own copy of the course and its own compiled dependencies.

use super::{Job, work_dir};
use crate::{Error, Grader};
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::thread;

/// The parts of a grader's folder that the next one starts from.
const PARTS: [&str; 2] = ["course", "target"];

pub struct Workers {
    graders: Vec<Grader>,
    toolchain: String,
}

impl Workers {
    /// The first worker, and what it compiles with.
    pub fn open(job: &Job) -> Result<Self, Error> {
        let mut first = job.course.grader(&work_dir(job.course, 0))?.seed(job.seed);
        first.protection()?.warn();
        let toolchain = first.toolchain()?;
        Ok(Workers { graders: vec![first], toolchain })
    }

    pub fn toolchain(&self) -> &str {
        &self.toolchain
    }

    pub fn graders(&mut self) -> &mut [Grader] {
        &mut self.graders
    }

    /// Compiles what all submissions share, by grading the starter, and hands it to as many workers as `entries` need.
    ///
    /// # Errors
    /// One line: the course itself can't be graded with.
    pub fn warm(&mut self, job: &Job, entries: usize) -> Result<(), Error> {
        let wanted = job.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, usize::from).min(entries);
        let starter = job.lab.learner_file();
        let text = fs::read_to_string(&starter).map_err(Error::at(&starter))?;
        self.graders[0].grade(job.lab, &text)?;
        for number in 1..wanted {
            let folder = work_dir(job.course, number);
            // Opened, and so locked, before anything is put there.
            let grader = self.graders[0].another(&folder)?;
            seed(&work_dir(job.course, 0), &folder)?;
            self.graders.push(grader);
        }
        Ok(())
    }
}

/// Copies a warm worker's folder to a new worker's, times and all, so that cargo finds the dependencies fresh there.
///
/// Copies, and no hard links: cargo and rustc write to some of these files in place. 200 MB take a third of a
/// second.
fn seed(from: &Path, to: &Path) -> Result<(), Error> {
    if to.join("target").exists() {
        return Ok(());
    }
    // The target folder last, in one step: half a copy must not be taken for a whole one.
    for part in PARTS {
        let unfinished = to.join(format!("{part}.new"));
        for folder in [&unfinished, &to.join(part)] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(Error::at(folder))?;
            }
        }
        copy_tree(&from.join(part), &unfinished).map_err(Error::at(&unfinished))?;
        fs::rename(&unfinished, to.join(part)).map_err(Error::at(&unfinished))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &target)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(&source, &target)?;
            let modified = entry.metadata()?.modified()?;
            // A file may be read-only; then it is one whose time nobody looks at.
            if let Ok(file) = File::options().write(true).open(&target) {
                file.set_times(FileTimes::new().set_modified(modified))?;
            }
        }
    }
    Ok(())
}
