//! What a case found out before it ended.

use heapkit::draw::Mark;
use heapkit::referee::Violation;
use serde::{Deserialize, Serialize};

/// Why a case ended early. Written by the case's process, read by the one that watches it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of end it was.
    pub kind: Kind,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What should have come out. May have several lines.
    pub expected: Option<String>,
    /// What came out. May have several lines.
    pub seen: Option<String>,
    /// Notes to places in the heap, by offset.
    pub marks: Vec<(usize, String)>,
    /// Whether the heap before the last step tells more than the heap after it.
    pub look_before: bool,
    /// Where in the learner's code it happened, as `file:line`.
    pub place: Option<String>,
    /// The outermost place in the learner's code that led there, if it is another one.
    pub called_from: Option<String>,
    /// Whether what was expected and seen already is a picture of the heap.
    pub shows_the_heap: bool,
}

/// The kinds of early ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A check found a difference.
    #[default]
    Wrong,
    /// The code panicked.
    Panicked,
    /// The code says `todo!()`.
    NotWritten,
    /// The case can't be tried here.
    Skipped,
}

impl Finding {
    /// A difference, in one sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Finding { what: what.into(), ..Finding::default() }
    }

    /// Adds what was expected and what was seen.
    pub fn expected(mut self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.seen = Some(seen.into());
        self
    }

    /// Adds a note to the byte at `at` of the heap.
    pub fn mark(mut self, at: usize, note: impl Into<String>) -> Self {
        self.marks.push((at, note.into()));
        self
    }

    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks.iter().map(|(at, note)| Mark { at: *at, note: note.clone() }).collect()
    }
}

impl From<Violation> for Finding {
    fn from(violation: Violation) -> Self {
        let (expected, seen) = violation.expected_and_seen.unzip();
        Finding {
            what: violation.what,
            expected,
            seen,
            marks: violation.marks.into_iter().map(|mark| (mark.at, mark.note)).collect(),
            look_before: violation.look_before,
            ..Finding::default()
        }
    }
}
