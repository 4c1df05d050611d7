//! How reports are shown: what the instructor chooses.

use crate::leaderboard::Names;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How reports are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// When Gradescope shows a learner the results.
    pub visibility: Visibility,
    /// What learners are called on the leaderboard, if there is to be one. Gradescope has its own names.
    pub leaderboard: Option<Names>,
    /// How many hints a learner's page has for each mistake.
    pub hints: usize,
    /// Where the book is, if a page is to link it.
    pub book: Option<String>,
}

impl Default for Show {
    fn default() -> Self {
        Show { visibility: Visibility::Visible, leaderboard: None, hints: 1, book: None }
    }
}

/// Gradescope's words for when a learner sees something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// At once.
    Visible,
    /// When nobody can hand in any more.
    AfterDueDate,
    /// When the instructor publishes the grades.
    AfterPublished,
    /// Never.
    Hidden,
}

/// This is no visibility.
#[derive(Debug)]
pub struct NoVisibility(String);

impl fmt::Display for NoVisibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = crate::printable(&self.0);
        write!(f, "`{given}` is no visibility: visible, after_due_date, after_published or hidden")
    }
}

impl std::error::Error for NoVisibility {}

impl FromStr for Visibility {
    type Err = NoVisibility;

    fn from_str(text: &str) -> Result<Self, NoVisibility> {
        Ok(match text {
            "visible" => Visibility::Visible,
            "after_due_date" => Visibility::AfterDueDate,
            "after_published" => Visibility::AfterPublished,
            "hidden" => Visibility::Hidden,
            _ => return Err(NoVisibility(text.to_owned())),
        })
    }
}
