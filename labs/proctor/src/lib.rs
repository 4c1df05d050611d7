//! The exam: runs each case of a lab in a process of its own, keeps what it saw, and reports.
//!
//! * [`lab`] reads `lab.toml`: the rules of a lab, their points, cases, hints and pages.
//! * [`report`] is what a run leaves behind, case by case.
//!
//! With the feature `exam` (what a lab's tests need):
//!
//! * `case` isolates the body of one `#[test]` and explains what went wrong.

pub mod lab;
pub mod report;
