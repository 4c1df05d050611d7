//! What stands on disk about a batch: `batch.json` about all of it, and in a folder for each entry the reports and,
//! written last, `entry.json`. A folder without it, or with one that can't be read, is a half result and counts as none.

use crate::Error;
use crate::decisions::Decision;
use crate::entry::{Entry, Listing, Shard, digest_of_keys, is_key};
use crate::leaderboard::Names;
use crate::reports::GradeReport;
use crate::show::Show;
use proctor::lab::Lab;
use proctor::report::replace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const BATCH_FORMAT: &str = "heap-lab-book/batch/1";
const ENTRY_FORMAT: &str = "heap-lab-book/entry/1";

/// With what a batch is graded: all that decides about a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradedWith {
    /// Such as `lab03`.
    pub lab: String,
    /// A hash of the files of the course that decide about a grade.
    pub course: String,
    /// The compiler.
    pub toolchain: String,
    /// What the workloads were drawn from; nothing for the usual ones.
    pub seed: Option<u64>,
}

impl GradedWith {
    /// What isn't the same.
    pub fn differences(&self, other: &GradedWith) -> Vec<&'static str> {
        let differs = [
            ("lab", self.lab != other.lab),
            ("course", self.course != other.course),
            ("compiler", self.toolchain != other.toolchain),
            ("seed", self.seed != other.seed),
        ];
        differs.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect()
    }
}

/// What a run of a batch sets out to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    format: String,
    /// With what.
    pub with: GradedWith,
    /// Which part of the class.
    pub shard: u64,
    /// How many parts there are.
    pub shards: u64,
    /// The keys of its entries.
    pub keys: Vec<String>,
    /// How many entries the whole class has.
    pub class_size: usize,
    /// Stands for the names of the whole class.
    pub class: String,
    /// The names in the folder of submissions that are nobody's.
    #[serde(default)]
    pub skipped: Vec<String>,
    /// The decisions that hold for nothing, a line for each.
    #[serde(default)]
    pub stale: Vec<String>,
    /// What learners are called on the leaderboard, if there is one.
    #[serde(default)]
    pub leaderboard: Option<Names>,
}

impl Batch {
    /// What `shard` of a class does.
    pub fn new(with: GradedWith, shard: Shard, keys: Vec<String>, listing: &Listing) -> Self {
        Batch {
            format: BATCH_FORMAT.to_owned(),
            with,
            shard: shard.number,
            shards: shard.of,
            keys,
            class_size: listing.entries.len(),
            class: listing.digest(),
            skipped: listing.skipped.clone(),
            stale: Vec::new(),
            leaderboard: None,
        }
    }

    /// The whole class that `parts` have graded; `first` is one of them.
    pub fn merged<'a>(parts: impl Iterator<Item = &'a Batch> + Clone, first: Batch) -> Self {
        let all = |of: fn(&Batch) -> &[String]| {
            parts.clone().flat_map(of).collect::<BTreeSet<_>>().into_iter().cloned().collect()
        };
        let Shard { number: shard, of: shards } = Shard::WHOLE;
        let (keys, skipped, stale) = (all(|part| &part.keys), all(|part| &part.skipped), all(|part| &part.stale));
        Batch { shard, shards, keys, skipped, stale, ..first }
    }

    /// The same results under these keys, as a class of their own. Of a file that is nobody's, and of a decision that holds for nothing,
    /// there is only the old name.
    pub fn renamed(self, keys: Vec<String>) -> Self {
        let class = digest_of_keys(keys.iter().map(String::as_str));
        let Shard { number: shard, of: shards } = Shard::WHOLE;
        let class_size = keys.len();
        Batch { shard, shards, keys, class_size, class, skipped: Vec::new(), stale: Vec::new(), ..self }
    }

    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load(out: &Path) -> Result<Self, Error> {
        let path = out.join("batch.json");
        let batch: Batch = read_json(&path)?;
        if batch.format != BATCH_FORMAT {
            return Err(Error::Format { path, format: batch.format, wanted: BATCH_FORMAT });
        }
        // They become paths.
        if let Some(key) = batch.keys.iter().find(|key| !is_key(key)) {
            return Err(Error::NoKey { path, key: key.clone() });
        }
        Ok(batch)
    }

    /// # Errors
    /// One line that names the file and what the system said.
    pub fn save(&self, out: &Path) -> Result<(), Error> {
        write_json(&out.join("batch.json"), self)
    }
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub struct Record {
    /// The entry's name, in one line.
    pub name: String,
    /// Its folder's name.
    pub key: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// How the grading of an entry ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was graded, whatever the score.
    Graded(Box<GradeReport>),
    /// There is nothing in it that could be graded: why, in one line.
    Unreadable(String),
    /// The grading itself failed: why, in one line. This isn't kept: the next run tries again.
    NotGraded(String),
}

/// `entry.json`.
#[derive(Serialize, Deserialize)]
struct Seal {
    format: String,
    name: String,
    key: String,
    with: GradedWith,
    /// A hash of the learner's file; nothing when it could not be read.
    text: Option<String>,
    /// How its reports are shown.
    show: Show,
    /// Why it could not be read.
    unreadable: Option<String>,
}

