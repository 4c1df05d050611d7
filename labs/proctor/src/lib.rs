//! The exam: runs each case of a lab in a process of its own, keeps what it saw, and reports.
//!
//! * [`lab`] reads `lab.toml`: the rules of a lab, their points, cases, hints and pages.
//! * [`report`] is what a run leaves behind, case by case.
//!
//! With the feature `exam`, what a lab's tests need: [`Exam`], whose cases are ordinary `#[test]` functions, and
//! [`Desk`], what the body of a case works with.
//!
//! Data flows one way: a case's body writes into the [`recorder`]'s shared memory from its own process; `judge`
//! reads what is left of it and says how it ended; `screen` explains it; `sitting` keeps the results.

pub mod lab;
pub mod report;

#[cfg(feature = "exam")]
mod desk;
#[cfg(feature = "exam")]
mod exam;
#[cfg(feature = "exam")]
mod finding;
#[cfg(feature = "exam")]
mod inside;
#[cfg(feature = "exam")]
mod judge;
#[cfg(feature = "exam")]
mod outside;
#[cfg(feature = "exam")]
mod recorder;
#[cfg(feature = "exam")]
mod screen;
#[cfg(feature = "exam")]
mod seed;
#[cfg(feature = "exam")]
mod sitting;
#[cfg(feature = "exam")]
mod types;

#[cfg(feature = "exam")]
pub use desk::Desk;
#[cfg(feature = "exam")]
pub use exam::Exam;
#[cfg(feature = "exam")]
pub use finding::Finding;
