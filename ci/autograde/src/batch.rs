//! Grades the entries of a folder, several at once.

mod progress;
mod reserve;
mod worker;

use crate::decisions::{Decision, Decisions, File, Known};
use crate::entry::{Entry, Listing, Shard, digest, printable};
use crate::record::{self, Batch, GradedWith, Keeper, Outcome, Record};
use crate::reports::GradeReport;
use crate::show::Show;
use crate::{Course, Error, Submission, Unreadable, summary};
use proctor::lab::Lab;
use progress::Progress;
use reserve::Reserve;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use worker::Workers;

/// What to grade, and how.
#[derive(Debug)]
pub struct Job<'a> {
    /// The checkout to grade with.
    pub course: &'a Course,
    /// The lab.
    pub lab: &'a Lab,
    /// The folder with an entry for each learner.
    pub folder: &'a Path,
    /// Where the results go.
    pub out: &'a Path,
    /// How many are graded at once; nothing for one on each processor.
    pub jobs: Option<NonZero<usize>>,
    /// Which part of the class.
    pub shard: Shard,
    /// What the workloads are drawn from; nothing for the usual ones.
    pub seed: Option<u64>,
    /// What people have decided.
    pub decisions: &'a Decisions,
    /// How the reports are shown.
    pub show: &'a Show,
    /// Turns true when the run is to end after what is being graded now.
    pub stop: &'a AtomicBool,
}

/// How a batch ended.
#[derive(Debug)]
pub enum End {
    /// Every entry has its result.
    Complete,
    /// So many entries could not be graded, through no fault of theirs.
    NotGraded(usize),
    /// It was stopped; so many entries are left.
    Stopped(usize),
    /// A result could not be kept, most likely because the disk is full; so many entries are left.
    NotKept(Error, usize),
}

/// Why a batch was not begun.
#[derive(Debug)]
pub enum Refusal {
    /// What was asked for makes no sense.
    Usage(Error),
    /// It does, but the machine or the course can't grade.
    Grading(Error),
}

/// Grades what `job` says, and writes each result the moment it is known, and the summary at the end.
///
/// # Errors
/// One line: nothing could be graded.
pub fn run(job: &Job) -> Result<End, Refusal> {
    let listing = Listing::of(job.folder).map_err(Refusal::Usage)?;
    check_apart(job.folder, job.out).map_err(Refusal::Usage)?;
    for name in &listing.skipped {
        eprintln!("autograde: {name}: skipped, it is no submission");
    }
    let twins = summary::twins(listing.entries.iter().map(|entry| entry.name.as_str()));
    for line in twins.into_values().collect::<BTreeSet<_>>() {
        eprintln!("autograde: {line}");
    }
    let mine: Vec<&Entry> = listing.entries.iter().filter(|entry| job.shard.has(entry)).collect();
    grade_all(job, &listing, &mine).map_err(Refusal::Grading)
}

/// Results among the submissions would be taken for submissions by the next run.
fn check_apart(folder: &Path, out: &Path) -> Result<(), Error> {
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = folder.canonicalize().unwrap_or_else(|_| full(folder));
    let out = full(out);
    let real = out.ancestors().find_map(|path| Some((path, path.canonicalize().ok()?)));
    let inside = real.is_some_and(|(_, real)| real.starts_with(&folder)) || out.starts_with(&folder);
    if inside { Err(Error::ResultsAmongSubmissions { out }) } else { Ok(()) }
}

fn grade_all(job: &Job, listing: &Listing, mine: &[&Entry]) -> Result<End, Error> {
    let reserve = Reserve::make(job.out, mine.len())?;
    let mut workers = Workers::open(job)?;
    let with = GradedWith {
        lab: job.lab.name.clone(),
        course: job.course.digest()?,
        toolchain: workers.toolchain().to_owned(),
        seed: job.seed,
    };
    // Reading is cheap: what is done already or can't be read is known before anything is compiled.
    let keeper = Keeper { out: job.out, lab: job.lab, with: &with, show: job.show };
    let mut records = Vec::new();
    let mut to_grade = Vec::new();
    let mut hashes = BTreeMap::new();
    for entry in mine {
        let (sha256, prepared) = prepare(job, &keeper, entry)?;
        hashes.insert(entry.key.as_str(), sha256);
        match prepared {
            Prepared::Known(record) => records.push(record),
            Prepared::ToGrade(graded) => to_grade.push(graded),
        }
    }
    let keys = mine.iter().map(|entry| entry.key.clone()).collect();
    let mut batch = Batch::new(with.clone(), job.shard, keys, listing);
    batch.stale = stale(job, listing, &hashes);
    batch.leaderboard = job.show.leaderboard;
    batch.save(job.out)?;
    if !to_grade.is_empty() {
        eprintln!("autograde: compiling what all submissions share");
        workers.warm(job, to_grade.len())?;
    }
    let mut progress = Progress::start(mine.len(), to_grade.len());
    for record in &records {
        progress.known(record);
    }
    let (graded, not_kept) = grade_new(job, &mut workers, &keeper, &to_grade, &mut progress);
    records.extend(graded);
    progress.end();

    let not_graded = records.iter().filter(|record| matches!(record.outcome, Outcome::NotGraded(_))).count();
    let end = match (not_kept, mine.len() - records.len(), not_graded) {
        (Some(why), left, _) => End::NotKept(why, left),
        (None, 0, 0) => End::Complete,
        (None, 0, n) => End::NotGraded(n),
        (None, left, _) => End::Stopped(left),
    };
    // Whoever opens the summary of a run that was stopped has to see who is missing.
    let done: BTreeSet<String> = records.iter().map(|record| record.key.clone()).collect();
    let left = mine.iter().filter(|entry| !done.contains(&entry.key));
    records.extend(left.map(|entry| record_of(entry, Outcome::NotGraded("the run was stopped before".to_owned()))));
    summary::sort(&mut records);
    drop(reserve);
    summary::write(job.out, &batch, &records)?;
    Ok(end)
}

