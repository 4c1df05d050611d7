//! What a learner handed in: of everything in it, the one file that counts.

use crate::archive::{self, Archive};
use ignore::WalkBuilder;
use proctor::lab::Lab;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest source file that is read. A lab's file has a few hundred lines.
const MAX_BYTES: u64 = 1 << 20;
/// How many files a line names where one has to be chosen.
const NAMED: usize = 5;
/// How many files of a folder are looked at.
const MAX_FILES: usize = 100_000;

/// Why there is nothing in a submission that could be graded. Shown, it is one line.
#[derive(Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "a field's name says it")]
pub enum Unreadable {
    /// The system said so.
    Io(io::Error),
    /// It is a symbolic link.
    Link,
    /// This file of the folder is a link to something outside it.
    LinkOutside(PathBuf),
    /// It is a pipe, a device or the like.
    NoFile,
    /// The folder is empty.
    NoFiles,
    /// The folder has too many files to look at.
    TooManyFiles,
    /// None of its files has the name of the learner's file: where that is in a clone, and in the lab's folder.
    /// These are the other `.rs` files.
    NotFound { in_a_clone: PathBuf, file: PathBuf, sources: Vec<PathBuf> },
    /// All these files have that name.
    Several(Vec<PathBuf>),
    /// The file is too large.
    TooLarge,
    /// The file isn't UTF-8, first in this line.
    NotUtf8(usize),
    /// The archive can't be used.
    Archive(archive::Fault),
    /// Something is wrong with this file in the folder or archive.
    In(PathBuf, Box<Unreadable>),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |file: &Path| file.file_name().unwrap_or_default().display().to_string();
        match self {
            Unreadable::Io(error) => error.fmt(f),
            Unreadable::Link => f.write_str("a symbolic link: hand in a file, a folder or an archive"),
            Unreadable::LinkOutside(file) => write!(f, "{} is a link to outside the submission", file.display()),
            Unreadable::NoFile => f.write_str("not a regular file"),
            Unreadable::NoFiles => f.write_str("a folder without files"),
            Unreadable::TooManyFiles => write!(f, "a folder with more than {MAX_FILES} files"),
            Unreadable::NotFound { in_a_clone, file, sources } => {
                let (in_a_clone, name) = (in_a_clone.display(), name(file));
                write!(f, "found neither {in_a_clone} nor {}, nor another file called {name}", file.display())?;
                if sources.is_empty() { Ok(()) } else { write!(f, " (there are {})", first_of(sources)) }
            }
            Unreadable::Several(files) => {
                let (n, name) = (files.len(), files.first().map(|file| name(file)).unwrap_or_default());
                write!(f, "{n} files are called {name} ({}): name the one to grade", first_of(files))
            }
            Unreadable::TooLarge => write!(f, "larger than {MAX_BYTES} bytes: this isn't the learner's file"),
            Unreadable::NotUtf8(line) => write!(f, "not UTF-8 (line {line})"),
            Unreadable::Archive(fault) => fault.fmt(f),
            Unreadable::In(file, what) => write!(f, "{}: {what}", file.display()),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The first few of the files.
fn first_of(files: &[PathBuf]) -> String {
    let first: Vec<String> = files.iter().take(NAMED).map(|file| file.display().to_string()).collect();
    first.join(", ") + if files.len() > NAMED { ", …" } else { "" }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Unreadable::Io(error)
    }
}

impl From<archive::Fault> for Unreadable {
    fn from(fault: archive::Fault) -> Self {
        Unreadable::Archive(fault)
    }
}

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
    /// What was looked for and not found, or what is wrong with the file. Whose submission it is, the caller knows.
    pub fn read(path: &Path, lab: &Lab) -> Result<Self, Unreadable> {
        let full = path.canonicalize()?;
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

fn read_folder(folder: &Path, lab: &Lab) -> Result<(PathBuf, String), Unreadable> {
    for file in [&path_in_a_clone(lab), &lab.file] {
        if let Ok(target) = folder.join(file).canonicalize() {
            // A symlink would bring in a file from outside the submission.
            if !target.starts_with(folder) {
                return Err(Unreadable::LinkOutside(file.clone()));
            }
            return read_file(folder, file);
        }
    }
    let files = files_of(folder)?;
    if files.is_empty() {
        return Err(Unreadable::NoFiles);
    }
    match choose(&files, lab) {
        Ok(file) => read_file(folder, &file),
        Err(what) => match &files.iter().filter(|file| archive::is_archive(file)).collect::<Vec<_>>()[..] {
            // A learner's folder as some course systems pack it: an archive was handed in.
            [archive] if matches!(what, Unreadable::NotFound { .. }) => {
                let (file, text) = read_archive(&folder.join(archive), lab)?;
                Ok((archive.join(file), text))
            }
            _ => Err(what),
        },
    }
}

fn read_file(folder: &Path, file: &Path) -> Result<(PathBuf, String), Unreadable> {
    let text = read(&folder.join(file)).map_err(within(file))?;
    Ok((file.to_path_buf(), text))
}

fn read_archive(path: &Path, lab: &Lab) -> Result<(PathBuf, String), Unreadable> {
    let archive = Archive::open(path)?;
    let files: Vec<PathBuf> = archive.files().iter().filter(|file| !is_by_product(file)).cloned().collect();
    let file = choose(&files, lab)?;
    let text = archive.read(&file, MAX_BYTES + 1).map_err(Unreadable::from).and_then(text_of).map_err(within(&file))?;
    Ok((file, text))
}

/// What is wrong with this file of a folder or an archive.
fn within(file: &Path) -> impl FnOnce(Unreadable) -> Unreadable {
    |what| Unreadable::In(file.to_path_buf(), Box::new(what))
}

/// The regular files in `folder`, relative to it, without what a learner compiled or committed.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .filter_entry(|entry| !is_by_product(Path::new(entry.file_name())))
        .build();
    let mut files = Vec::new();
    for (i, entry) in walk.flatten().enumerate() {
        if i > MAX_FILES {
            return Err(Unreadable::TooManyFiles);
        }
        // Not through a link, and nothing that isn't a file.
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.extend(entry.path().strip_prefix(folder).map(Path::to_path_buf));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a part of `path` is a folder that cargo made, what macOS puts beside files, or hidden: git's, an editor's, a CI system's.
fn is_by_product(path: &Path) -> bool {
    let is_hidden = |part: &OsStr| part.as_encoded_bytes().starts_with(b".") && part != "." && part != "..";
    path.iter().any(|part| part == "target" || part == "__MACOSX" || is_hidden(part))
}

fn path_in_a_clone(lab: &Lab) -> PathBuf {
    Path::new("labs").join(&lab.name).join(&lab.file)
}

/// The learner's file among `files`. The first of these that is there, and there once:
///
/// 1. `labs/lab03/src/free_list.rs`, at the top or in any folder (a clone, an unpacked archive of one);
/// 2. `src/free_list.rs`, the same way (a lab's folder);
/// 3. a file called `free_list.rs`;
/// 4. the only `.rs` file there is.
fn choose(files: &[PathBuf], lab: &Lab) -> Result<PathBuf, Unreadable> {
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
        return Err(Unreadable::Several(several));
    }
    let sources: Vec<&PathBuf> = files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")).collect();
    match sources[..] {
        [file] => Ok(file.clone()),
        _ => {
            let sources = sources.into_iter().cloned().collect();
            Err(Unreadable::NotFound { in_a_clone, file: lab.file.clone(), sources })
        }
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    // Before it is opened: opening a pipe waits for somebody to write to it.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(Unreadable::NoFile);
    }
    if metadata.len() > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    text_of(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Unreadable> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        Unreadable::NotUtf8(1 + good.iter().filter(|&&byte| byte == b'\n').count())
    })
}
