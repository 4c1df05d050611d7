//! Names that say nothing, for results that others are to see, and a table of who is who for those who may know.
//!
//! The table is made at its first use and grows at the next ones: whoever is in it keeps their pseudonym, in each lab and on each
//! machine that has the table. Pseudonyms are drawn by chance, so that nobody can compute one from a list of names.

use crate::decisions::Decision;
use crate::entry::is_key;
use crate::record::{self, Batch, Keeper, Outcome, Record};
use crate::summary::{self, harmless};
use crate::{Course, Error};
use proctor::lab::Lab;
use proctor::report::replace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

const HEADINGS: [&str; 3] = ["pseudonym", "key", "submission"];

/// Who is called what.
#[derive(Debug)]
pub struct Pseudonyms {
    path: PathBuf,
    /// By key: the pseudonym, and the name as a spreadsheet shows it.
    table: BTreeMap<String, (String, String)>,
}

impl Pseudonyms {
    /// Reads the table in `path`; an empty one if there is no such file.
    ///
    /// # Errors
    /// One line: it can't be read, or it is no such table, or it lies in `out`, which is for those who may not read it.
    pub fn load(path: &Path, out: &Path) -> Result<Self, Error> {
        let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        if full(path).starts_with(full(out)) {
            return Err(Error::NamesAmongResults { path: path.to_path_buf() });
        }
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(Error::at(path))?,
        };
        let wrong = |what: String| Error::at(path)(io::Error::other(what));
        let mut csv = csv::Reader::from_reader(&bytes[..]);
        if !bytes.is_empty() && csv.headers().map_err(Error::at(path))? != HEADINGS[..] {
            return Err(wrong(format!("no table of pseudonyms: its headings are to be {}", HEADINGS.join(", "))));
        }
        let (mut table, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for row in csv.deserialize() {
            let (pseudonym, key, name): (String, String, String) = row.map_err(Error::at(path))?;
            if !is_key(&pseudonym) || !taken.insert(pseudonym.clone()) || table.contains_key(&key) {
                let key = crate::printable(&key);
                return Err(wrong(format!("the line of `{key}` is there twice, or its pseudonym is, or can't be one")));
            }
            table.insert(key, (pseudonym, name));
        }
        Ok(Pseudonyms { path: path.to_path_buf(), table })
    }

    /// The pseudonym of who hands in under this key and name.
    ///
    /// # Errors
    /// One line: the system has no random numbers.
    pub fn of(&mut self, key: &str, name: &str) -> Result<String, Error> {
        if let Some((pseudonym, _)) = self.table.get(key) {
            return Ok(pseudonym.clone());
        }
        let pseudonym = loop {
            let drawn = draw()?;
            if self.table.values().all(|(taken, _)| *taken != drawn) {
                break drawn;
            }
        };
        self.table.insert(key.to_owned(), (pseudonym.clone(), harmless(name).into_owned()));
        Ok(pseudonym)
    }

    /// Keeps the table. Sorted by pseudonym: whom it got last is nobody's business either.
    ///
    /// # Errors
    /// One line that names the file and what the system said.
    pub fn save(&self) -> Result<(), Error> {
        let mut rows: Vec<[&str; 3]> = self
            .table
            .iter()
            .map(|(key, (pseudonym, name))| [pseudonym.as_str(), key.as_str(), name.as_str()])
            .collect();
        rows.sort_unstable();
        let mut csv = csv::Writer::from_writer(Vec::new());
        let table = csv.write_record(HEADINGS).and_then(|()| rows.iter().try_for_each(|row| csv.write_record(row)));
        let text = table.map_err(io::Error::from).and_then(|()| summary::written(csv));
        text.and_then(|text| replace(&self.path, &text)).map_err(Error::at(&self.path))
    }
}

fn draw() -> Result<String, Error> {
    let (random, mut bytes) = (Path::new("/dev/urandom"), [0; 4]);
    File::open(random).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::at(random))?;
    Ok(format!("learner-{:08x}", u32::from_ne_bytes(bytes)))
}

/// Writes the results in `results` once more to the new folder `out`, reports, pages, summary and all, under pseudonyms. Returns how
/// many there are.
///
/// What learners wrote into their files is quoted as it is: the lines that are held, and what the compiler says about others.
///
/// # Errors
/// One line: a result is missing or can't be read, or `out` has something in it.
pub fn anonymise(course: &Course, results: &Path, names: &mut Pseudonyms, out: &Path) -> Result<usize, Error> {
    Error::unless_new(out)?;
    let batch = Batch::load(results)?;
    let lab = course.lab(&batch.with.lab)?;
    let mut records = Vec::new();
    for key in &batch.keys {
        let (record, show) = record::load_shown(results, key, &batch.with)?;
        let name = names.of(key, &record.name)?;
        let record = Record { outcome: without_names(record.outcome, &lab, &name), name: name.clone(), key: name };
        let keeper = Keeper { out, lab: &lab, with: &batch.with, show: &show };
        let sha256 = match &record.outcome {
            Outcome::Graded(grade) => Some(grade.sha256.clone()),
            Outcome::Unreadable(_) | Outcome::NotGraded(_) => None,
        };
        keeper.save(&record, sha256.as_deref())?;
        records.push(record);
    }
    names.save()?;
    summary::sort(&mut records);
    let batch = batch.renamed(records.iter().map(|record| record.key.clone()).collect());
    batch.save(out)?;
    summary::write(out, &batch, &records)?;
    Ok(records.len())
}

/// A file or a folder inside a submission may be called as its owner.
fn without_names(outcome: Outcome, lab: &Lab, pseudonym: &str) -> Outcome {
    match outcome {
        Outcome::Graded(mut grade) => {
            grade.submission = pseudonym.to_owned();
            grade.file = lab.file.display().to_string();
            grade.decision = grade.decision.map(|decision| Decision { submission: pseudonym.to_owned(), ..decision });
            Outcome::Graded(grade)
        }
        Outcome::Unreadable(_) => Outcome::Unreadable("there is nothing in it that could be graded".to_owned()),
        Outcome::NotGraded(why) => Outcome::NotGraded(why),
    }
}
