//! Where a learner is in a lab, as the latest report tells.

use crate::lab::{Lab, Rule};
use crate::report::{self, Report};
use std::path::Path;
use std::time::SystemTime;

/// The latest report on a lab, if it has been tried.
#[derive(Debug)]
pub struct Standing<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The report, if there is one.
    pub report: Option<Report>,
    /// The learner's file has changed since.
    pub is_old: bool,
}

impl<'a> Standing<'a> {
    /// Reads the latest report on `lab`.
    ///
    /// # Errors
    /// One line: there is a report, but it can't be read.
    pub fn read(lab: &'a Lab) -> Result<Self, String> {
        Self::read_from(lab, report::latest(&lab.name).as_deref())
    }

    /// The same, with the report at `path`, if one is there.
    ///
    /// # Errors
    /// As [`Standing::read`].
    pub fn read_from(lab: &'a Lab, path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path.filter(|path| path.exists()) else {
            return Ok(Standing { lab, report: None, is_old: false });
        };
        let report =
            Report::load(path).map_err(|what| format!("{what} (cargo test -p {} writes it anew)", lab.name))?;
        let is_old = modified(&lab.learner_file()) > modified(path);
        Ok(Standing { lab, report: Some(report), is_old })
    }

    /// Whether there is nothing left to earn.
    pub fn is_complete(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.score == report.max_score)
    }

    /// How many rules are earned.
    pub fn rules_earned(&self) -> usize {
        self.lab.rules.iter().filter(|rule| self.has_earned(rule)).count()
    }

    /// The first rule that isn't earned.
    pub fn first_rule_to_earn(&self) -> Option<&'a Rule> {
        self.lab.rules.iter().find(|rule| !self.has_earned(rule))
    }

    fn has_earned(&self, rule: &Rule) -> bool {
        let mut results = self.report.iter().flat_map(|report| &report.rules);
        results.any(|result| result.id == rule.id && result.earned == result.points)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}
