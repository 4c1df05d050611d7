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

/// The labs that the variable `SELFCHECK_LAB` names, such as `lab03 lab05`; every lab where it isn't set.
///
/// # Panics
/// As [`labs`], and if there is no such lab.
pub fn labs_asked_for() -> Vec<Lab> {
    let Ok(names) = std::env::var("SELFCHECK_LAB") else { return labs() };
    let labs = labs();
    let named = |name| labs.iter().find(|lab| lab.name == name).unwrap_or_else(|| panic!("there is no lab `{name}`"));
    let asked_for: Vec<Lab> = names.split_whitespace().map(named).cloned().collect();
    assert!(!asked_for.is_empty(), "SELFCHECK_LAB names no lab");
    asked_for
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
