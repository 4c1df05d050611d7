//! `cargo lab hint`: one more hint at each call, from a question to nearly the answer.

use crate::standing::Standing;
use crate::text::{self, Style, paint, wrap};
use proctor::lab::{Lab, Rule};
use proctor::report;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The next hint on `rule`, or on the first rule that isn't earned.
pub fn next(lab: &Lab, rule: Option<&Rule>) -> Result<String, String> {
    let to_earn = || Ok::<_, String>(Standing::read(lab)?.first_rule_to_earn());
    let Some(rule) = rule.map_or_else(to_earn, |rule| Ok(Some(rule)))? else {
        return Ok(format!(
            "Every rule of {0} is earned. For a hint on one all the same: cargo lab hint {0} RULE\n",
            lab.name
        ));
    };
    let of = rule.hints.en.len();
    let mut given = Given::read(lab);
    let before = given.count(rule).min(of);
    let number = (before + 1).min(of);
    given.remember(rule, number)?;

    let mut text = paint(Style::Bold, &format!("{} · {} · hint {number} of {of}", lab.name, rule.id));
    text.push('\n');
    text.push_str(&wrap("", &rule.en));
    text.push('\n');
    for line in wrap("  ", rule.hints.en.get(number - 1).map_or("", String::as_str)).lines() {
        text.push_str(&paint(Style::Cyan, line));
        text.push('\n');
    }
    text.push('\n');
    if before == of {
        text.push_str(&wrap("  ", "You have had every hint on this rule: this is the last one again."));
    } else if number < of {
        text.push_str(&wrap("  more  ", &format!("cargo lab hint {} {}", lab.name, rule.id)));
    }
    text.push_str(&wrap("  read  ", &text::page(lab, rule)));
    Ok(text)
}

/// How many hints have been given on each rule of a lab: kept beside the reports.
struct Given {
    file: Option<PathBuf>,
    counts: BTreeMap<String, usize>,
}

impl Given {
    fn read(lab: &Lab) -> Self {
        let file = report::latest(&lab.name).map(|path| path.with_extension("hints.json"));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        // Without a readable count the hints begin again, which does no harm.
        let counts = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Given { file, counts }
    }

    fn count(&self, rule: &Rule) -> usize {
        self.counts.get(&rule.id).copied().unwrap_or(0)
    }

    fn remember(&mut self, rule: &Rule, count: usize) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        self.counts.insert(rule.id.clone(), count);
        let text = serde_json::to_string(&self.counts).map_err(|e| e.to_string())?;
        report::replace(file, &text).map_err(|e| format!("{}: {e}", file.display()))
    }
}
