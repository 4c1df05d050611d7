//! Looks into an archive without unpacking it: lists what it holds, and reads one file of it.
//!
//! Nothing is ever written, so a path in it can lead nowhere; and no more is read than the limits allow.

use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use zip::ZipArchive;

/// The largest archive that is opened.
const MAX_ARCHIVE: u64 = 64 << 20;
/// What all files of an archive may take, unpacked.
const MAX_TOTAL: u64 = 512 << 20;
/// What one of them may take.
const MAX_FILE: u64 = 256 << 20;
/// How many entries an archive may have.
const MAX_ENTRIES: usize = 20_000;
/// How long a name in it may be: no longer than a file system's.
const MAX_NAME: usize = 4096;

/// The endings of the names of archives, and how to read them.
const ENDINGS: [(&str, Format); 4] =
    [(".zip", Format::Zip), (".tar", Format::Tar), (".tar.gz", Format::TarGz), (".tgz", Format::TarGz)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Zip,
    Tar,
    TarGz,
}

/// An archive whose entries have been looked at.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    format: Format,
    /// The regular files in it.
    files: BTreeSet<PathBuf>,
}

/// Whether the name is that of an archive this module reads.
pub fn is_archive(path: &Path) -> bool {
    format_of(path).is_some()
}

fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
}

impl Archive {
    /// Lists the archive.
    ///
    /// # Errors
    /// One line: it is too large, unpacks to too much, leads out of itself, or is no archive.
    pub fn open(path: &Path) -> Result<Self, String> {
        let format = format_of(path).ok_or("not an archive")?;
        let size = path.metadata().map_err(|e| e.to_string())?.len();
        if size > MAX_ARCHIVE {
            return Err(format!("an archive of {}: at most {} are opened", bytes(size), bytes(MAX_ARCHIVE)));
        }
        let mut listing = Listing::default();
        match format {
            Format::Zip => list_zip(path, &mut listing),
            Format::Tar | Format::TarGz => list_tar(path, format, &mut listing),
        }?;
        Ok(Archive { path: path.to_path_buf(), format, files: listing.files })
    }

    /// The regular files in it.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Up to `limit` bytes of a file in it.
    ///
    /// # Errors
    /// One line: it is damaged or locked with a password.
    pub fn read(&self, file: &Path, limit: u64) -> Result<Vec<u8>, String> {
        match self.format {
            Format::Zip => {
                let mut zip = open_zip(&self.path)?;
                for i in 0..zip.len() {
                    let raw = zip.by_index_raw(i).map_err(damaged)?;
                    if raw.is_file() && inside(&raw.name().map_err(damaged)?)? == file {
                        drop(raw);
                        return take(zip.by_index(i).map_err(damaged)?, limit);
                    }
                }
            }
            Format::Tar | Format::TarGz => {
                let mut tar = tar::Archive::new(open_tar(&self.path, self.format)?);
                for entry in tar.entries().map_err(damaged)? {
                    let entry = entry.map_err(damaged)?;
                    if entry.header().entry_type().is_file() && inside(&name_in_tar(&entry))? == file {
                        return take(entry, limit);
                    }
                }
            }
        }
        Err("damaged: it changed while it was read".to_owned())
    }
}

/// What has been seen of an archive so far, within the limits.
#[derive(Default)]
struct Listing {
    entries: usize,
    total: u64,
    files: BTreeSet<PathBuf>,
}

impl Listing {
    fn add(&mut self, name: &str, size: u64, is_file: bool) -> Result<(), String> {
        self.entries += 1;
        self.total = self.total.saturating_add(size);
        if self.entries > MAX_ENTRIES {
            return Err(format!("an archive with more than {MAX_ENTRIES} entries"));
        }
        if size > MAX_FILE {
            return Err(format!("{name} in it unpacks to {}: at most {} are accepted", bytes(size), bytes(MAX_FILE)));
        }
        if self.total > MAX_TOTAL {
            return Err(too_much());
        }
        if name.len() > MAX_NAME {
            return Err(format!("an archive with a name of {} bytes in it", name.len()));
        }
        let path = inside(name)?;
        // Whoever unpacks it by hand has one of them, and the grader would have the other.
        if is_file && !self.files.insert(path) {
            return Err(format!("an archive that holds {name} twice"));
        }
        Ok(())
    }
}

fn list_zip(path: &Path, listing: &mut Listing) -> Result<(), String> {
    let mut zip = open_zip(path)?;
    (0..zip.len()).try_for_each(|i| {
        let file = zip.by_index_raw(i).map_err(damaged)?;
        let name = file.name().map_err(damaged)?;
        listing.add(&name, file.size(), file.is_file())
    })
}

fn list_tar(path: &Path, format: Format, listing: &mut Listing) -> Result<(), String> {
    // A long name is an entry of its own, and is read into memory as a whole.
    for entry in tar::Archive::new(open_tar(path, format)?).entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        let is_name = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        if is_name && entry.size() > 4 * MAX_NAME as u64 {
            return Err(format!("an archive with a name of {} in it", bytes(entry.size())));
        }
        // What stands behind that is never looked at.
        if entry.size() > MAX_FILE {
            break;
        }
    }
    let mut tar = tar::Archive::new(open_tar(path, format)?);
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        // Sparse files and links count with what they claim; only regular files are ever read.
        listing.add(&name_in_tar(&entry), entry.size(), entry.header().entry_type().is_file())?;
    }
    Ok(())
}

fn open_zip(path: &Path) -> Result<ZipArchive<File>, String> {
    ZipArchive::new(File::open(path).map_err(|e| e.to_string())?).map_err(damaged)
}

fn open_tar(path: &Path, format: Format) -> Result<Box<dyn Read>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    Ok(match format {
        Format::TarGz => Box::new(Limited { reader: MultiGzDecoder::new(file), left: MAX_TOTAL }),
        _ => Box::new(file),
    })
}

/// Stops a stream that goes on for ever: what a tar archive says about its sizes need not be true.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(too_much()))?;
        Ok(n)
    }
}

fn take(reader: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

fn name_in_tar<R: Read>(entry: &tar::Entry<R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// The path of an entry, if it stays inside the archive.
fn inside(name: &str) -> Result<PathBuf, String> {
    // Some programs on Windows write backslashes.
    let name = name.replace('\\', "/");
    let mut path = PathBuf::new();
    for part in Path::new(&name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(format!("an archive with a path that leads out of it: {name}")),
        }
    }
    Ok(path)
}

fn too_much() -> String {
    format!("an archive that unpacks to more than {} (was target/ packed too?)", bytes(MAX_TOTAL))
}

fn damaged(error: impl std::error::Error) -> String {
    let what = error.to_string();
    // Our own limit comes back through the reader's error.
    if what.contains("unpacks to more than") { too_much() } else { format!("a damaged archive: {what}") }
}

fn bytes(n: u64) -> String {
    if n < 1 << 20 { format!("{n} bytes") } else { format!("{} MiB", n >> 20) }
}
