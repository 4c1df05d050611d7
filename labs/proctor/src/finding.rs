//! What is wrong, when a case ends before its end.

use crate::report::Verdict;
use heapkit::draw::Mark;
use heapkit::image::Image;
use heapkit::referee::{Kind, Violation};

/// Why a case ended early.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How, in a word.
    pub verdict: Verdict,
    /// What the referee calls it, if it was the referee who found it.
    pub kind: Option<Kind>,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What should have come out. May have several lines.
    pub expected: Option<String>,
    /// What came out. May have several lines.
    pub seen: Option<String>,
    /// Notes to places in the heap.
    pub marks: Vec<Mark>,
    /// The heap to show, unless it is the heap as it is now.
    pub heap: Option<Image>,
    /// Whether that is the heap before the last step.
    pub heap_is_before: bool,
    /// Where in the learner's code it happened, as `file:line`.
    pub place: Option<String>,
    /// The outermost place in the learner's code that led there, if it is another one.
    pub called_from: Option<String>,
    /// Whether what was expected and seen already is a picture of the heap.
    pub shows_the_heap: bool,
}

impl Finding {
    /// A difference, in one sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self::ended(Verdict::Wrong, what)
    }

    /// Another end, in a sentence.
    pub(crate) fn ended(verdict: Verdict, what: impl Into<String>) -> Self {
        Finding {
            verdict,
            kind: None,
            what: what.into(),
            expected: None,
            seen: None,
            marks: Vec::new(),
            heap: None,
            heap_is_before: false,
            place: None,
            called_from: None,
            shows_the_heap: false,
        }
    }

    /// Adds what was expected and what was seen.
    pub fn expected(mut self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.seen = Some(seen.into());
        self
    }

    /// Adds a note to the byte at `at` of the heap.
    pub fn mark(mut self, at: usize, note: impl Into<String>) -> Self {
        self.marks.push(Mark { at, note: note.into() });
        self
    }

    /// Ends the case with it.
    pub(crate) fn end_case(self) -> ! {
        std::panic::resume_unwind(Box::new(self))
    }

    /// Whether it is the same mistake as another one, as far as anybody can tell: what shrinking keeps.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.verdict, self.kind) == (other.verdict, other.kind)
    }
}

impl From<Violation> for Finding {
    fn from(violation: Violation) -> Self {
        let (expected, seen) = violation.expected_and_seen.unzip();
        Finding {
            kind: Some(violation.kind),
            expected,
            seen,
            marks: violation.marks,
            heap: Some(*violation.heap),
            heap_is_before: violation.heap_is_before,
            ..Finding::new(violation.what)
        }
    }
}
