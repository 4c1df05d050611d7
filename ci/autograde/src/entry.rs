//! The entries of a batch's folder: what they are called, where their results go, and which shard grades them.

use crate::Error;
use crate::archive::is_archive;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest name that is taken for a folder's name as it is.
const MAX_PLAIN: usize = 80;

/// One submission of a batch: a file, a folder or an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its file name, in one line, whatever a learner put into it.
    pub name: String,
    /// The folder its results go to. No two names share one.
    pub key: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl Entry {
    fn new(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default();
        Entry { name: in_one_line(name), key: key(name), path }
    }
}

/// What a folder holds.
#[derive(Debug)]
pub struct Listing {
    /// The submissions, by name.
    pub entries: Vec<Entry>,
    /// The names of what nobody handed in: see [`is_submission`].
    pub skipped: Vec<String>,
}

impl Listing {
    /// Looks into `folder`.
    ///
    /// # Errors
    /// One line: there is no such folder, or no submission in it.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let (mut entries, mut skipped) = (Vec::new(), Vec::new());
        for found in std::fs::read_dir(folder).map_err(Error::at(folder))? {
            let found = found.map_err(Error::at(folder))?;
            let is_file = found.file_type().map_err(Error::at(folder))?.is_file();
            let entry = Entry::new(found.path());
            if is_submission(&entry, is_file) {
                entries.push(entry);
            } else {
                skipped.push(entry.name);
            }
        }
        if entries.is_empty() {
            return Err(Error::NoSubmission { folder: folder.to_path_buf() });
        }
        entries.sort();
        skipped.sort();
        Ok(Listing { entries, skipped })
    }

    /// Stands for all the names: two shards of the same folder agree on it.
    pub fn digest(&self) -> String {
        digest_of_keys(self.entries.iter().map(|entry| entry.key.as_str()))
    }
}

/// Whether a learner handed it in. A list of grades or what a system keeps about a folder (`grades.csv`, `Thumbs.db`, `.DS_Store`)
/// is nobody's; a link or a pipe may be, and a person has to look at it.
fn is_submission(entry: &Entry, is_file: bool) -> bool {
    let of_a_system = entry.name.starts_with('.') || entry.name == "__MACOSX";
    let is_source = entry.path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("rs"));
    !of_a_system && (!is_file || is_source || is_archive(&entry.path))
}

/// Stands for all the keys, in whatever order.
pub fn digest_of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_unstable();
    // No key has a line's end in it.
    hex(&Sha256::digest(keys.join("\n")))
}

/// One of the parts that a class is graded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub number: u64,
    /// How many parts there are.
    pub of: u64,
}

impl Shard {
    /// The whole class.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether this part grades the entry. Only its name decides, so it stays where it is when others come and go.
    pub fn has(self, entry: &Entry) -> bool {
        let hash = Sha256::digest(entry.key.as_bytes());
        let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % self.of == self.number - 1
    }
}

/// This is no shard.
#[derive(Debug)]
pub struct NoShard(String);

impl fmt::Display for NoShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no shard: write 1/4 to 4/4 for four of them", printable(&self.0))
    }
}

impl std::error::Error for NoShard {}

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Shard { number, of }),
            _ => Err(NoShard(text.to_owned())),
        }
    }
}

/// The name as a folder's name: as it is if that is harmless, else made harmless, with a hash of the name behind it.
fn key(name: &OsStr) -> String {
    let bytes = name.as_bytes();
    let harmless = bytes.iter().all(is_plain) && bytes.len() <= MAX_PLAIN && !bytes.starts_with(b"-");
    if harmless {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let start = bytes.iter().take(40).map(|byte| if is_plain(byte) { char::from(*byte) } else { '_' });
    let hash = hex(&Sha256::digest(bytes));
    // No plain name has a tilde.
    format!("{}~{}", start.collect::<String>().replacen('-', "_", 1), &hash[..16])
}

/// Whether it could be a [`key`]: the name of a folder, and not a way to another one.
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(|byte| is_plain(&byte) || byte == b'~')
}

fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A name in one line: what isn't UTF-8 as `\xE9`.
pub fn in_one_line(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// `text` in one line, without what moves a terminal's cursor or turns the direction of writing around.
pub fn printable(text: &str) -> String {
    let mut printable = String::new();
    for c in text.chars() {
        if is_obeyed(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// Whether a terminal or a page obeys the character instead of showing it: it moves the cursor, turns the direction of writing
/// around, or has no place in XML.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// `text` with its lines, but without what is obeyed instead of shown.
pub fn visible(text: &str) -> String {
    let show = |c| if is_obeyed(c) && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(show).collect()
}

/// The SHA-256 of a learner's file.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_has_one_line_and_a_harmless_folder_of_its_own() {
        let names: [&[u8]; 13] = [
            b"alice",
            b"a.rs",
            b"a.zip",
            b"Alice Kim",
            b"Alice_Kim",
            b"-rf",
            b"_rf",
            b"two\nlines",
            b"two\\nlines",
            "🦀".as_bytes(),
            "\u{202e}olleh".as_bytes(),
            b"caf\xe9",
            &[b'x'; 255],
        ];
        let entries: Vec<Entry> =
            names.iter().map(|name| Entry::new(Path::new("/class").join(OsStr::from_bytes(name)))).collect();
        let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys.len(), names.len());
        for entry in &entries {
            assert!(!entry.name.contains(['\n', '\u{202e}']), "{}", entry.name);
            assert!(entry.key.len() <= 80 && !entry.key.starts_with('-'), "{}", entry.key);
            assert!(is_key(&entry.key), "{}", entry.key);
            assert!(entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte)));
        }
        assert_eq!(entries[0].key, "alice");
        for path in ["", ".", "..", "../alice", "a/b", "/alice"] {
            assert!(!is_key(path), "{path}");
        }
        assert_eq!(entries[9].name, "🦀");
        assert_eq!(entries[11].name, "caf\\xE9");
    }

    #[test]
    fn shards_share_a_class_without_gaps() {
        let entries: Vec<Entry> = (0..200).map(|i| Entry::new(PathBuf::from(format!("/class/{i}")))).collect();
        for of in 1..6 {
            let shards: Vec<Shard> = (1..=of).map(|k| format!("{k}/{of}").parse().unwrap()).collect();
            for entry in &entries {
                assert_eq!(shards.iter().filter(|shard| shard.has(entry)).count(), 1);
            }
        }
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