fn record_of(entry: &Entry, outcome: Outcome) -> Record {
    Record { name: entry.name.clone(), key: entry.key.clone(), outcome }
}

/// The decisions that hold for nothing any more, told and kept for the summary.
fn stale(job: &Job, listing: &Listing, hashes: &BTreeMap<&str, Option<String>>) -> Vec<String> {
    let known = listing.entries.iter().map(|entry| {
        let file = match hashes.get(entry.key.as_str()) {
            Some(Some(sha256)) => File::Is(sha256),
            Some(None) => File::Unreadable,
            None => File::Elsewhere,
        };
        Known { name: &entry.name, key: &entry.key, file }
    });
    let mut stale = job.decisions.stale(known);
    // As in the summary of merged shards.
    stale.sort();
    stale.iter().for_each(|line| eprintln!("autograde: {line}"));
    stale
}

/// A submission that isn't graded yet.
struct ToGrade<'a> {
    entry: &'a Entry,
    submission: Submission,
    sha256: String,
    decision: Option<&'a Decision>,
}

enum Prepared<'a> {
    /// Its result is known: from an earlier run, or because there is nothing to grade.
    Known(Record),
    ToGrade(ToGrade<'a>),
}

/// The hash of the entry's file, and what is known of its result.
fn prepare<'a>(job: &Job<'a>, keeper: &Keeper, entry: &'a Entry) -> Result<(Option<String>, Prepared<'a>), Error> {
    let submission =
        if entry.path.is_symlink() { Err(Unreadable::Link) } else { Submission::read(&entry.path, job.lab) };
    let submission = match submission {
        Ok(submission) => submission,
        Err(what) => {
            let record = record_of(entry, Outcome::Unreadable(printable(&what.to_string())));
            keeper.save(&record, None)?;
            return Ok((None, Prepared::Known(record)));
        }
    };
    let sha256 = digest(&submission.text);
    let decision = job.decisions.about(&entry.name, &entry.key, &sha256);
    let prepared = match keeper.find(entry, &sha256, decision)? {
        Some(known) => Prepared::Known(known),
        None => {
            // If this run is stopped, what is there about another text or course must not be taken for its result.
            record::clear(&record::folder(job.out, &entry.key))?;
            Prepared::ToGrade(ToGrade { entry, submission, sha256: sha256.clone(), decision })
        }
    };
    Ok((Some(sha256), prepared))
}

/// Grades with all workers until nothing is left, the run is stopped, or a result can't be kept: what is graded then, and why not.
fn grade_new(
    job: &Job,
    workers: &mut Workers,
    keeper: &Keeper,
    to_grade: &[ToGrade],
    progress: &mut Progress,
) -> (Vec<Record>, Option<Error>) {
    let next = AtomicUsize::new(0);
    let revision = job.course.revision();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for grader in workers.graders() {
            let (next, revision, sender) = (&next, revision.as_deref(), sender.clone());
            scope.spawn(move || {
                while !job.stop.load(Relaxed)
                    && let Some(ToGrade { entry, submission, sha256, decision }) =
                        to_grade.get(next.fetch_add(1, Relaxed))
                {
                    let outcome = match grader.grade(job.lab, &submission.text) {
                        Ok(grade) => {
                            let mut report = GradeReport::new(submission, grade, &keeper.with.toolchain, revision);
                            report.decision = decision.cloned();
                            Outcome::Graded(Box::new(report))
                        }
                        Err(why) => Outcome::NotGraded(printable(&why.to_string())),
                    };
                    let record = record_of(entry, outcome);
                    let saved = keeper.save(&record, Some(sha256));
                    let failed = saved.is_err();
                    if failed {
                        // Half a result counts for nothing, and the summary needs its room.
                        let _ = record::clear(&record::folder(job.out, &entry.key));
                    }
                    // The receiver outlives the workers.
                    let _ = sender.send(saved.map(|()| record));
                    if failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut records, mut not_kept) = (Vec::new(), None);
        for record in receiver {
            match record {
                Ok(record) => {
                    progress.graded(&record);
                    records.push(record);
                }
                // This ends the run: the disk is full, and the next one could not be kept either.
                Err(why) => {
                    job.stop.store(true, Relaxed);
                    not_kept = not_kept.or(Some(why));
                }
            }
        }
        (records, not_kept)
    })
}

/// Where the worker with this number keeps its copy of the course. The first shares that of single gradings.
fn work_dir(course: &Course, worker: usize) -> PathBuf {
    match worker {
        0 => course.grading_dir(),
        n => course.grading_dir().join(format!("worker-{}", n + 1)),
    }
}
