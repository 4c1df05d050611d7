//! What a learner reads when a case fails: one screen.

use crate::explain;
use crate::lab::{Lab, Rule};
use crate::playground;
use crate::report::{CaseResult, Report, RuleResult, Verdict};
use crate::seed;
use crate::sitting::Outcome;
use crate::terminal::{fold, shorten, wrap};
use candidate::wire::SEED;
use heapkit::draw;
use heapkit::format::{IS_MMAPPED, NON_MAIN_ARENA};
use heapkit::image::Image;
use std::fmt::Write;
use std::path::Path;

/// How far a picture of the heap is indented.
const INDENT: usize = 4;
/// As many steps of a story as are shown; earlier ones are counted.
const STEPS: usize = 14;

/// Explains how a case failed, in lines of at most `width` columns.
pub fn failure(lab: &Lab, rule: &Rule, name: &str, outcome: &Outcome, width: usize) -> String {
    let mut screen = Screen { text: String::new(), width };
    if outcome.verdict == Verdict::NotWritten {
        screen.not_written(lab, rule, outcome);
        return screen.text;
    }
    screen.paragraph("", &format!("{} · {} · {} points · {name}", lab.name, rule.id, rule.points));
    screen.paragraph("", &rule.en);
    screen.blank();
    screen.what(lab, outcome);
    screen.story(outcome);
    screen.heap(outcome);
    screen.blank();
    if let Some(seed) = seed::of_this_run() {
        screen.play_again(lab, name, seed);
    }
    screen.help(lab, rule, &rule.hints.about(name, outcome.kind()));
    screen.text
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

/// The lab's table of rules with points: what follows the test runner's last line.
pub fn table(lab: &Lab, report: &Report, reference: bool, width: usize) -> String {
    let mut table = Screen { text: String::from("\n"), width };
    let whose = if reference { ", the reference" } else { "" };
    let title = format!("{} {}{whose}  ", lab.name, lab.title);
    let score = format!("{} of {} points", report.score, report.max_score);
    table.line(0, &format!("{title}{score:>0$}", (width - 2).saturating_sub(title.chars().count())));
    let widest = lab.rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for rule in &report.rules {
        table.rule(rule, widest);
    }
    for case in report.cases().filter(|case| case.verdict == Verdict::Skipped) {
        table.paragraph("  ", &format!("{} was skipped: {}", case.name, case.screen));
    }
    let (run, all) = (report.cases().filter(|case| case.verdict != Verdict::NotRun).count(), report.cases().count());
    if run < all {
        let what = format!("{run} of {all} cases were run; a rule earns its points when all of its cases pass.");
        table.paragraph("  ", &what);
    }
    if !reference && report.score == report.max_score && explain::is_there(lab) {
        table.paragraph("  ", &format!("How the reference does it, and why: cargo lab explain {}", lab.name));
    }
    if let Some(seed) = report.seed {
        let (drawn, again) = (format!("The workloads were drawn from the seed {seed}:"), again(&report.lab, seed));
        if "  ".len() + drawn.len() + 1 + again.len() <= width {
            table.paragraph("  ", &format!("{drawn} {again}"));
        } else {
            table.paragraph("  ", &drawn);
            table.paragraph("  ", &again);
        }
    }
    if let Some(void) = &report.void {
        table.paragraph("  ", &format!("Nothing counts: {void}"));
    }
    for case in report.cases().filter(|case| case.verdict == Verdict::Passed && !case.screen.is_empty()) {
        table.line(4, &format!("  {}", case.screen));
    }
    table.text
}

/// The command that plays the same inputs once more.
fn again(lab: &str, seed: u64) -> String {
    format!("{SEED}={seed} cargo test -p {lab}")
}

/// Text in the making.
struct Screen {
    text: String,
    /// No line is longer.
    width: usize,
}

impl Screen {
    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Prose after a label; the following lines are indented as far.
    fn paragraph(&mut self, label: &str, text: &str) {
        self.text.push_str(&wrap(label, text, self.width));
    }

    /// A line with columns. Where it is too long, it goes on in the next one, indented so far.
    fn line(&mut self, indent: usize, line: &str) {
        self.text.push_str(&fold(line, indent, self.width));
    }

    /// A rule's line in the table.
    fn rule(&mut self, rule: &RuleResult, widest: usize) {
        let not_run = rule.cases.iter().filter(|case| case.verdict == Verdict::NotRun).count();
        if not_run == rule.cases.len() {
            return;
        }
        let failed: Vec<&CaseResult> =
            rule.cases.iter().filter(|case| !case.verdict.is_pass() && case.verdict != Verdict::NotRun).collect();
        let (sign, points) = match failed.first() {
            Some(_) => ("✗", format!("{:>3} /{:>2}", 0, rule.points)),
            // Some have passed, but that is not yet the rule.
            None if not_run > 0 => ("·", format!("  - /{:>2}", rule.points)),
            None => ("✓", format!("{:>3}    ", rule.earned)),
        };
        let line = format!("  {sign} {points}  {:<widest$}", rule.id);
        let more = match failed.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let failure = failed.first().map(|case| (format!("  {}: ", case.verdict.in_a_word()), case.name.as_str()));
        let (what, name) = failure.unwrap_or_default();
        let passed = rule.cases.len() - failed.len() - not_run;
        let runs = if not_run > 0 { format!("  {passed} passed, {not_run} not run") } else { String::new() };
        let whole = format!("{line}{what}{name}{more}{runs}");
        if whole.trim_end().chars().count() <= self.width {
            return self.line(0, &whole);
        }
        // What has no room beside the rule comes below it.
        const BELOW: &str = "           ";
        self.line(0, &format!("{line}{runs}"));
        let room = self.width - BELOW.len() - what.len() - more.len();
        self.line(0, &format!("{BELOW}{what}{}{more}", shorten(name, room)));
    }

    fn not_written(&mut self, lab: &Lab, rule: &Rule, outcome: &Outcome) {
        self.paragraph("", &format!("{} · {} · {} points", lab.name, rule.id, rule.points));
        self.paragraph("", &rule.en);
        self.blank();
        self.paragraph("  ", &not_written_line(lab, outcome));
        if let Some(other) = other_lab(lab, outcome) {
            let mut advice = format!("This lab builds on {other}. Write that one first");
            // A student edition has no references.
            if lab.dir.with_file_name(&other).join("solution").exists() {
                let _ = write!(advice, ", or use its reference: cargo test -p {} --features given", lab.name);
            } else {
                advice.push('.');
            }
            self.paragraph("  ", &advice);
        }
        self.blank();
        self.help(lab, rule, &rule.hints.about("", None));
    }

    fn what(&mut self, lab: &Lab, outcome: &Outcome) {
        let finding = &outcome.finding;
        self.paragraph("  ", &finding.what);
        let texts = [("expected", &finding.expected), ("seen", &finding.seen)];
        let as_blocks = texts.iter().any(|(_, text)| text.as_ref().is_some_and(|text| text.contains('\n')));
        for (label, text) in texts {
            let Some(text) = text else { continue };
            if as_blocks {
                let _ = writeln!(self.text, "\n  {label}");
                for line in text.lines() {
                    self.line(8, &format!("    {line}"));
                }
            } else {
                self.paragraph(&format!("  {label:<8}  "), text);
            }
        }
        for (label, place) in [("at", &finding.place), ("from", &finding.called_from)] {
            let Some(place) = place else { continue };
            self.line(12, &format!("  {label:<8}  {place}"));
            if let Some(line) = source_line(lab, place) {
                let _ = writeln!(self.text, "            {}", shorten(&line, self.width - 12));
            }
        }
    }

    fn story(&mut self, outcome: &Outcome) {
        let Some(last) = outcome.steps.len().checked_sub(1) else {
            return;
        };
        let title = if outcome.is_shrunk { "the shortest story that breaks it" } else { "the story" };
        let _ = writeln!(self.text, "\n  {title}");
        let hidden = outcome.steps.len().saturating_sub(STEPS);
        if hidden > 0 {
            let _ = writeln!(self.text, "         {hidden} earlier steps");
        }
        for (i, step) in outcome.steps.iter().enumerate().skip(hidden) {
            let result = match &step.result {
                Some(result) if result.is_empty() => String::new(),
                Some(result) => format!("→ {result}"),
                None if outcome.verdict == Verdict::Hung => "◄ never came back from here".to_owned(),
                None => "◄ it happened here".to_owned(),
            };
            let here = if i == last && step.result.is_some() { "   ◄ here" } else { "" };
            self.line(8, &format!("  {:>4}  {:<22} {result}{here}", i + 1, step.action));
        }
    }

    fn heap(&mut self, outcome: &Outcome) {
        let Some(image) = &outcome.heap else { return };
        if outcome.finding.shows_the_heap {
            return self.legend(image);
        }
        let title = match (outcome.finding.heap_is_before, outcome.verdict) {
            (true, _) => format!("the heap before step {}", outcome.steps.len()),
            (false, Verdict::Crashed | Verdict::Hung | Verdict::Slow | Verdict::Exited) => {
                "the heap at that moment".to_owned()
            }
            (false, _) if outcome.steps.is_empty() => "the heap".to_owned(),
            (false, _) => format!("the heap after step {}", outcome.steps.len()),
        };
        let _ = writeln!(self.text, "\n  {title}");
        let mut marks = outcome.finding.marks.clone();
        for defect in image.lists.iter().filter_map(heapkit::image::List::broken_end) {
            marks.push(draw::Mark { at: defect.at, note: defect.what });
        }
        let picture = draw::heap_within(self.width - INDENT, image, &marks);
        for line in without_the_middle(&picture.lines().collect::<Vec<_>>(), |line| line.contains('◄')) {
            self.line(8, &format!("    {line}"));
        }
        for list in &image.lists {
            let drawn = draw::list(list);
            let links: Vec<&str> = drawn.split(" → ").collect();
            self.paragraph(&format!("    {}: ", list.name), &without_the_middle(&links, |_| false).join(" → "));
        }
        self.legend(image);
    }

    /// Says what the rarer letters mean, if they are in the picture.
    fn legend(&mut self, image: &Image) {
        for (flag, letter, name) in [(IS_MMAPPED, 'M', "IS_MMAPPED"), (NON_MAIN_ARENA, 'A', "NON_MAIN_ARENA")] {
            if image.blocks.iter().any(|block| block.flags & flag != 0) {
                let _ = writeln!(self.text, "    {letter}: the flag {name} is set");
            }
        }
    }

    /// How to play the same inputs once more. Where it takes two lines, they can still be copied as one command.
    fn play_again(&mut self, lab: &Lab, name: &str, seed: u64) {
        let (label, command) = ("  play again   ", again(&lab.name, seed));
        let fits = label.len() + command.len() + 1 + name.len() <= self.width;
        let between = if fits { " ".to_owned() } else { format!(" \\\n{:1$}", "", label.len()) };
        let _ = writeln!(self.text, "{label}{command}{between}{name}");
    }

    fn help(&mut self, lab: &Lab, rule: &Rule, hints: &[&str]) {
        let hint = hints.first().copied().unwrap_or_default();
        let of = hints.len();
        self.paragraph(&format!("  hint 1 of {of}  "), hint);
        let _ = writeln!(self.text, "  more hints   cargo lab hint {} {}", lab.name, rule.id);
        let (page, anchor) = rule.page.split_once('#').unwrap_or((&rule.page, ""));
        let mut section = anchor.replace('-', " ");
        if let Some(first) = section.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.line(15, &format!("  read         {} › {section}   (cargo book, {page})", lab.title));
    }
}

/// Where the story of a case that failed is told step by step, unless it can't be, or is too long to be looked at. The address keeps
/// its line, however long it is: a terminal opens no half of one.
pub fn link(case: &CaseResult, width: usize) -> String {
    const LONGEST: usize = 400;
    let Some(link) = case.playground.as_ref().filter(|link| link.len() <= LONGEST) else { return String::new() };
    let words = wrap("  play it      ", "step by step, as the reference does it, while cargo book runs:", width);
    format!("{words}  http://127.0.0.1:{}/{link}\n", playground::PORT)
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
            t if t.starts_with("hint ")
                || t.starts_with("more hints ")
                || t.starts_with("read ")
                || t.starts_with("play it ")
                || t.starts_with("http:") =>
            {
                "36"
            }
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

/// The lab in whose file it happened, if that is an earlier one.
fn other_lab(lab: &Lab, outcome: &Outcome) -> Option<String> {
    let place = outcome.finding.place.as_deref()?;
    let other = place.strip_prefix("labs/")?.split('/').next()?;
    (other != lab.name).then(|| other.to_owned())
}

/// The line of source that a place names.
fn source_line(lab: &Lab, place: &str) -> Option<String> {
    let (file, line) = place.split_once(':')?;
    let course = lab.dir.parent().and_then(Path::parent)?;
    let text = std::fs::read_to_string(course.join(file)).ok()?;
    let line = text.lines().nth(line.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(line.trim().to_owned())
}

/// The first and the last of many parts, and what is around the marked ones; in between, how many are left out.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;
    use heapkit::format::PREV_INUSE;
    use heapkit::image::{ListHead, Raw};
    use heapkit::journal::Step;
    use heapkit::memory::FRESH;
    use heapkit::referee::Kind;
    use heapkit::snapshot::Snapshot;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn labs() -> Vec<Lab> {
        Lab::load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
    }

    fn no_line_is_longer(text: &str, width: usize) {
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width} columns are too few for: {line}\n\n{text}");
        }
    }

    /// Two free chunks, of which the second starts so far from the first; one flag and one size are wrong.
    fn damaged_heap(far: usize) -> Image {
        const BASE: usize = 1 << 45;
        let header = |at: usize, words: [usize; 4]| (at, words.iter().flat_map(|word| word.to_ne_bytes()).collect());
        let runs = vec![
            header(0, [0, far | PREV_INUSE, BASE + far, 0]),
            header(far, [7, 0x40, 0, BASE]),
            header(far + 0x40, [0x40, 0x30, 0, 0]),
            (far + 0x70, vec![FRESH; 16]),
        ];
        let bytes = Snapshot::sparse(BASE, 0..far + 0x80, runs);
        Image::decode(&Raw::new(&bytes), &[ListHead::free_list(BASE)])
    }

    fn outcome(verdict: Verdict, far: usize) -> Outcome {
        let picture = draw::heap(&damaged_heap(far), &[]);
        let steps = [
            ("a = malloc(64)", Some("+0x0010")),
            ("a stray write: the bk of the last chunk leads elsewhere, and the one before it is taken", Some("")),
            (
                "iter()",
                Some("[+0x0000, +0x0050, +0x00a0, +0x00f0, +0x0140, +0x0190, +0x01e0, +0x0230, +0x0280, +0x02d0]"),
            ),
            ("free(a)", (verdict == Verdict::Wrong).then_some("")),
        ];
        let step =
            |(action, result): (&str, Option<&str>)| Step { action: action.into(), result: result.map(Into::into) };
        let finding = Finding {
            kind: Some(Kind::Overlap),
            place: Some("labs/proctor/src/screen.rs:1".into()),
            called_from: Some("labs/proctor/src/screen.rs:30".into()),
            ..Finding::ended(
                verdict,
                "The free list has another order than the rule says, and this sentence is a long one, too.",
            )
        };
        let finding =
            if far > 0x1000 { finding.expected("Ok", "Err") } else { finding.expected(picture.clone(), picture) };
        let finding = finding.mark(far + 24, "this link was overwritten, and code that follows it leaves the heap");
        let heap = Some(damaged_heap(far));
        let steps = steps.into_iter().map(step).collect();
        Outcome { verdict, finding, steps, heap, is_shrunk: true, playground: None, cost: None, time: Duration::ZERO }
    }

    #[test]
    fn no_screen_is_wider_than_the_terminal() {
        for lab in labs() {
            for rule in &lab.rules {
                for (name, width) in rule.cases.iter().flat_map(|name| [60, 80, 100].map(|width| (name, width))) {
                    for verdict in [Verdict::Wrong, Verdict::Crashed, Verdict::Hung, Verdict::NotWritten] {
                        for far in [0x50, 0x1_0000, 1 << 32] {
                            no_line_is_longer(&failure(&lab, rule, name, &outcome(verdict, far), width), width);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_link_has_a_line_of_its_own_unless_it_is_too_long_to_be_followed() {
        let case = |playground: Option<String>| CaseResult {
            name: "freed_last_is_reused_first".into(),
            verdict: Verdict::Wrong,
            kind: None,
            seconds: 0.0,
            screen: String::new(),
            playground,
        };
        let story = || Some(playground::link("page first", ["a = malloc(64)", "free(a)"]));
        for width in [60, 80, 100] {
            let told = link(&case(story()), width);
            let (words, address) = told.trim_end().rsplit_once('\n').expect("two lines or more");
            no_line_is_longer(words, width);
            let expected = "http://127.0.0.1:3000/playground.html#heap=page&fit=first&story=a=malloc(64);free(a)";
            assert_eq!(address.trim(), expected);
        }
        assert_eq!(link(&case(Some(playground::link("page first", ["a = malloc(64)"; 40]))), 80), "");
        assert_eq!(link(&case(None), 80), "");
    }

    #[test]
    fn no_table_is_wider_than_the_terminal() {
        let verdicts = [Verdict::Passed, Verdict::NotWritten, Verdict::Hung, Verdict::NotRun, Verdict::Skipped];
        for lab in labs() {
            // Each rule fails, in part or whole; the next time, in another way.
            for offset in 0..verdicts.len() {
                let names = lab.rules.iter().flat_map(|rule| &rule.cases);
                let results = names.enumerate().map(|(i, name)| {
                    let (verdict, screen) = (verdicts[(i / 2 + offset) % verdicts.len()], "measured: ".repeat(12));
                    (
                        name.clone(),
                        CaseResult { name: name.clone(), verdict, kind: None, seconds: 0.0, screen, playground: None },
                    )
                });
                let results: BTreeMap<_, _> = results.filter(|(_, result)| result.verdict != Verdict::NotRun).collect();
                let report = Report::new(&lab, &results, Some("INSTA_UPDATE=always makes a comparison pass.".into()));
                let report = Report { seed: Some(u64::MAX), ..report };
                for width in [60, 80, 100] {
                    no_line_is_longer(&table(&lab, &report, true, width), width);
                }
            }
        }
    }

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
