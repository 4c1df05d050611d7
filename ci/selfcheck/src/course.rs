//! The labs, their starters and their references.

use proctor::lab::{Lab, course_root};
use std::path::{Path, PathBuf};

/// The folder of the course that this program was compiled in.
///
/// # Panics
/// If that folder is gone.
pub fn root() -> &'static Path {
    course_root(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("selfcheck is compiled inside the course")
}

/// Every lab, by name.
///
/// # Panics
/// If a `lab.toml` can't be read, with the line that says why.
pub fn labs() -> Vec<Lab> {
    let labs = Lab::load_all(&root().join("labs")).unwrap_or_else(|line| panic!("{line}"));
    assert!(!labs.is_empty(), "there is no lab in {}", root().display());
    labs
}

/// Where the reference of a lab stands: beside the learner's file, in `solution/`.
pub fn reference_file(lab: &Lab) -> PathBuf {
    let name = lab.file.file_name().unwrap_or_default();
    lab.dir.join("solution").join(name)
}

/// The text of a file.
///
/// # Panics
/// If it can't be read, with the line that says why.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
