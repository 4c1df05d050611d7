//! The checkout of the course that the grading is done with.

use crate::{Error, Grader, pristine};
use proctor::lab::{self, Lab};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A checkout of the course.
#[derive(Clone, Debug)]
pub struct Course {
    root: PathBuf,
}

impl Course {
    /// The course that `start` stands in.
    pub fn find(start: &Path) -> Option<Self> {
        let start = start.canonicalize().ok()?;
        let root = lab::course_root(&start)?.to_path_buf();
        Some(Course { root })
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where grading keeps its copy of the course, what it compiles and, unless told otherwise, its results.
    pub fn grading_dir(&self) -> PathBuf {
        self.root.join("target").join("grading")
    }

    /// The lab called `name`.
    ///
    /// # Errors
    /// One line: there is no such lab, or its `lab.toml` can't be read.
    pub fn lab(&self, name: &str) -> Result<Lab, Error> {
        let mut labs = Lab::load_all(&self.root.join("labs"))?;
        match labs.iter().position(|lab| lab.name == name) {
            Some(index) => Ok(labs.swap_remove(index)),
            None => Err(Error::NoLab { name: name.to_owned(), known: labs.into_iter().map(|lab| lab.name).collect() }),
        }
    }

    /// A grader that keeps its copy of the course in `work_dir`. Waits for another one that uses the same folder.
    ///
    /// # Errors
    /// One line: the folder can't be made or locked.
    pub fn grader(&self, work_dir: &Path) -> Result<Grader, Error> {
        Grader::new(self.clone(), work_dir)
    }

    /// Stands for everything in the checkout that decides about a grade.
    ///
    /// # Errors
    /// One line: a file can't be read.
    pub fn digest(&self) -> Result<String, Error> {
        pristine::digest(&self.root)
    }

    /// The revision of the checkout, `-dirty` when it has changes; nothing when git doesn't know it.
    pub fn revision(&self) -> Option<String> {
        // A course unpacked inside another project's checkout isn't described by that project's revision.
        if !self.root.join(".git").exists() {
            return None;
        }
        let git = Command::new("git")
            .arg("-C")
            .arg(&self.root)
            .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
            .output()
            .ok()?;
        let revision = String::from_utf8(git.stdout).ok()?.trim().to_owned();
        (git.status.success() && !revision.is_empty()).then_some(revision)
    }
}
