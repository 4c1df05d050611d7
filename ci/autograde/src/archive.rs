//! Looks into an archive without unpacking it: lists what it holds, and reads one file of it.
//!
//! Nothing is ever written, so a path in it can lead nowhere; and no more is read than the limits allow.

use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
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

/// Why an archive isn't read.
#[derive(Debug)]
pub enum Fault {
    /// Its name isn't that of an archive.
    NoArchive,
    /// It can't be opened, or isn't what its name says.
    Damaged(Box<dyn Error + Send + Sync>),
    /// It has so many bytes.
    TooLarge(u64),
    /// All its files together are too large.
    TooMuch,
    /// This file in it has so many bytes.
    LargeFile(String, u64),
    /// It holds too many files.
    TooManyEntries,
    /// A name in it has so many bytes.
    LongName(u64),
    /// It holds two files of this name.
    Twice(String),
    /// This path leads out of it.
    LeadsOut(String),
    /// The file that was listed isn't in it any more.
    Changed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoArchive => f.write_str("not an archive"),
            Fault::Damaged(error) => write!(f, "a damaged archive: {error}"),
            Fault::TooLarge(size) => {
                write!(f, "an archive of {}: at most {} are opened", bytes(*size), bytes(MAX_ARCHIVE))
            }
            Fault::TooMuch => {
                write!(f, "an archive that unpacks to more than {} (was target/ packed too?)", bytes(MAX_TOTAL))
            }
            Fault::LargeFile(name, size) => {
                write!(f, "{name} in it unpacks to {}: at most {} are accepted", bytes(*size), bytes(MAX_FILE))
            }
            Fault::TooManyEntries => write!(f, "an archive with more than {MAX_ENTRIES} entries"),
            Fault::LongName(len) => write!(f, "an archive with a name of {} in it", bytes(*len)),
            Fault::Twice(name) => write!(f, "an archive that holds {name} twice"),
            Fault::LeadsOut(name) => write!(f, "an archive with a path that leads out of it: {name}"),
            Fault::Changed => f.write_str("a damaged archive: it changed while it was read"),
        }
    }
}

impl Error for Fault {}

/// The reader that unpacks has come to the limit.
#[derive(Debug)]
struct Limit;

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fault::TooMuch.fmt(f)
    }
}

impl Error for Limit {}

/// What a reader says, which may be our own limit.
fn damaged(error: impl Error + Send + Sync + 'static) -> Fault {
    if is_limit(&error) { Fault::TooMuch } else { Fault::Damaged(Box::new(error)) }
}

fn is_limit(error: &(dyn Error + 'static)) -> bool {
    // An error of io is its own contents' wrapper, and doesn't call them its source.
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let inside = inside.map(|inside| inside as &(dyn Error + 'static));
    error.is::<Limit>() || inside.or(error.source()).is_some_and(is_limit)
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
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let format = format_of(path).ok_or(Fault::NoArchive)?;
        let size = path.metadata().map_err(damaged)?.len();
        if size > MAX_ARCHIVE {
            return Err(Fault::TooLarge(size));
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
    pub fn read(&self, file: &Path, limit: u64) -> Result<Vec<u8>, Fault> {
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
        Err(Fault::Changed)
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
    fn add(&mut self, name: &str, size: u64, is_file: bool) -> Result<(), Fault> {
        self.entries += 1;
        self.total = self.total.saturating_add(size);
        if self.entries > MAX_ENTRIES {
            return Err(Fault::TooManyEntries);
        }
        if size > MAX_FILE {
            return Err(Fault::LargeFile(name.to_owned(), size));
        }
        if self.total > MAX_TOTAL {
            return Err(Fault::TooMuch);
        }
        if name.len() > MAX_NAME {
            return Err(Fault::LongName(name.len() as u64));
        }
        let path = inside(name)?;
        // Whoever unpacks it by hand has one of them, and the grader would have the other.
        if is_file && !self.files.insert(path) {
            return Err(Fault::Twice(name.to_owned()));
        }
        Ok(())
    }
}

fn list_zip(path: &Path, listing: &mut Listing) -> Result<(), Fault> {
    let mut zip = open_zip(path)?;
    (0..zip.len()).try_for_each(|i| {
        let file = zip.by_index_raw(i).map_err(damaged)?;
        let name = file.name().map_err(damaged)?;
        listing.add(&name, file.size(), file.is_file())
    })
}

fn list_tar(path: &Path, format: Format, listing: &mut Listing) -> Result<(), Fault> {
    // A long name is an entry of its own, and is read into memory as a whole.
    for entry in tar::Archive::new(open_tar(path, format)?).entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        let is_name = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        if is_name && entry.size() > 4 * MAX_NAME as u64 {
            return Err(Fault::LongName(entry.size()));
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

fn open_zip(path: &Path) -> Result<ZipArchive<File>, Fault> {
    ZipArchive::new(File::open(path).map_err(damaged)?).map_err(damaged)
}

fn open_tar(path: &Path, format: Format) -> Result<Box<dyn Read>, Fault> {
    let file = File::open(path).map_err(damaged)?;
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
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(Limit))?;
        Ok(n)
    }
}

fn take(reader: impl Read, limit: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

fn name_in_tar<R: Read>(entry: &tar::Entry<R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// The path of an entry, if it stays inside the archive.
fn inside(name: &str) -> Result<PathBuf, Fault> {
    // Some programs on Windows write backslashes.
    let name = name.replace('\\', "/");
    let mut path = PathBuf::new();
    for part in Path::new(&name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(Fault::LeadsOut(name)),
        }
    }
    Ok(path)
}

fn bytes(n: u64) -> String {
    if n < 1 << 20 { format!("{n} bytes") } else { format!("{} MiB", n >> 20) }
}
