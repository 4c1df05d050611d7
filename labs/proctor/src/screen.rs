//! What a learner reads when a case fails: one screen of at most 100 columns.

use crate::lab::{Lab, Rule};
use crate::report::{CaseResult, Report, Verdict};
use crate::seed;
use crate::sitting::Outcome;
use candidate::wire::SEED;
use heapkit::draw;
use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA};
use heapkit::image::Image;
use std::fmt::Write;
use std::path::Path;

/// No line of prose is longer.
const WIDTH: usize = 100;
/// As many steps of a story as are shown; earlier ones are counted.
const STEPS: usize = 14;

/// Explains how a case failed.
pub fn failure(lab: &Lab, rule: &Rule, name: &str, outcome: &Outcome) -> String {
    if outcome.verdict == Verdict::NotWritten {
        return not_written(lab, rule, outcome);
    }
    let mut screen = format!("{} · {} · {} points · {name}\n", lab.name, rule.id, rule.points);
    paragraph(&mut screen, "", &rule.en);
    screen.push('\n');
    what(&mut screen, lab, outcome);
    story(&mut screen, outcome);
    heap(&mut screen, outcome);
    screen.push('\n');
    if let Some(seed) = seed::of_this_run() {
        let _ = writeln!(screen, "  play again   {SEED}={seed} cargo test -p {} {name}", lab.name);
    }
    let kind = outcome.finding.kind.map(heapkit::referee::Kind::as_str);
    help(&mut screen, lab, rule, &rule.hints.about(name, kind));
    screen
}

/// One line for the test runner's own list of failures.
pub fn in_one_line(lab: &Lab, rule: &Rule, outcome: &Outcome) -> String {
    match outcome.verdict {
        Verdict::NotWritten => not_written_line(lab, outcome),
        _ => {
            let first = outcome.finding.what.split_inclusive(['.', '\n']).next().unwrap_or_default();
            format!("{} · {}: {}", lab.name, rule.id, first.trim_end())
        }
    }
}

/// The lab's table of rules with points: what stands after the test runner's last line.
pub fn table(lab: &Lab, report: &Report, reference: bool) -> String {
    let whose = if reference { ", the reference" } else { "" };
    let title = format!("{} {}{whose}", lab.name, lab.title);
    let score = format!("{} of {} points", report.score, report.max_score);
    let mut table = format!("\n{title}{score:>0$}\n", (WIDTH - 2).saturating_sub(title.chars().count()));
    let widest = lab.rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for rule in &report.rules {
        let not_run = rule.cases.iter().filter(|case| case.verdict == Verdict::NotRun).count();
        if not_run == rule.cases.len() {
            continue;
        }
        let failed: Vec<&CaseResult> =
            rule.cases.iter().filter(|case| !case.verdict.is_pass() && case.verdict != Verdict::NotRun).collect();
        let (sign, points) = match failed.first() {
            Some(_) => ("✗", format!("{:>3} /{:>2}", 0, rule.points)),
            // Some have passed, but that is not yet the rule.
            None if not_run > 0 => ("·", format!("  - /{:>2}", rule.points)),
            None => ("✓", format!("{:>3}    ", rule.earned)),
        };
        let mut line = format!("  {sign} {points}  {:<widest$}", rule.id);
        if let Some(case) = failed.first() {
            let _ = write!(line, "  {}: {}", in_a_word(case.verdict), case.name);
            if failed.len() > 1 {
                let _ = write!(line, " and {} more", failed.len() - 1);
            }
        }
        if not_run > 0 {
            let passed = rule.cases.len() - failed.len() - not_run;
            let _ = write!(line, "  {passed} passed, {not_run} not run");
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    for case in report.cases().filter(|case| case.verdict == Verdict::Skipped) {
        let _ = writeln!(table, "  {} was skipped: {}", case.name, case.screen);
    }
    let (run, all) = (report.cases().filter(|case| case.verdict != Verdict::NotRun).count(), report.cases().count());
    if run < all {
        let _ = writeln!(table, "  {run} of {all} cases were run; a rule earns its points when all of its cases pass.");
    }
    if let Some(seed) = report.seed {
        let _ = writeln!(
            table,
            "  The workloads were drawn from the seed {seed}: {SEED}={seed} cargo test -p {}",
            report.lab
        );
    }
    if let Some(void) = &report.void {
        let _ = writeln!(table, "  Nothing counts: {void}");
    }
    table
}

fn in_a_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Skipped => "skipped",
        Verdict::NotWritten => "not written yet",
        Verdict::Wrong => "wrong",
        Verdict::Crashed => "crashed",
        Verdict::Hung => "never ended",
        Verdict::Slow => "too slow",
        Verdict::Exited => "left early",
        Verdict::NotRun => "not run",
    }
}

