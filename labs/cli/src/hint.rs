//! `cargo lab hint`: one more hint at each call, from a question to nearly the answer. If the last run has found a mistake that has
//! a hint of its own, that one comes first, as it does on the screen of the case.

use crate::text::{self, Style, paint, wrap};
use proctor::lab::{Lab, Rule};
use proctor::report::{self, Verdict};
use proctor::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The next hint on `rule`, or on the first rule that isn't earned.
pub fn next(lab: &Lab, rule: Option<&Rule>) -> Result<String, String> {
    let standing = Standing::read(lab)?;
    let Some(rule) = rule.or_else(|| standing.first_rule_to_earn()) else {
        return Ok(format!(
            "Every rule of {0} is earned. For a hint on one all the same: cargo lab hint {0} RULE\n",
            lab.name
        ));
    };
    let failed = standing.report.as_ref().and_then(|report| report.first_failed(&rule.id));
    let hints = match failed.filter(|case| case.verdict != Verdict::NotWritten) {
        Some(case) => rule.hints.about(&case.name, case.kind.as_deref()),
        None => rule.hints.about("", None),
    };
    let of = hints.len();
    let mut given = Given::read(lab);
    let new = hints.iter().position(|hint| !given.has(rule, hint));
    let index = new.unwrap_or(of - 1);
    let number = index + 1;
    given.remember(rule, hints[index])?;

    let mut text = paint(Style::Bold, &format!("{} · {} · hint {number} of {of}", lab.name, rule.id));
    text.push('\n');
    text.push_str(&wrap("", &rule.en));
    text.push('\n');
    for line in wrap("  ", hints[index]).lines() {
        text.push_str(&paint(Style::Cyan, line));
        text.push('\n');
    }
    text.push('\n');
    if new.is_none() {
        text.push_str(&wrap("  ", "You have had every hint on this rule: this is the last one again."));
    } else if number < of {
        text.push_str(&wrap("  more  ", &format!("cargo lab hint {} {}", lab.name, rule.id)));
    }
    text.push_str(&wrap("  read  ", &text::page(lab, rule)));
    Ok(text)
}

/// The hints that have been given on each rule of a lab: kept beside the reports.
struct Given {
    file: Option<PathBuf>,
    hints: BTreeMap<String, BTreeSet<String>>,
}

impl Given {
    fn read(lab: &Lab) -> Self {
        let file = report::latest(&lab.name).map(|path| path.with_extension("hints.json"));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        // If they can't be read, the hints begin again, which does no harm.
        let hints = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Given { file, hints }
    }

    fn has(&self, rule: &Rule, hint: &str) -> bool {
        self.hints.get(&rule.id).is_some_and(|given| given.contains(hint))
    }

    fn remember(&mut self, rule: &Rule, hint: &str) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        self.hints.entry(rule.id.clone()).or_default().insert(hint.to_owned());
        let text = serde_json::to_string(&self.hints).map_err(|e| e.to_string())?;
        report::replace(file, &text).map_err(|e| format!("{}: {e}", file.display()))
    }
}
