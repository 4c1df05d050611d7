//! `cargo lab`: the labs, the points so far, and the next thing to do.

use crate::text::{self, Style, paint, wrap};
use proctor::explain;
use proctor::lab::{FULL_MARKS, Lab};
use proctor::standing::Standing;

/// Cells of a full bar, where there is room for it and where there is little.
const BAR: usize = 20;
const SHORT_BAR: usize = 5;
/// The widest row but for title and bar: `  lab01  Title  █████  100   16 of 16 rules`.
const BESIDE_THE_BAR: usize = 33;

/// The labs with their points, and the next thing to do.
pub fn overview(labs: &[Lab]) -> Result<String, String> {
    let standings = labs.iter().map(Standing::read).collect::<Result<Vec<_>, _>>()?;
    let width = labs.iter().map(|lab| lab.title.chars().count()).max().unwrap_or(0);
    let mut text = String::from("\n");
    for standing in &standings {
        text.push_str(&row(standing, width));
    }
    text.push('\n');
    if let Some(done) = standings.iter().rfind(|standing| explain::missing(standing).is_none()) {
        let what = format!("How the reference of {0} does it, and why: cargo lab explain {0}", done.lab.name);
        text.push_str(&wrap("  ", &what));
        text.push('\n');
    }
    text.push_str(&match standings.iter().find(|standing| !standing.is_complete()) {
        Some(standing) => next(standing),
        None => format!("All {} labs are complete. Well done.\n", labs.len()),
    });
    Ok(text)
}

fn row(standing: &Standing, width: usize) -> String {
    let lab = standing.lab;
    let score = standing.report.as_ref().map_or(0, |report| report.score);
    let cells = text::width().saturating_sub(width + BESIDE_THE_BAR).clamp(SHORT_BAR, BAR);
    let filled = score.min(FULL_MARKS) as usize * cells / FULL_MARKS as usize;
    let bar = format!("{}{}", paint(Style::Green, &"█".repeat(filled)), paint(Style::Dim, &"░".repeat(cells - filled)));
    let told = match &standing.report {
        None => "  –   not tried yet".to_owned(),
        Some(_) => format!("{score:>3}   {} of {} rules", standing.rules_earned(), lab.rules.len()),
    };
    let before_the_bar = lab.name.len() + width + 4;
    let edited = "(edited since)";
    let remark = match standing.is_old {
        false => String::new(),
        true if before_the_bar + cells + 2 + told.len() + 3 + edited.len() <= text::width() => format!("   {edited}"),
        true => format!("\n{:1$}{edited}", "", before_the_bar + 2),
    };
    format!("  {}  {:width$}  {bar}  {told}{remark}\n", paint(Style::Bold, &lab.name), lab.title)
}

/// The first rule of the lab that isn't earned, and all it takes to begin with it.
fn next(standing: &Standing) -> String {
    let (lab, Some(rule)) = (standing.lab, standing.first_rule_to_earn()) else {
        return String::new();
    };
    let mut text = paint(Style::Bold, &format!("Next · {} · {} · {} points", lab.name, rule.id, rule.points));
    text.push('\n');
    text.push_str(&wrap("  ", &rule.en));
    text.push('\n');
    if let Some(remark) = remark(standing) {
        text.push_str(&wrap("  ", &remark));
        text.push('\n');
    }
    for (label, what) in [
        ("edit", format!("labs/{}/{}", lab.name, lab.file.display())),
        ("read", text::page(lab, rule)),
        ("run", format!("cargo test -p {}", lab.name)),
        ("stuck?", format!("cargo lab hint {}", lab.name)),
    ] {
        text.push_str(&wrap(&format!("  {label:6}  "), &what));
    }
    text
}

/// What to know before the points are believed.
fn remark(standing: &Standing) -> Option<String> {
    match &standing.report {
        None => Some(
            "Not tried yet. Red at the start is normal: nothing is written, and each red case says what to write first."
                .to_owned(),
        ),
        Some(report) => match &report.void {
            Some(void) => Some(format!("Nothing counted in the latest run: {void}")),
            None => standing.is_old.then(|| "The points are from before your last edit.".to_owned()),
        },
    }
}