/// The folder of an entry's results.
pub fn folder(out: &Path, key: &str) -> PathBuf {
    out.join("results").join(key)
}

/// The result that stands on disk for the entry with this key.
///
/// # Errors
/// One line: there is none, or half of one, or one that another run has left there.
pub fn load(out: &Path, key: &str, with: &GradedWith) -> Result<Record, Error> {
    load_shown(out, key, with).map(|(record, _)| record)
}

/// The same, and how its reports are shown.
///
/// # Errors
/// As for [`load`].
pub fn load_shown(out: &Path, key: &str, with: &GradedWith) -> Result<(Record, Show), Error> {
    let folder = folder(out, key);
    let path = folder.join("entry.json");
    let seal: Seal = read_json(&path)?;
    if seal.format != ENTRY_FORMAT || seal.key != key {
        return Err(Error::OtherEntry { path, key: key.to_owned() });
    }
    if let Some(what) = with.differences(&seal.with).first() {
        return Err(Error::OtherGrading { path, what });
    }
    let outcome = match seal.unreadable {
        Some(line) => Outcome::Unreadable(line),
        None => Outcome::Graded(Box::new(GradeReport::load(&folder)?)),
    };
    Ok((Record { name: seal.name, key: seal.key, outcome }, seal.show))
}

/// Keeps the results of a run.
#[derive(Clone, Copy, Debug)]
pub struct Keeper<'a> {
    /// The folder of all results.
    pub out: &'a Path,
    /// What is graded.
    pub lab: &'a Lab,
    /// With what.
    pub with: &'a GradedWith,
    /// How its reports are shown.
    pub show: &'a Show,
}

impl Keeper<'_> {
    /// The result that stands on disk for `entry`, if it is about a file with this hash, the same course and toolchain. Its reports
    /// say what is decided now, in the form that is chosen now.
    ///
    /// # Errors
    /// One line that names the file and what the system said: the reports can't be written anew.
    pub fn find(&self, entry: &Entry, sha256: &str, decision: Option<&Decision>) -> Result<Option<Record>, Error> {
        let path = folder(self.out, &entry.key).join("entry.json");
        let seal: Option<Seal> = read_json(&path).ok();
        let Some(seal) = seal.filter(|seal| seal.text.as_deref() == Some(sha256)) else { return Ok(None) };
        let Ok(mut record) = load(self.out, &entry.key, self.with) else { return Ok(None) };
        if let Outcome::Graded(report) = &mut record.outcome
            && (report.decision.as_ref() != decision || seal.show != *self.show)
        {
            report.decision = decision.cloned();
            self.save(&record, Some(sha256))?;
        }
        Ok(Some(record))
    }

    /// Keeps `record`: the reports first, then the file that says they are whole.
    ///
    /// # Errors
    /// One line that names the file and what the system said.
    pub fn save(&self, record: &Record, sha256: Option<&str>) -> Result<(), Error> {
        let folder = folder(self.out, &record.key);
        clear(&folder)?;
        let unreadable = match &record.outcome {
            Outcome::Graded(report) => {
                report.write(&folder, self.lab, self.show)?;
                None
            }
            Outcome::Unreadable(line) => Some(line.clone()),
            Outcome::NotGraded(_) => return Ok(()),
        };
        let seal = Seal {
            format: ENTRY_FORMAT.to_owned(),
            name: record.name.clone(),
            key: record.key.clone(),
            with: self.with.clone(),
            text: sha256.map(str::to_owned),
            show: self.show.clone(),
            unreadable,
        };
        write_json(&folder.join("entry.json"), &seal)
    }
}

/// Takes away what stands in an entry's folder, `entry.json` first: without it the rest counts for nothing.
///
/// # Errors
/// One line that names the file and what the system said.
pub fn clear(folder: &Path) -> Result<(), Error> {
    let seal = folder.join("entry.json");
    match fs::remove_file(&seal) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::at(&seal)(e)),
        _ => {}
    }
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::at(folder)(e)),
        _ => Ok(()),
    }
}

/// Gives a whole result to another output folder too.
///
/// As links, where the file system has them: a result is never written in place, and its files have long been on disk. A class of
/// thousands is merged in seconds, and needs no room.
///
/// # Errors
/// One line that names the file and what the system said.
pub fn copy(from: &Path, to: &Path, key: &str) -> Result<(), Error> {
    let (from, to) = (folder(from, key), folder(to, key));
    clear(&to)?;
    fs::create_dir_all(&to).map_err(Error::at(&to))?;
    let mut names: Vec<PathBuf> = crate::reports::FILES.iter().map(PathBuf::from).collect();
    names.push(PathBuf::from("entry.json"));
    for name in names {
        let (path, to) = (from.join(&name), to.join(&name));
        if fs::hard_link(&path, &to).is_ok() {
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => replace(&to, &text).map_err(Error::at(&to))?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::at(&path)(e)),
        }
    }
    Ok(())
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).map_err(Error::at(path))?;
    serde_json::from_str(&text).map_err(Error::at(path))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(Error::at(path))?;
    replace(path, &text).map_err(Error::at(path))
}