/// Colours a screen or a table for a terminal.
pub fn coloured(screen: &str) -> String {
    let mut out = String::new();
    for (i, line) in screen.lines().enumerate() {
        let trimmed = line.trim_start();
        let (before, mark) = line.split_once('◄').map_or((line, None), |(before, mark)| (before, Some(mark)));
        let code = match trimmed {
            _ if i == 0 && line.contains(" · ") => "1",
            t if t.starts_with('✓') => "32",
            t if t.starts_with('✗') => "31",
            t if t.starts_with("expected  ") => "32",
            t if t.starts_with("seen  ") => "31",
            t if t.starts_with("hint ") || t.starts_with("more hints ") || t.starts_with("read ") => "36",
            _ => "",
        };
        let _ = match (code, mark) {
            ("", None) => writeln!(out, "{line}"),
            (_, Some(mark)) => writeln!(out, "{before}\x1b[31m◄{mark}\x1b[0m"),
            (code, None) => writeln!(out, "\x1b[{code}m{line}\x1b[0m"),
        };
    }
    out
}

fn not_written_line(lab: &Lab, outcome: &Outcome) -> String {
    let function = outcome.finding.what.strip_prefix("not yet implemented: ").unwrap_or("a function");
    let place = outcome.finding.place.clone().unwrap_or_else(|| format!("labs/{}/{}", lab.name, lab.file.display()));
    format!("not written yet: {function}, {place}")
}

fn not_written(lab: &Lab, rule: &Rule, outcome: &Outcome) -> String {
    let mut screen = format!("{} · {} · {} points\n", lab.name, rule.id, rule.points);
    paragraph(&mut screen, "", &rule.en);
    let _ = writeln!(screen, "\n  {}", not_written_line(lab, outcome));
    if let Some(other) = other_lab(lab, outcome) {
        let mut advice = format!("This lab builds on {other}. Write that one first");
        // A student edition has no references.
        if lab.dir.with_file_name(&other).join("solution").exists() {
            let _ = write!(advice, ", or use its reference: cargo test -p {} --features given", lab.name);
        } else {
            advice.push('.');
        }
        paragraph(&mut screen, "  ", &advice);
    }
    screen.push('\n');
    help(&mut screen, lab, rule, &rule.hints.about("", None));
    screen
}

/// The lab in whose file it happened, if that is an earlier one.
fn other_lab(lab: &Lab, outcome: &Outcome) -> Option<String> {
    let place = outcome.finding.place.as_deref()?;
    let other = place.strip_prefix("labs/")?.split('/').next()?;
    (other != lab.name).then(|| other.to_owned())
}

fn what(screen: &mut String, lab: &Lab, outcome: &Outcome) {
    let finding = &outcome.finding;
    paragraph(screen, "  ", &finding.what);
    let texts = [("expected", &finding.expected), ("seen", &finding.seen)];
    let as_blocks = texts.iter().any(|(_, text)| text.as_ref().is_some_and(|text| text.contains('\n')));
    for (label, text) in texts {
        let Some(text) = text else { continue };
        if as_blocks {
            let _ = writeln!(screen, "\n  {label}");
            for line in text.lines() {
                let _ = writeln!(screen, "    {line}");
            }
        } else {
            paragraph_with_label(screen, &format!("  {label:<8}  "), text);
        }
    }
    for (label, place) in [("at", &finding.place), ("from", &finding.called_from)] {
        let Some(place) = place else { continue };
        let _ = writeln!(screen, "  {label:<8}  {place}");
        if let Some(line) = source_line(lab, place) {
            let _ = writeln!(screen, "            {line}");
        }
    }
}

/// The line of source that a place names.
fn source_line(lab: &Lab, place: &str) -> Option<String> {
    let (file, line) = place.split_once(':')?;
    let course = lab.dir.parent().and_then(Path::parent)?;
    let text = std::fs::read_to_string(course.join(file)).ok()?;
    let line = text.lines().nth(line.parse::<usize>().ok()?.checked_sub(1)?)?;
    let line = line.trim();
    let room = WIDTH - 12;
    Some(if line.chars().count() <= room {
        line.to_owned()
    } else {
        line.chars().take(room - 1).chain(['…']).collect()
    })
}

fn story(screen: &mut String, outcome: &Outcome) {
    let Some(last) = outcome.steps.len().checked_sub(1) else {
        return;
    };
    let title = if outcome.is_shrunk { "the shortest story that breaks it" } else { "the story" };
    let _ = writeln!(screen, "\n  {title}");
    let hidden = outcome.steps.len().saturating_sub(STEPS);
    if hidden > 0 {
        let _ = writeln!(screen, "         {hidden} earlier steps");
    }
    for (i, step) in outcome.steps.iter().enumerate().skip(hidden) {
        let result = match &step.result {
            Some(result) if result.is_empty() => String::new(),
            Some(result) => format!("→ {result}"),
            None if outcome.verdict == Verdict::Hung => "◄ never came back from here".to_owned(),
            None => "◄ it happened here".to_owned(),
        };
        let here = if i == last && step.result.is_some() { "   ◄ here" } else { "" };
        let line = format!("  {:>4}  {:<22} {result}{here}", i + 1, step.action);
        let _ = writeln!(screen, "{}", line.trim_end());
    }
}

