//! What a learner handed in: of everything in it, the one file that counts.

use ignore::WalkBuilder;
use proctor::lab::Lab;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest source file that is read. A lab's file has a few hundred lines.
const MAX_BYTES: u64 = 1 << 20;

/// The learner's file, read.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What the instructor calls it: the last part of the path they named.
    pub name: String,
    /// The learner's file: relative to the submission when that is a folder.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

impl Submission {
    /// Reads the learner's file of `lab` from `path`: the file itself, or a folder or clone that holds it.
    ///
    /// # Errors
    /// One line: what was looked for and not found, or what is wrong with the file.
    pub fn read(path: &Path, lab: &Lab) -> Result<Self, String> {
        let full = path.canonicalize().map_err(|e| format!("{}: {e}", path.display()))?;
        let (file, text) = if full.is_dir() {
            let file = find(&full, lab).map_err(|what| format!("{}: {what}", path.display()))?;
            let text = read(&full.join(&file)).map_err(|what| format!("{}: {what}", path.join(&file).display()))?;
            (file, text)
        } else {
            let text = read(&full).map_err(|what| format!("{}: {what}", path.display()))?;
            (PathBuf::from(path.file_name().unwrap_or_default()), text)
        };
        // `.` and `..` have a name only in full.
        let name = path.file_name().or(full.file_name()).unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        Ok(Submission { name, file, text })
    }
}

/// The learner's file in `folder`, relative to it.
fn find(folder: &Path, lab: &Lab) -> Result<PathBuf, String> {
    let in_a_clone = Path::new("labs").join(&lab.name).join(&lab.file);
    for file in [&in_a_clone, &lab.file] {
        // A symlink would bring in a file from outside the submission.
        if let Ok(target) = folder.join(file).canonicalize() {
            return if target.starts_with(folder) {
                Ok(file.clone())
            } else {
                Err(format!("{} is a link to outside the submission", file.display()))
            };
        }
    }
    let name = lab.file.file_name().unwrap_or_default();
    let mut found: Vec<PathBuf> = WalkBuilder::new(folder)
        .standard_filters(false)
        .filter_entry(|entry| entry.file_name() != "target" && entry.file_name() != ".git")
        .build()
        .flatten()
        .filter(|entry| entry.file_name() == name && entry.path().is_file() && !entry.path_is_symlink())
        .filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_path_buf()))
        .collect();
    found.sort();
    match &found[..] {
        [file] => Ok(file.clone()),
        [] => Err(format!(
            "found neither {} nor {}, nor another file called {}",
            in_a_clone.display(),
            lab.file.display(),
            name.display()
        )),
        [first, second, ..] => Err(format!(
            "{} files are called {} ({}, {}, …): name the one to grade",
            found.len(),
            name.display(),
            first.display(),
            second.display()
        )),
    }
}

fn read(path: &Path) -> Result<String, String> {
    // Before it is opened: opening a pipe waits for somebody to write to it.
    if !path.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes: this isn't the learner's file"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        format!("not UTF-8 (line {line})")
    })
}
