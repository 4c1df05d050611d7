//! The instructor's program: grades a submission on a pristine copy of the course.
//!
//! * [`Course`] is the checkout to grade with, [`Submission`] the one file that counts.
//! * A [`Grader`] keeps the copy and what is compiled, and turns a source text into a [`Grade`].
//! * [`handout`] writes the student edition.
//! * [`reports`] writes a grade down for people, for CI systems and for course systems.
//! * [`batch`] grades a folder of submissions, [`merge`] joins what several machines graded.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let course = autograde::Course::find(std::path::Path::new(".")).ok_or("there is no course here")?;
//! let lab = course.lab("lab03")?;
//! let text = std::fs::read_to_string(lab.learner_file())?;
//! let grade = course.grader(&course.grading_dir())?.grade(&lab, &text)?;
//! println!("{} of {}", grade.report.score, grade.report.max_score);
//! # Ok(())
//! # }
//! ```

mod archive;
pub mod batch;
mod build;
pub mod collect;
mod course;
pub mod decisions;
mod entry;
mod error;
pub mod export;
mod grader;
pub mod handout;
mod html;
pub mod leaderboard;
pub mod merge;
mod pristine;
mod process;
pub mod pseudonyms;
mod record;
pub mod reports;
pub mod sandbox;
pub mod show;
pub mod source_rules;
mod submission;
mod summary;

pub use course::Course;
pub use entry::{NoShard, Shard, printable};
pub use error::Error;
pub use grader::{Grade, Grader};
pub use submission::{Submission, Unreadable};
