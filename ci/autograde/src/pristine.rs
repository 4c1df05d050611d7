//! A copy of the course in which nothing is left of the submission before.

use crate::Error;
use crate::entry::hex;
use ignore::WalkBuilder;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Makes `copy` the same as the course in `root`, without what git ignores, `target/` and `.git`.
///
/// A file that is already the same keeps its modification time, so cargo compiles only what has changed. Returns a number
/// that changes when anything of the course does.
pub fn refresh(root: &Path, copy: &Path) -> Result<u64, Error> {
    let course = files_of_course(root, copy)?;
    for Part { path, is_folder } in parts_of_copy(copy)? {
        let stays = match is_folder {
            // In order, what is in a folder follows it.
            true => course.range(path.clone()..).next().is_some_and(|file| file.starts_with(&path)),
            false => course.contains(&path),
        };
        if !stays {
            let path = copy.join(path);
            // Cargo would take the empty folder of a lab that is gone for a lab without a manifest.
            let removed = if is_folder { fs::remove_dir(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::at(&path))?;
        }
    }
    let mut hasher = DefaultHasher::new();
    for file in &course {
        file.hash(&mut hasher);
        refresh_file(&root.join(file), &copy.join(file))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// A hash of those files of the course in `root` that decide about a grade: the labs, the grader and the build.
///
/// A page of the book may change between two gradings and leave the results as they are.
pub fn digest(root: &Path) -> Result<String, Error> {
    const PARTS: [&str; 6] = ["labs", "ci/autograde/src", ".cargo", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
    let mut hash = Sha256::new();
    // A set of paths: always in the same order.
    for file in files_of_course(root, &root.join("target"))? {
        if PARTS.iter().any(|part| file.starts_with(part)) {
            let path = root.join(&file);
            let content = fs::read(&path).map_err(Error::at(&path))?;
            for part in [file.as_os_str().as_encoded_bytes(), &content] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

/// The folder that holds the copy may lie in the course itself; it is no part of it.
fn files_of_course(root: &Path, copy: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let not_course = [root.join("target"), root.join(".git"), copy.to_path_buf()];
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        // An unpacked archive of the course is a course too.
        .require_git(false)
        .filter_entry(move |entry| not_course.iter().all(|path| path != entry.path()) && !is_zoo(entry.path()))
        .build();
    let mut files = BTreeSet::new();
    for entry in walk {
        let entry = entry.map_err(io::Error::other).map_err(Error::at(root))?;
        if entry.path().is_file() {
            files.extend(entry.path().strip_prefix(root).map(Path::to_path_buf));
        }
    }
    Ok(files)
}

/// A lab's zoo is only for the course's own proof: nothing that is graded needs to lie beside it.
fn is_zoo(path: &Path) -> bool {
    path.ends_with("zoo") && path.ancestors().nth(2).is_some_and(|labs| labs.ends_with("labs"))
}

/// Something in the copy: where, from its root.
struct Part {
    path: PathBuf,
    is_folder: bool,
}

/// Everything in the copy, what is in a folder before the folder.
fn parts_of_copy(copy: &Path) -> Result<Vec<Part>, Error> {
    fs::create_dir_all(copy).map_err(Error::at(copy))?;
    let mut parts = Vec::new();
    for entry in WalkBuilder::new(copy).standard_filters(false).build().skip(1) {
        let entry = entry.map_err(io::Error::other).map_err(Error::at(copy))?;
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        parts.extend(entry.path().strip_prefix(copy).map(|path| Part { path: path.to_path_buf(), is_folder }));
    }
    parts.sort_unstable_by(|one, other| other.path.cmp(&one.path));
    Ok(parts)
}

/// Compares the content: a time says nothing after a checkout, and a grading writes to the learner's file. Returns it.
fn refresh_file(from: &Path, to: &Path) -> Result<Vec<u8>, Error> {
    let wanted = fs::read(from).map_err(Error::at(from))?;
    if !to.is_symlink() && fs::read(to).is_ok_and(|present| present == wanted) {
        return Ok(wanted);
    }
    let write = || -> io::Result<()> {
        if to.is_symlink() {
            fs::remove_file(to)?;
        }
        // A folder can stand where the course has a file since its last change.
        if to.is_dir() {
            fs::remove_dir_all(to)?;
        }
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::write(to, &wanted)
    };
    write().map_err(Error::at(to))?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_copy_follows_the_course_and_keeps_the_times_of_what_stays() {
        let place = tempfile::tempdir().unwrap();
        let (root, copy) = (place.path().join("course"), place.path().join("course/target/grading/course"));
        write(root.join(".gitignore"), "/target/\nwip/\n");
        write(root.join(".cargo/config.toml"), "[alias]");
        write(root.join("stays.rs"), "same");
        write(root.join("changes.rs"), "old");
        write(root.join("vanishes/file.rs"), "gone soon");
        write(root.join("labs/wip/draft.rs"), "ignored");
        write(root.join("labs/lab09/src/lib.rs"), "a lab that is given up");
        write(root.join(".git/HEAD"), "ignored");
        refresh(&root, &copy).unwrap();
        assert!(!copy.join("labs/wip").exists() && !copy.join(".git").exists());
        assert!(copy.join(".cargo/config.toml").exists());
        let time = |name: &str| fs::metadata(copy.join(name)).unwrap().modified().unwrap();
        let before = time("stays.rs");

        write(root.join("changes.rs"), "new");
        fs::remove_dir_all(root.join("vanishes")).unwrap();
        write(root.join("vanishes"), "a file now");
        write(copy.join("left_by_a_submission.rs"), "");
        fs::remove_dir_all(root.join("labs/lab09")).unwrap();
        fs::remove_file(copy.join(".gitignore")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", copy.join(".gitignore")).unwrap();
        refresh(&root, &copy).unwrap();
        assert_eq!(fs::read_to_string(copy.join("changes.rs")).unwrap(), "new");
        assert_eq!(fs::read_to_string(copy.join("vanishes")).unwrap(), "a file now");
        assert_eq!(fs::read_to_string(copy.join(".gitignore")).unwrap(), "/target/\nwip/\n");
        assert!(!copy.join("left_by_a_submission.rs").exists());
        assert!(!copy.join("labs").exists());
        assert_eq!(time("stays.rs"), before);
    }
}
