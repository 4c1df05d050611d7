//! The leaderboard of a class: whose malloc serves real programs from the least memory, and looks at the fewest free chunks for it.
//!
//! Both are counted by the examiner while the cases play those programs, so they are the same on every machine, and a submission says
//! nothing about itself. Speed isn't here: the examiner asks from another process, and what it would measure is the asking.

use crate::Error;
use crate::html::{HEAD, STYLE, Text};
use crate::record::{Batch, Outcome, Record};
use crate::reports::GradeReport;
use crate::summary::{harmless, written};
use proctor::report::replace;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::str::FromStr;

const TABLE: &str = "leaderboard.csv";
const PAGE: &str = "leaderboard.html";

/// What learners are called on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// A name that only their own page tells them.
    Pseudonyms,
    /// The names of their submissions.
    Submissions,
}

/// These are no names.
#[derive(Debug)]
pub struct NoNames(String);

impl Display for NoNames {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` are no names for a leaderboard: pseudonyms or submissions", crate::printable(&self.0))
    }
}

impl std::error::Error for NoNames {}

impl FromStr for Names {
    type Err = NoNames;

    fn from_str(text: &str) -> Result<Self, NoNames> {
        match text {
            "pseudonyms" => Ok(Names::Pseudonyms),
            "submissions" => Ok(Names::Submissions),
            _ => Err(NoNames(text.to_owned())),
        }
    }
}

/// What a submission with full marks has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// How much of the memory from the system the programs did not use, in thousandths; the mean of all programs.
    unused: u64,
    /// How many free chunks it looked at, in hundredths of a chunk for each request of all programs.
    looked_at: u64,
}

impl Standing {
    /// Nothing for one that has no full marks of its own, that waits, or that has played no program.
    pub fn of(grade: &GradeReport) -> Option<Self> {
        let report = &grade.report;
        let is_full = report.score == report.max_score && grade.score() == report.max_score;
        if !is_full || report.costs.is_empty() {
            return None;
        }
        let costs = report.costs.values();
        let used: u64 = costs.clone().map(|cost| 1000 * cost.peak / cost.memory.max(1)).sum();
        let looked_at: u64 = costs.clone().map(|cost| cost.looked_at).sum();
        let requests: u64 = costs.map(|cost| cost.requests).sum();
        let unused = 1000_u64.saturating_sub(used / report.costs.len() as u64);
        Some(Standing { unused, looked_at: 100 * looked_at / requests.max(1) })
    }

    /// The utilisation, in percent.
    pub fn used(&self) -> f64 {
        (1000 - self.unused) as f64 / 10.0
    }

    /// How many free chunks it looked at for a request.
    pub fn looked_at(&self) -> f64 {
        self.looked_at as f64 / 100.0
    }
}

/// What somebody is called whose name isn't told: an animal and four digits, other ones for another version of the file. To compute it,
/// one needs the file.
pub fn pseudonym(grade: &GradeReport) -> String {
    const ANIMALS: [&str; 32] = [
        "ant", "badger", "bat", "bear", "beaver", "bee", "cat", "crab", "crane", "deer", "dove", "duck", "eagle",
        "fox", "frog", "goat", "goose", "hare", "heron", "horse", "lark", "lynx", "mole", "moth", "newt", "otter",
        "owl", "raven", "seal", "swan", "trout", "wren",
    ];
    let hash = Sha256::digest(format!("{}\n{}", grade.submission, grade.sha256));
    format!("{}-{:02x}{:02x}", ANIMALS[usize::from(hash[0]) % ANIMALS.len()], hash[1], hash[2])
}

/// A line of the board.
struct Line<'a> {
    rank: usize,
    standing: Standing,
    name: String,
    record: &'a Record,
}

/// The record's line, without its rank, if it has a place on the board.
fn line(names: Names, record: &Record) -> Option<Line<'_>> {
    let Outcome::Graded(grade) = &record.outcome else { return None };
    let standing = Standing::of(grade)?;
    let name = match names {
        Names::Pseudonyms => pseudonym(grade),
        Names::Submissions => record.name.clone(),
    };
    Some(Line { rank: 0, standing, name, record })
}

/// Best first. Equals share a rank, and the next one's is as if they had not.
fn lines(names: Names, records: &[Record]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line> = records.iter().filter_map(|record| line(names, record)).collect();
    lines.sort_by(|a, b| (a.standing, &a.name, &a.record.key).cmp(&(b.standing, &b.name, &b.record.key)));
    let ranks: Vec<usize> =
        lines.iter().map(|line| 1 + lines.iter().filter(|other| other.standing < line.standing).count()).collect();
    lines.iter_mut().zip(ranks).for_each(|(line, rank)| line.rank = rank);
    lines
}

/// Writes the board into `out`, as a table and as a page, if one is wanted. If none is, none is left of an earlier run.
///
/// # Errors
/// One line that names the file and what the system said.
pub fn write(out: &Path, batch: &Batch, records: &[Record]) -> Result<(), Error> {
    let Some(names) = batch.leaderboard else {
        for path in [TABLE, PAGE].map(|name| out.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::at(&path)(error)),
                _ => {}
            }
        }
        return Ok(());
    };
    let lines = lines(names, records);
    for (name, text) in [(TABLE, table(&lines)), (PAGE, Ok(page(&batch.with.lab, &lines)))] {
        let path = out.join(name);
        text.and_then(|text| replace(&path, &text)).map_err(Error::at(&path))?;
    }
    Ok(())
}

fn table(lines: &[Line]) -> io::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["rank", "name", "memory_used_percent", "chunks_per_request"])?;
    for Line { rank, standing, name, .. } in lines {
        let (used, looked_at) = (format!("{:.1}", standing.used()), format!("{:.2}", standing.looked_at()));
        csv.write_record([&rank.to_string(), &*harmless(name), &used, &looked_at])?;
    }
    written(csv)
}

fn page(lab: &str, lines: &[Line]) -> String {
    let row = |Line { rank, standing, name, .. }: &Line| {
        let (name, used, looked_at) = (Text(name), standing.used(), standing.looked_at());
        format!(
            "<tr><td class=\"number\">{rank}</td><td>{name}</td><td class=\"number\">{used:.1} %</td>\
             <td class=\"number\">{looked_at:.2}</td></tr>\n"
        )
    };
    let rows: String = lines.iter().map(row).collect();
    let lab = Text(lab);
    let nobody = if lines.is_empty() { "<p>Nobody is on it yet.</p>\n" } else { "" };
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
{HEAD}
<title>{lab}: leaderboard</title>
<style>
{STYLE}</style>
</head>
<body class="learner">
<p class="quiet">{lab}</p>
<h1>Leaderboard</h1>
<p>These mallocs have all points. The exam plays what real programs ask for. The first number says how much of the memory from the system
those programs used, the second how many free chunks the malloc looked at for a request. Where the first is equal, fewer chunks win.
Neither depends on the machine.</p>
{nobody}<div class="wide"><table class="rules">
<tr><th></th><th></th><th class="number">memory used</th><th class="number">chunks per request</th></tr>
{rows}</table></div>
</body>
</html>
"#
    )
}