fn heap(screen: &mut String, outcome: &Outcome) {
    let Some(image) = &outcome.heap else { return };
    if outcome.finding.shows_the_heap {
        return legend(screen, image);
    }
    let title = match (outcome.finding.heap_is_before, outcome.verdict) {
        (true, _) => format!("the heap before step {}", outcome.steps.len()),
        (false, Verdict::Crashed | Verdict::Hung | Verdict::Slow | Verdict::Exited) => {
            "the heap at that moment".to_owned()
        }
        (false, _) if outcome.steps.is_empty() => "the heap".to_owned(),
        (false, _) => format!("the heap after step {}", outcome.steps.len()),
    };
    let _ = writeln!(screen, "\n  {title}");
    let mut marks = outcome.finding.marks.clone();
    for defect in image.lists.iter().filter_map(heapkit::image::List::broken_end) {
        marks.push(draw::Mark { at: defect.at, note: defect.what });
    }
    let picture = draw::heap(image, &marks);
    for line in without_the_middle(&picture.lines().collect::<Vec<_>>(), |line| line.contains('◄')) {
        let _ = writeln!(screen, "    {line}");
    }
    for list in &image.lists {
        let drawn = draw::list(list);
        let links: Vec<&str> = drawn.split(" → ").collect();
        let label = format!("    {}: ", list.name);
        paragraph_with_label(screen, &label, &without_the_middle(&links, |_| false).join(" → "));
    }
    legend(screen, image);
}

/// The first and the last of many parts, and what stands around those that are marked; in between, how many are left out.
fn without_the_middle(parts: &[&str], is_marked: impl Fn(&str) -> bool) -> Vec<String> {
    /// So many are shown whole.
    const WHOLE: usize = 24;
    /// Of more than that, so many at each end, and so many around each of the first marks.
    const ENDS: usize = 8;
    const AROUND: usize = 2;
    const MARKS: usize = 3;
    let marks: Vec<usize> = (0..parts.len()).filter(|i| is_marked(parts[*i])).take(MARKS).collect();
    let is_shown = |i: usize| {
        parts.len() <= WHOLE
            || i < ENDS
            || i + ENDS >= parts.len()
            || marks.iter().any(|mark| mark.abs_diff(i) <= AROUND)
    };
    let mut shown = Vec::new();
    let mut left_out = 0;
    for (i, part) in parts.iter().enumerate() {
        if !is_shown(i) {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            shown.push(format!("… {left_out} more …"));
            left_out = 0;
        }
        shown.push((*part).to_owned());
    }
    shown
}

/// Says what the rarer letters mean, if they stand in the picture.
fn legend(screen: &mut String, image: &Image) {
    for (flag, letter, name) in [(IS_MMAPPED, 'M', "IS_MMAPPED"), (NON_MAIN_ARENA, 'A', "NON_MAIN_ARENA")] {
        if image.blocks.iter().any(|block| block.flags & flag != 0) {
            let _ = writeln!(screen, "    {letter}: the flag {name} is set");
        }
    }
}

fn help(screen: &mut String, lab: &Lab, rule: &Rule, hints: &[&str]) {
    let hint = hints.first().copied().unwrap_or_default();
    let of = hints.len();
    paragraph_with_label(screen, &format!("  hint 1 of {of}  "), hint);
    let _ = writeln!(screen, "  more hints   cargo lab hint {} {}", lab.name, rule.id);
    let (page, anchor) = rule.page.split_once('#').unwrap_or((&rule.page, ""));
    let mut section = anchor.replace('-', " ");
    if let Some(first) = section.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let _ = writeln!(screen, "  read         {} › {section}   (cargo book, {page})", lab.title);
}

/// Adds `text`, wrapped, with `indent` before each line.
fn paragraph(screen: &mut String, indent: &str, text: &str) {
    paragraph_with_label(screen, indent, text);
}

/// Adds `text`, wrapped, behind a label; the following lines are indented as far.
fn paragraph_with_label(screen: &mut String, label: &str, text: &str) {
    let indent = label.chars().count();
    screen.push_str(label);
    let mut column = indent;
    for (i, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if i > 0 && column + 1 + width > WIDTH {
            let _ = write!(screen, "\n{:indent$}", "");
            column = indent;
        } else if i > 0 {
            screen.push(' ');
            column += 1;
        }
        screen.push_str(word);
        column += width;
    }
    screen.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_picture_the_ends_are_shown_and_what_is_marked() {
        let lines: Vec<String> = (0..100).map(|i| if i == 50 { "50 ◄".to_owned() } else { i.to_string() }).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let shown = without_the_middle(&lines, |line| line.contains('◄'));
        assert_eq!(shown[7..10], ["7", "… 40 more …", "48"]);
        assert_eq!(shown[10..15], ["49", "50 ◄", "51", "52", "… 39 more …"]);
        assert_eq!(shown[15..], lines[92..]);
        assert_eq!(without_the_middle(&lines[..24], |_| false), lines[..24]);
    }
}
