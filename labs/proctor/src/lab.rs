//! `lab.toml`: what a lab promises to check, and what it says when the promise is broken.
//!
//! ```toml
//! title = "Free lists"
//! file  = "src/free_list.rs"      # the learner's file, relative to the lab's folder
//! page  = "free-lists.html"       # the page of the book
//!
//! [[rule]]
//! id     = "lifo"
//! points = 8
//! page   = "free-lists.html#last-in-first-out"
//! en     = "A freed chunk goes to the head of the list."
//! functions = ["FreeList::push", "FreeList::pop"]
//! cases  = ["freed_last_is_reused_first"]
//! hints.en = ["Which end of the list does push write to?"]
//! hints.when.overlap.en = "Is the block still in the list while the program uses it?"
//! ```

use crate::error::{Error, Fault};
use crate::report::Verdict;
use heapkit::referee::Kind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The points of every lab sum to this.
pub const FULL_MARKS: u32 = 100;

/// One lab, as its `lab.toml` describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// The name of the lab's crate and folder, such as `lab03`. Not in the file: the folder gives it.
    #[serde(skip)]
    pub name: String,
    /// The lab's folder.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The title of its page.
    pub title: String,
    /// The one file the learner edits, relative to [`Lab::dir`].
    pub file: PathBuf,
    /// The page of the book, relative to the book's root.
    pub page: String,
    /// The rules, in the order in which a learner meets them.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// A promise of the lab, worth points once every one of its cases passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A short name: `lifo`.
    pub id: String,
    /// What the rule is worth.
    pub points: u32,
    /// Where the book explains it: page and anchor.
    pub page: String,
    /// The rule, in one sentence.
    pub en: String,
    /// The functions that it is about: `FreeList::push`.
    #[serde(default)]
    pub functions: Vec<String>,
    /// The `#[test]` functions that check it.
    pub cases: Vec<String>,
    /// What to tell somebody who is stuck, one step at a time: the first asks, the next points, the last nearly says it.
    pub hints: Hints,
}

/// The hints of a rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// In English, in the order in which they are given.
    pub en: Vec<String>,
    /// The first hint for one of the rule's cases, or for a kind of failure (`overlap`, `hung`), where the rule's own would answer
    /// another mistake.
    #[serde(default)]
    pub when: BTreeMap<String, Hint>,
}

/// A hint for one mistake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// In English.
    pub en: String,
}

impl Hints {
    /// The hints for a mistake, first to last: what fits the kind of failure, else what fits the case, then the rule's own.
    pub fn about(&self, case: &str, kind: Option<&str>) -> Vec<&str> {
        let fitting = kind.and_then(|kind| self.when.get(kind)).or_else(|| self.when.get(case));
        fitting.map(|hint| hint.en.as_str()).into_iter().chain(self.en.iter().map(String::as_str)).collect()
    }
}

/// The course that `start` is in: the nearest folder at or above it that is a workspace with labs.
pub fn course_root(start: &Path) -> Option<&Path> {
    let is_lab = |dir: PathBuf| dir.join("lab.toml").is_file();
    start.ancestors().find(|dir| {
        let labs = std::fs::read_dir(dir.join("labs"));
        dir.join("Cargo.toml").is_file()
            && labs.is_ok_and(|entries| entries.flatten().any(|entry| is_lab(entry.path())))
    })
}

impl Lab {
    /// Reads the lab in the folder `dir`.
    ///
    /// # Errors
    /// One line that names the file, the line in it and what is wrong.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lab.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::new(&path, e))?;
        let mut lab: Lab = toml::from_str(&text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            let line = Some(1 + text[..at].matches('\n').count());
            Error { line, ..Error::new(&path, Fault::Syntax(e.message().to_owned())) }
        })?;
        lab.dir = dir.to_path_buf();
        lab.name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        lab.check().map_err(|fault| Error::new(&path, fault))?;
        Ok(lab)
    }

    /// Every lab under `labs` (a course's `labs/` folder) that has a `lab.toml`, by name.
    ///
    /// # Errors
    /// As [`Lab::load`], for the first lab that can't be read.
    pub fn load_all(labs: &Path) -> Result<Vec<Self>, Error> {
        let entries = std::fs::read_dir(labs).map_err(|e| Error::new(labs, e))?;
        let mut dirs: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|dir| dir.join("lab.toml").is_file()).collect();
        dirs.sort();
        dirs.iter().map(|dir| Self::load(dir)).collect()
    }

    /// The rule called `id`.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The rule that the case `name` checks.
    pub fn rule_of_case(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.cases.iter().any(|case| case == name))
    }

    /// The learner's file.
    pub fn learner_file(&self) -> PathBuf {
        self.dir.join(&self.file)
    }

    fn check(&self) -> Result<(), Fault> {
        let points: u32 = self.rules.iter().map(|rule| rule.points).sum();
        if points != FULL_MARKS {
            return Err(Fault::Points(points));
        }
        let mut seen = std::collections::BTreeSet::new();
        for rule in &self.rules {
            if rule.cases.is_empty() {
                return Err(Fault::NoCase(rule.id.clone()));
            }
            if rule.hints.en.is_empty() {
                return Err(Fault::NoHint(rule.id.clone()));
            }
            let is_kind = |name: &str| {
                let ends = [Verdict::Crashed, Verdict::Hung, Verdict::Slow];
                Kind::ALL.iter().any(|kind| kind.as_str() == name) || ends.iter().any(|end| end.kind() == Some(name))
            };
            if let Some(name) = rule.hints.when.keys().find(|name| !is_kind(name) && !rule.cases.contains(name)) {
                return Err(Fault::NoSuchMistake(rule.id.clone(), name.clone()));
            }
            if let Some(name) = std::iter::once(&rule.id).chain(&rule.cases).find(|name| !seen.insert(*name)) {
                return Err(Fault::Twice(name.clone()));
            }
        }
        Ok(())
    }
}
