//! What the proof of the course works with; the proof itself is in `tests/`.
//!
//! * [`course`]: the labs, their starters and their references.
//! * [`grading`]: grades many sources the way a submission is graded.
//! * [`mutants`]: the references with one small change each, made by a program.
//! * [`hostile`]: submissions that attack whoever grades them.
//! * [`outline`]: what a source file declares, without its bodies.
//! * [`zoo`]: implementations that must fail and others that must pass, kept as diffs against the reference.

pub mod course;
pub mod grading;
pub mod hostile;
pub mod mutants;
pub mod outline;
pub mod zoo;
