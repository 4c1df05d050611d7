//! The learner's malloc as a library that programs are started with.

use crate::Failure;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose code it is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The learner's, in all labs.
    Learner,
    /// The learner's in lab 8, on the references of the earlier labs.
    Given,
    /// The references.
    Solution,
}

/// The library in a folder of its own, which goes with it.
pub struct Library {
    folder: PathBuf,
}

impl Library {
    /// Has cargo build it, optimised, and says where it is.
    pub fn build(root: &Path, source: Source) -> Result<Self, Failure> {
        let mut command = cargo();
        // Only a library that is nothing else is optimised as a whole.
        command.args([
            "rustc",
            "--quiet",
            "--profile",
            "ship",
            "--package",
            "preload",
            "--lib",
            "--crate-type",
            "cdylib",
        ]);
        command.arg("--message-format=json-render-diagnostics");
        match source {
            Source::Learner => {}
            Source::Given => _ = command.args(["--features", "given"]),
            Source::Solution => _ = command.args(["--features", "solution"]),
        }
        let output = command.current_dir(root).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| Failure::Other(format!("cargo can't be started: {e}")))?;
        if !output.status.success() {
            return Err(Failure::Other("your malloc doesn't compile yet: cargo says above why".into()));
        }
        // One message a line; the one about this library names its files.
        let built =
            String::from_utf8_lossy(&output.stdout).lines().rev().find_map(|message| file_of(message, "libpreload.so"));
        let built = built.ok_or_else(|| Failure::Other("cargo has built no libpreload.so".into()))?;
        Self::link(&built).map_err(|e| Failure::Other(format!("no folder for {}: {e}", built.display())))
    }

    /// The dynamic linker takes a space or a colon for the end of a name, and knows no way to quote them. A link has another name.
    fn link(built: &Path) -> std::io::Result<Self> {
        // A folder that an interrupted run has left is not in the way.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("heap-book-{}-{}", std::process::id(), now.as_nanos()));
        fs::create_dir(&folder)?;
        let library = Library { folder };
        std::os::unix::fs::symlink(built, library.path())?;
        Ok(library)
    }

    /// Where the library is.
    pub fn path(&self) -> PathBuf {
        self.folder.join("heap.so")
    }

    /// A place for a file that goes with the library.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What `LD_PRELOAD` has to be: this library first, and what else was there.
    pub fn preload(&self) -> OsString {
        let mut all = OsString::from(self.path());
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            all.push(" ");
            all.push(others);
        }
        all
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // What stays, stays in the folder for what is temporary.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The cargo that started this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The file of this name, if one of cargo's messages says that it is built.
pub fn file_of(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(|file| file.as_str()).map(PathBuf::from).find(|file| file.ends_with(name))
}
