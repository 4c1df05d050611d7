//! What a person has decided about a submission, for this grading and all that follow: `decisions.toml`.
//!
//! ```toml
//! [[decision]]
//! submission = "mallory"     # its name, or its key in summary.csv
//! sha256 = "9f86d081…"       # of the learner's file: another version is another matter
//! points = "count it"        # what the cases found; or a number
//! who = "J. Weber"
//! why = "The include_str! reads the file's own documentation."
//! ```

use crate::Error;
use crate::entry::printable;
use proctor::lab::FULL_MARKS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// What is decided about one version of one submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The submission's name, or its key.
    pub submission: String,
    /// The SHA-256 of the learner's file.
    pub sha256: String,
    /// What it earns.
    pub points: Points,
    /// Whose decision it is.
    pub who: String,
    /// What it rests on.
    pub why: String,
}

/// What a submission earns by a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "points are a number, or \"count it\"")]
pub enum Points {
    /// So many points.
    Given(u32),
    /// What the cases found.
    AsFound(CountIt),
}

/// What `decisions.toml` says for [`Points::AsFound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CountIt {
    /// The only word there is.
    #[serde(rename = "count it")]
    CountIt,
}

impl Decision {
    /// The points, where the cases found `found`.
    pub fn points(&self, found: u32) -> u32 {
        match self.points {
            Points::Given(points) => points,
            Points::AsFound(_) => found,
        }
    }

    fn is_about(&self, name: &str, key: &str) -> bool {
        self.submission == name || self.submission == key
    }
}

/// All decisions of a class.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    #[serde(default, rename = "decision")]
    all: Vec<Decision>,
}

/// What is wrong with the file of decisions. Shown, it is the end of a line.
#[derive(Debug)]
pub enum Fault {
    /// It is no TOML of this form, from this line on.
    Syntax(usize, String),
    /// More points than there are.
    TooMany(String, u32),
    /// Two decisions about the same version of a submission.
    Twice(String),
    /// Nobody is named, or no reason.
    Unsigned(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Syntax(line, what) => write!(f, "line {line}: {}", printable(what)),
            Fault::TooMany(of, points) => write!(f, "{}: {points} points, and there are {FULL_MARKS}", printable(of)),
            Fault::Twice(of) => write!(f, "{}: two decisions about the same file", printable(of)),
            Fault::Unsigned(of) => write!(f, "{}: a decision needs `who` and `why`", printable(of)),
        }
    }
}

impl Decisions {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::at(path))?;
        Self::parse(&text).map_err(|fault| Error::Decisions { path: path.to_path_buf(), fault })
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let decisions: Decisions = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Fault::Syntax(1 + text[..at].matches('\n').count(), error.message().to_owned())
        })?;
        let mut seen = BTreeSet::new();
        for decision in &decisions.all {
            let name = || decision.submission.clone();
            match decision.points {
                Points::Given(points) if points > FULL_MARKS => return Err(Fault::TooMany(name(), points)),
                _ if decision.who.trim().is_empty() || decision.why.trim().is_empty() => {
                    return Err(Fault::Unsigned(name()));
                }
                _ if !seen.insert((&decision.submission, &decision.sha256)) => return Err(Fault::Twice(name())),
                _ => {}
            }
        }
        Ok(decisions)
    }

    /// What is decided about this version of a submission.
    pub fn about(&self, name: &str, key: &str, sha256: &str) -> Option<&Decision> {
        self.all.iter().find(|decision| decision.is_about(name, key) && decision.sha256.eq_ignore_ascii_case(sha256))
    }

    /// The decisions that hold for none of these submissions any more, a line for each.
    pub fn stale<'a>(&self, submissions: impl Iterator<Item = Known<'a>> + Clone) -> Vec<String> {
        let line = |decision: &Decision| {
            let about = submissions.clone().filter(|known| decision.is_about(known.name, known.key));
            let files: Vec<File> = about.map(|known| known.file).collect();
            let holds = |file: &File| match file {
                File::Is(hash) => decision.sha256.eq_ignore_ascii_case(hash),
                File::Elsewhere => true,
                File::Unreadable => false,
            };
            let what = match &files[..] {
                [] => "there is no such submission",
                files if files.iter().any(holds) => return None,
                files if files.iter().any(|file| matches!(file, File::Unreadable)) => {
                    "the submission can't be read now"
                }
                _ => "the file has changed since",
            };
            let line = format!("{}: the decision by {} does not count: {what}", decision.submission, decision.who);
            Some(printable(&line))
        };
        self.all.iter().filter_map(line).collect()
    }
}

/// A submission, as far as a decision has to know it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its key.
    pub key: &'a str,
    /// Its file.
    pub file: File<'a>,
}

/// The learner's file.
#[derive(Clone, Copy, Debug)]
pub enum File<'a> {
    /// It has this hash.
    Is(&'a str),
    /// There is none.
    Unreadable,
    /// Another machine grades it.
    Elsewhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(rest: &str) -> String {
        format!("[[decision]]\nsubmission = \"eve\"\nsha256 = \"AB\"\nwho = \"me\"\nwhy = \"read\"\n{rest}\n")
    }

    #[test]
    fn a_decision_holds_for_the_file_it_is_about_and_stale_ones_are_named() {
        let decisions = Decisions::parse(&decision("points = \"count it\"")).unwrap();
        assert_eq!(decisions.about("eve", "eve", "ab").unwrap().points(70), 70);
        assert_eq!(decisions.about("Eve K", "eve", "AB").unwrap().points(70), 70);
        assert!(decisions.about("eve", "eve", "cd").is_none() && decisions.about("bob", "bob", "ab").is_none());
        let decisions = Decisions::parse(&decision("points = 12")).unwrap();
        assert_eq!(decisions.about("eve", "eve", "ab").unwrap().points(70), 12);

        let stale = |file| decisions.stale([Known { name: "eve", key: "eve", file }].into_iter());
        assert!(stale(File::Is("ab")).is_empty() && stale(File::Elsewhere).is_empty());
        assert_eq!(stale(File::Is("cd")), ["eve: the decision by me does not count: the file has changed since"]);
        assert!(stale(File::Unreadable)[0].ends_with("the submission can't be read now"));
        assert!(decisions.stale([].into_iter())[0].ends_with("there is no such submission"));
    }

    #[test]
    fn what_is_no_decision_is_refused_with_its_line() {
        for (text, said) in [
            (decision("points = \"all\""), "line 1: points are a number, or \"count it\""),
            (decision("points = 101"), "eve: 101 points, and there are 100"),
            (decision("points = 1\ncolour = 2"), "line 7: unknown field `colour`"),
            (decision("points = 1").repeat(2), "eve: two decisions about the same file"),
            (decision("points = 1").replace("me", " "), "eve: a decision needs `who` and `why`"),
            ("[[decision]]\nsubmission = \"eve\"\n".to_owned(), "line 1: missing field `sha256`"),
        ] {
            let fault = Decisions::parse(&text).unwrap_err().to_string();
            assert!(fault.contains(said.split_once(": ").unwrap().1), "{text}{fault}");
        }
    }
}
