//! The steps of a story, as they are told under a failing case.

use std::cell::RefCell;

/// One step: what was done, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `c = malloc(64)`
    pub action: String,
    /// `+0x0010`, or `None` while the step is under way.
    pub result: Option<String>,
}

/// Writes a story down as it happens: a step before it is taken, its result after. So the step under way is known, whatever
/// becomes of it.
#[derive(Debug, Default)]
pub struct Journal(RefCell<Vec<Step>>);

impl Journal {
    /// A step is about to be taken.
    pub fn begin(&self, action: impl Into<String>) {
        self.0.borrow_mut().push(Step { action: action.into(), result: None });
    }

    /// The step under way has come to its end.
    pub fn end(&self, result: impl Into<String>) {
        if let Some(step) = self.0.borrow_mut().last_mut() {
            step.result = Some(result.into());
        }
    }

    /// The step number `index`, from 0 on, has come to its end.
    pub fn end_at(&self, index: usize, result: impl Into<String>) {
        if let Some(step) = self.0.borrow_mut().get_mut(index) {
            step.result = Some(result.into());
        }
    }

    /// A step that has no result.
    pub fn note(&self, action: impl Into<String>) {
        self.begin(action);
        self.end("");
    }

    /// Forgets the steps so far: what follows is a story of its own.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// How many steps there are so far.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.0.borrow().clone()
    }
}
