//! The exam: asks a learner's program, judges from outside, and shows what it saw.
//!
//! * [`explain`] is how a reference does it, for those who have done it themselves.
//! * [`lab`] reads `lab.toml`: the rules of a lab, their points, cases, hints and pages.
//! * [`playground`] makes a story a link to the book's playground.
//! * [`report`] is what a run leaves behind, case by case.
//! * [`standing`] is where a learner is in a lab, as the latest report tells.
//! * [`terminal`] is how wide the reader's terminal is, and text that fits into it.
//! * [`wire`] has the names of the environment variables, and what examiner and candidate speak.
//!
//! With the feature `exam`, what a lab's tests need: [`Exam`], whose cases are ordinary `#[test]` functions, and
//! [`Desk`], what the body of a case works with.
//!
//! **The one rule: a case passes because the examiner's own checks passed, in a process in which no learner's code has ever run.**
//! The learner's code runs in another program, the lab's *candidate* (`labs/candidate`). Data flows one way: a case's body asks
//! through the `desk`, which sends the question to a `process` and reads the `arena`, the memory that both share; `play` has the
//! referee watch whole stories, and `long` those that are too long for that; `schedule` decides which thread goes on; `judge` says
//! why there was no answer; `sitting` keeps the results, and `screen` explains them.

mod error;
pub mod explain;
pub mod lab;
pub mod playground;
pub mod report;
pub mod standing;
pub mod terminal;

pub use candidate::wire;
pub use error::{Error, Fault};

#[cfg(feature = "exam")]
mod arena;
#[cfg(feature = "exam")]
mod confine;
#[cfg(feature = "exam")]
mod cores;
#[cfg(feature = "exam")]
mod desk;
#[cfg(feature = "exam")]
mod exam;
#[cfg(feature = "exam")]
mod filters;
#[cfg(feature = "exam")]
mod finding;
#[cfg(feature = "exam")]
mod judge;
#[cfg(feature = "exam")]
mod long;
#[cfg(feature = "exam")]
mod play;
#[cfg(feature = "exam")]
mod process;
#[cfg(feature = "exam")]
mod schedule;
#[cfg(feature = "exam")]
mod screen;
#[cfg(feature = "exam")]
mod seed;
#[cfg(feature = "exam")]
mod sitting;
#[cfg(feature = "exam")]
mod types;

#[cfg(feature = "exam")]
pub use desk::{Desk, ROOM, System};
#[cfg(feature = "exam")]
pub use exam::Exam;
#[cfg(feature = "exam")]
pub use finding::Finding;
#[cfg(feature = "exam")]
pub use play::{Memory, Remote, Stage, one_list};
#[cfg(feature = "exam")]
pub use schedule::{Moment, Next, Order, Plan, Step, Switch, Threads};
