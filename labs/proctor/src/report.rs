//! What a run of a lab's cases leaves behind.
//!
//! The exam writes the report itself, after each case, to the file that the environment variable
//! [`REPORT_FILE`](candidate::wire::REPORT_FILE) names: first beside it, then renamed into its place, so that whatever happens next the
//! results so far can be read. Without the variable, a finished run of the learner's own code leaves its
//! report at [`latest`], for `cargo lab`.

use crate::error::{Error, Fault};
use crate::lab::Lab;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name and version of the format, in every report.
pub const FORMAT: &str = "heap-lab-book/report/1";

/// The results of one lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: String,
    /// Such as `lab03`.
    pub lab: String,
    /// Why nothing counts, when nothing does (a variable that makes failing cases pass was set).
    pub void: Option<String>,
    /// What the workloads were drawn from, if not the usual ones were played: see [`SEED`](candidate::wire::SEED).
    #[serde(default)]
    pub seed: Option<u64>,
    /// Points earned.
    pub score: u32,
    /// Points there are to earn.
    pub max_score: u32,
    /// The rules, in the order of `lab.toml`.
    pub rules: Vec<RuleResult>,
    /// What the real programs cost that passed cases have played, by the names of these cases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub costs: BTreeMap<String, Cost>,
}

/// What it cost to serve a real program, as the examiner has counted it: the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The most bytes that the program had at once.
    pub peak: u64,
    /// The most bytes that came from the system, at once.
    pub memory: u64,
    /// How often the program asked for a block.
    pub requests: u64,
    /// How many free chunks were looked at for all of these.
    pub looked_at: u64,
}

/// What a rule earned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleResult {
    /// Such as `lifo`.
    pub id: String,
    /// The rule in one sentence.
    pub text: String,
    /// Where the book explains it.
    pub page: String,
    /// `points` if every case passed, or 0.
    pub earned: u32,
    /// What the rule is worth.
    pub points: u32,
    /// Its cases.
    pub cases: Vec<CaseResult>,
}

/// What became of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// The name of the `#[test]` function.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What kind of failure it was, as it is called in `lab.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Seconds it took on the wall clock.
    pub seconds: f64,
    /// What the learner was shown, as plain text. For a case that passed, what it measured, if it did.
    pub screen: String,
    /// The story of a case that failed, as a link to the book's playground, if that can play it: see [`playground`](crate::playground).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playground: Option<String>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The body ran to its end and said so.
    Passed,
    /// It couldn't be tried on this machine; counts as passed.
    Skipped,
    /// The learner's function still says `todo!()`.
    NotWritten,
    /// A check found a difference.
    Wrong,
    /// A signal killed the candidate.
    Crashed,
    /// One question was never answered.
    Hung,
    /// Every question was answered, and it took thousands of times as long as it should.
    Slow,
    /// The candidate ended before the case did.
    Exited,
    /// The case has not been run.
    NotRun,
}

impl Verdict {
    /// Whether the case counts towards its rule's points.
    pub fn is_pass(self) -> bool {
        matches!(self, Verdict::Passed | Verdict::Skipped)
    }

    /// As a learner reads it.
    pub const fn in_a_word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Skipped => "skipped",
            Verdict::NotWritten => "not written yet",
            Verdict::Wrong => "wrong",
            Verdict::Crashed => "crashed",
            Verdict::Hung => "never ended",
            Verdict::Slow => "too slow",
            Verdict::Exited => "left early",
            Verdict::NotRun => "not run",
        }
    }

    /// For ends without an answer, the name that hints know them by.
    pub const fn kind(self) -> Option<&'static str> {
        match self {
            Verdict::Crashed => Some("crashed"),
            Verdict::Hung => Some("hung"),
            Verdict::Slow => Some("slow"),
            _ => None,
        }
    }
}

impl Report {
    /// The report of `lab`, with `results` for the cases that have been run (by name).
    pub fn new(lab: &Lab, results: &BTreeMap<String, CaseResult>, void: Option<String>) -> Self {
        let not_run = |name: &str| CaseResult {
            name: name.to_owned(),
            verdict: Verdict::NotRun,
            kind: None,
            seconds: 0.0,
            screen: String::new(),
            playground: None,
        };
        let rules: Vec<RuleResult> = lab
            .rules
            .iter()
            .map(|rule| {
                let cases: Vec<CaseResult> =
                    rule.cases.iter().map(|name| results.get(name).cloned().unwrap_or_else(|| not_run(name))).collect();
                let all_pass = void.is_none() && cases.iter().all(|case| case.verdict.is_pass());
                RuleResult {
                    id: rule.id.clone(),
                    text: rule.en.clone(),
                    page: rule.page.clone(),
                    earned: if all_pass { rule.points } else { 0 },
                    points: rule.points,
                    cases,
                }
            })
            .collect();
        Report {
            format: FORMAT.to_owned(),
            lab: lab.name.clone(),
            void,
            seed: None,
            score: rules.iter().map(|rule| rule.earned).sum(),
            max_score: rules.iter().map(|rule| rule.points).sum(),
            rules,
            costs: BTreeMap::new(),
        }
    }

    /// Every case, in the order of `lab.toml`.
    pub fn cases(&self) -> impl Iterator<Item = &CaseResult> + Clone {
        self.rules.iter().flat_map(|rule| &rule.cases)
    }

    /// The first case of the rule `id` that failed.
    pub fn first_failed(&self, id: &str) -> Option<&CaseResult> {
        let failed = |case: &&CaseResult| !case.verdict.is_pass() && case.verdict != Verdict::NotRun;
        self.rules.iter().find(|rule| rule.id == id)?.cases.iter().find(failed)
    }

    /// Whether every case has been run.
    pub fn is_complete(&self) -> bool {
        self.cases().all(|case| case.verdict != Verdict::NotRun)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::new(path, e))?;
        let report: Report = serde_json::from_str(&text).map_err(|e| Error::new(path, Fault::Syntax(e.to_string())))?;
        if report.format != FORMAT {
            return Err(Error::new(path, Fault::Format(report.format)));
        }
        Ok(report)
    }

    /// Writes the report so that `path` holds either the old text or the new one, whatever happens.
    ///
    /// # Errors
    /// One line that names the file and what the system said.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::new(path, Fault::Syntax(e.to_string())))?;
        replace(path, &text).map_err(|e| Error::new(path, e))
    }
}

/// Where a finished run of `lab` leaves its report: in the target folder of the running program.
pub fn latest(lab: &str) -> Option<PathBuf> {
    // target/debug/cargo-lab and target/debug/deps/exam-0123 alike: the folder that has a CACHEDIR.TAG.
    let program = std::env::current_exe().ok()?;
    let target = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("lab-reports").join(format!("{lab}.json")))
}

/// Writes `text` to `path` so that a reader finds either the old text or the new one: write, sync, rename.
///
/// # Errors
/// What the system said; `path` is then as it was.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}
