//! What a learner handed in: of everything in it, the one file that counts.

use crate::archive::{self, Archive};
use ignore::WalkBuilder;
use proctor::lab::Lab;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest source file that is read. A lab's file has a few hundred lines.
const MAX_BYTES: u64 = 1 << 20;
/// How many files of a folder are looked at.
const MAX_FILES: usize = 100_000;

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
    /// Reads the learner's file of `lab` from `path`: the file itself, or a folder, a clone or an archive that holds it.
    ///
    /// # Errors
    /// One line: what was looked for and not found, or what is wrong with the file.
    pub fn read(path: &Path, lab: &Lab) -> Result<Self, String> {
        Self::read_entry(path, lab).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// The same for a caller who says whose submission it is.
    pub(crate) fn read_entry(path: &Path, lab: &Lab) -> Result<Self, String> {
        let full = path.canonicalize().map_err(|e| e.to_string())?;
        let (file, text) = if full.is_dir() {
            read_folder(&full, lab)
        } else if full.is_file() && archive::is_archive(&full) {
            read_archive(&full, lab)
        } else {
            read(&full).map(|text| (PathBuf::from(path.file_name().unwrap_or_default()), text))
        }?;
        // `.` and `..` have a name only in full.
        let name = path.file_name().or(full.file_name()).unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        Ok(Submission { name, file, text })
    }
}

fn read_folder(folder: &Path, lab: &Lab) -> Result<(PathBuf, String), String> {
    for file in [&path_in_a_clone(lab), &lab.file] {
        if let Ok(target) = folder.join(file).canonicalize() {
            // A symlink would bring in a file from outside the submission.
            if !target.starts_with(folder) {
                return Err(format!("{} is a link to outside the submission", file.display()));
            }
            return read_file(folder, file);
        }
    }
    let files = files_of(folder)?;
    if files.is_empty() {
        return Err("a folder without files".to_owned());
    }
    match choose(&files, lab) {
        Ok(file) => read_file(folder, &file),
        Err(what) => match &files.iter().filter(|file| archive::is_archive(file)).collect::<Vec<_>>()[..] {
            // A learner's folder as some course systems pack it: an archive was handed in.
            [archive] if what.is_nothing() => {
                let (file, text) = read_archive(&folder.join(archive), lab)?;
                Ok((archive.join(file), text))
            }
            _ => Err(what.line(lab)),
        },
    }
}

fn read_file(folder: &Path, file: &Path) -> Result<(PathBuf, String), String> {
    let text = read(&folder.join(file)).map_err(|what| format!("{}: {what}", file.display()))?;
    Ok((file.to_path_buf(), text))
}

fn read_archive(path: &Path, lab: &Lab) -> Result<(PathBuf, String), String> {
    let archive = Archive::open(path)?;
    let files: Vec<PathBuf> = archive.files().iter().filter(|file| !is_by_product(file)).cloned().collect();
    let file = choose(&files, lab).map_err(|what| what.line(lab))?;
    let text = archive.read(&file, MAX_BYTES + 1).and_then(text_of).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok((file, text))
}

/// The regular files in `folder`, relative to it, without what a learner compiled or committed.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .filter_entry(|entry| !is_by_product(Path::new(entry.file_name())))
        .build();
    let mut files = Vec::new();
    for (i, entry) in walk.flatten().enumerate() {
        if i > MAX_FILES {
            return Err(format!("a folder with more than {MAX_FILES} files"));
        }
        // Not through a link, and nothing that isn't a file.
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.extend(entry.path().strip_prefix(folder).map(Path::to_path_buf));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a part of `path` is a folder that cargo or git made, or what macOS puts beside files.
fn is_by_product(path: &Path) -> bool {
    path.iter().any(|part| {
        part == "target" || part == ".git" || part == "__MACOSX" || part.as_encoded_bytes().starts_with(b"._")
    })
}

fn path_in_a_clone(lab: &Lab) -> PathBuf {
    Path::new("labs").join(&lab.name).join(&lab.file)
}

/// Why no file was chosen.
enum NotChosen {
    Nothing,
    Several(Vec<PathBuf>),
}

/// The learner's file among `files`. The first of these that is there, and there once:
///
/// 1. `labs/lab03/src/free_list.rs`, at the top or in any folder (a clone, an unpacked archive of one);
/// 2. `src/free_list.rs`, the same way (a lab's folder);
/// 3. a file called `free_list.rs`;
/// 4. the only `.rs` file there is.
fn choose(files: &[PathBuf], lab: &Lab) -> Result<PathBuf, NotChosen> {
    let in_a_clone = path_in_a_clone(lab);
    let name = lab.file.file_name().unwrap_or_default();
    for file in [&in_a_clone, &lab.file] {
        if files.contains(file) {
            return Ok(file.clone());
        }
    }
    let mut several = Vec::new();
    for wanted in [&in_a_clone, &lab.file, Path::new(name)] {
        let found: Vec<&PathBuf> = files.iter().filter(|file| file.ends_with(wanted)).collect();
        match found[..] {
            [] => {}
            [file] => return Ok(file.clone()),
            _ => several = found.into_iter().cloned().collect(),
        }
    }
    if !several.is_empty() {
        return Err(NotChosen::Several(several));
    }
    let sources: Vec<&PathBuf> = files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")).collect();
    match sources[..] {
        [file] => Ok(file.clone()),
        _ => Err(NotChosen::Nothing),
    }
}

impl NotChosen {
    fn is_nothing(&self) -> bool {
        matches!(self, NotChosen::Nothing)
    }

    fn line(&self, lab: &Lab) -> String {
        let name = lab.file.file_name().unwrap_or_default();
        match self {
            NotChosen::Nothing => format!(
                "found neither {} nor {}, nor another file called {}",
                path_in_a_clone(lab).display(),
                lab.file.display(),
                name.display()
            ),
            NotChosen::Several(files) => {
                let first: Vec<String> = files.iter().take(2).map(|file| file.display().to_string()).collect();
                let more = if files.len() > 2 { ", …" } else { "" };
                let (n, name) = (files.len(), name.display());
                format!("{n} files are called {name} ({}{more}): name the one to grade", first.join(", "))
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    // Before it is opened: opening a pipe waits for somebody to write to it.
    let metadata = path.metadata().map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    text_of(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        format!("not UTF-8 (line {line})")
    })
}

fn too_large() -> String {
    format!("larger than {MAX_BYTES} bytes: this isn't the learner's file")
}
