//! The summary for people: one page without any other file, whatever learners wrote into it.

use super::{Class, Rule, Status, Student};
use crate::html::{HEAD, STYLE, Text, shorten};
use crate::reports::{GradeReport, explanation, remark, verdict_in_words};
use std::collections::BTreeSet;

/// The whole page.
pub fn page(class: &Class) -> String {
    let (lab, script) = (Text(class.lab), include_str!("sort.js"));
    let (head, points, rules, stuck) = (overview(class), distribution(class), rules(class), stuck(class));
    let columns: String = class.rules.iter().map(|rule| column(rule)).collect();
    let rows: String = class.students.iter().map(|student| row(class, student)).collect();
    let sections: String = class.students.iter().map(section).collect();
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
{HEAD}
<title>{lab}: summary</title>
<style>
{STYLE}</style>
</head>
<body>
<h1>{lab}</h1>
{head}
<h2>Points</h2>
{points}
<h2>Rules the class fails most</h2>
{stuck}{rules}
<h2>Submissions</h2>
<p class="quiet">A click on a heading sorts. A name leads to the failing cases, a line to what is held there. A rule's points are what its cases found.</p>
<div class="wide"><table id="submissions">
<thead><tr><th><button>Submission</button></th><th><button>Status</button></th><th class="number"><button>Points</button></th>{columns}<th><button>Note</button></th></tr></thead>
<tbody>
{rows}</tbody>
</table></div>
<h2>Failing cases</h2>
{sections}<script>
{script}</script>
</body>
</html>
"#
    )
}

fn overview(class: &Class) -> String {
    let count = |status| class.students.iter().filter(|student| student.status == status).count();
    let mut scores = class.scores();
    scores.sort_unstable();
    let mut parts = vec![format!("{} submissions", class.students.len())];
    for status in [Status::Graded, Status::Decided, Status::Held, Status::Unreadable, Status::NotGraded] {
        if count(status) > 0 {
            parts.push(format!("{} {}", count(status), status.word()));
        }
    }
    if let Some(median) = scores.get(scores.len() / 2) {
        let full = class.students.iter().filter(|student| student.grade.is_some_and(is_full)).count();
        parts.push(format!("{full} with full marks"));
        parts.push(format!("median {median} points"));
        let broken = class.students.iter().filter_map(|student| student.grade?.compiler_message.as_ref()).count();
        if broken > 0 {
            parts.push(format!("{broken} without a file that compiles"));
        }
    }
    let grades = class.students.iter().filter_map(|student| student.grade);
    let missing: BTreeSet<&String> = grades.flat_map(|grade| &grade.sandbox.missing).collect();
    let missing: String = missing
        .into_iter()
        .map(|missing| format!("<p class=\"trouble\">The sandbox was not complete: {}</p>\n", Text(missing)))
        .collect();
    let skipped = match class.skipped {
        [] => String::new(),
        names => format!("<p class=\"quiet\">Skipped, for they are no submissions: {}</p>\n", Text(&names.join(", "))),
    };
    let stale: String = class.stale.iter().map(|line| format!("<p class=\"trouble\">{}</p>\n", Text(line))).collect();
    let board = if class.has_leaderboard { "<p><a href=\"leaderboard.html\">The leaderboard</a></p>\n" } else { "" };
    format!("<p>{}</p>\n{board}{stale}{skipped}{missing}", parts.join(" · "))
}

fn is_full(grade: &GradeReport) -> bool {
    grade.score() == grade.report.max_score
}

/// How many have how many points, in tenths of full marks.
fn distribution(class: &Class) -> String {
    const PARTS: u32 = 10;
    let full = class.students.iter().find_map(|student| student.grade).map_or(1, |grade| grade.report.max_score.max(1));
    let scores = class.scores();
    let count = |part: u32| scores.iter().filter(|score| (*score * PARTS / full).min(PARTS) == part).count();
    let most = (0..=PARTS).map(count).max().unwrap_or(0).max(1);
    let bar = |part: u32| {
        let (from, to) = (part * full / PARTS, ((part + 1) * full / PARTS).saturating_sub(1).min(full));
        let range = if from >= full { full.to_string() } else { format!("{from}–{to}") };
        let n = count(part);
        let height = n * 100 / most;
        let label = if n == 0 { String::new() } else { n.to_string() };
        format!("<li><b>{label}</b><i style=\"height:{height}px\"></i><small>{range}</small></li>\n")
    };
    format!("<ol class=\"distribution\">\n{}</ol>", (0..=PARTS).map(bar).collect::<String>())
}

/// The rule that most of those without full marks fail first.
fn stuck(class: &Class) -> String {
    let short: usize = class.rules.iter().map(|rule| rule.stuck).sum();
    // The first of equals: what comes before is what they need first.
    match class.rules.iter().rev().max_by_key(|rule| rule.stuck).filter(|rule| rule.stuck > 0) {
        Some(rule) => format!(
            "<p>The class is stuck on <b>{}</b>: for {} of the {short} who lack points it is the first rule that they don't keep.</p>\n",
            Text(rule.id),
            rule.stuck
        ),
        None => String::new(),
    }
}

fn rules(class: &Class) -> String {
    let graded = class.scores().len();
    let mut rules: Vec<&Rule> = class.rules.iter().collect();
    // Stable: among equals the order of the lab.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.failing));
    let row = |rule: &Rule| {
        let stuck = if rule.stuck == 0 { String::new() } else { format!("{} stuck", rule.stuck) };
        format!(
            "<tr><td><b>{}</b></td><td><meter max=\"{graded}\" value=\"{}\"></meter></td>\
             <td class=\"number\">{} of {graded}</td><td class=\"number\">{stuck}</td><td>{}</td></tr>\n",
            Text(rule.id),
            rule.failing,
            rule.failing,
            Text(rule.text)
        )
    };
    format!(
        "<div class=\"wide\"><table class=\"rules\">\n{}</table></div>",
        rules.into_iter().map(row).collect::<String>()
    )
}

fn column(rule: &Rule) -> String {
    let (id, text) = (Text(rule.id), Text(rule.text));
    format!("<th class=\"number\" title=\"{text}\"><button>{id}</button><small>{}</small></th>", rule.points)
}

fn row(class: &Class, student: &Student) -> String {
    let (name, note, status) = (Text(student.name), note(student), status(student));
    let name =
        if has_section(student) { format!("<a href=\"#{}\">{name}</a>", Text(student.key)) } else { name.to_string() };
    let points = match student.grade {
        Some(grade) => {
            let rules = grade.report.rules.iter().map(|rule| {
                let class = if rule.earned < rule.points { "number lost" } else { "number" };
                format!("<td class=\"{class}\">{}</td>", rule.earned)
            });
            let score =
                if grade.is_waiting() { format!("({})", grade.report.score) } else { grade.score().to_string() };
            format!("<td class=\"number total\">{score}</td>{}", rules.collect::<String>())
        }
        None => "<td class=\"number total\">–</td>".to_owned(),
    };
    let mark = if student.status.counts() { "" } else { " class=\"trouble\"" };
    // Without points the note has their place.
    let span = if student.grade.is_none() { class.rules.len() + 1 } else { 1 };
    format!(
        "<tr{mark}><td class=\"name\">{name}</td><td>{status}</td>{points}<td class=\"note\" colspan=\"{span}\">{note}</td></tr>\n"
    )
}

/// The status; what is held leads to the first line that has to be read.
fn status(student: &Student) -> String {
    let word = student.status.word();
    match student.grade.filter(|grade| grade.is_waiting()).and_then(|grade| grade.held.first()) {
        Some(held) => format!("<a href=\"#{}\">{word}</a>", place(student, held.line)),
        None => word.to_owned(),
    }
}

/// The note; where lines are held, each leads to what is there.
fn note(student: &Student) -> String {
    let text = Text(student.note.as_str()).to_string();
    let held = student.grade.filter(|grade| grade.is_waiting()).map_or(&[][..], |grade| &grade.held);
    held.iter().fold(text, |text, held| {
        let line = format!("line {}:", held.line);
        text.replacen(&line, &format!("<a href=\"#{}\">line {}</a>:", place(student, held.line), held.line), 1)
    })
}

/// The name of the place where a held line is quoted.
fn place(student: &Student, line: usize) -> String {
    format!("{}-line-{line}", Text(student.key))
}

/// What is held, quoted, and the decision to copy.
fn held(student: &Student, grade: &GradeReport) -> String {
    if !grade.is_waiting() {
        return String::new();
    }
    let mut quoted: String = String::new();
    let mut before = 0;
    for held in grade.held.iter().filter(|held| !held.excerpt.is_empty()) {
        let id = if held.line == before { String::new() } else { format!(" id=\"{}\"", place(student, held.line)) };
        before = held.line;
        quoted.push_str(&format!("<h4{id}>{}</h4>\n<pre>{}</pre>\n", Text(&held.reason), Text(&held.excerpt)));
    }
    let decision = format!(
        "[[decision]]\nsubmission = \"{}\"\nsha256 = \"{}\"\npoints = \"count it\"  # or a number\nwho = \"\"\nwhy = \"\"\n",
        student.key, grade.sha256
    );
    format!("{quoted}<p>For <code>decisions.toml</code>, once you have read it:</p>\n<pre>{}</pre>\n", Text(&decision))
}

fn has_section(student: &Student) -> bool {
    student.grade.is_some_and(|grade| grade.failing().next().is_some() || remark(grade).is_some())
}

/// A learner's failing cases, folded up.
fn section(student: &Student) -> String {
    let Some(grade) = student.grade.filter(|_| has_section(student)) else { return String::new() };
    let remark = remark(grade).map(|remark| format!("<pre>{}</pre>\n", Text(shorten(&remark)))).unwrap_or_default();
    let mut before = "";
    let cases: String = grade
        .failing()
        .map(|(rule, case)| {
            // Cases that were not run share one reason, which stands above already.
            let screen = explanation(grade, case);
            let is_new = screen != before && !case.screen.is_empty();
            before = screen;
            let screen = if is_new { format!("<pre>{}</pre>", Text(shorten(screen))) } else { String::new() };
            let (rule, name, verdict) = (Text(&rule.id), Text(&case.name), verdict_in_words(case.verdict));
            format!("<h4>{rule} · {name} <em>{verdict}</em></h4>\n{screen}\n")
        })
        .collect();
    let score = if grade.is_waiting() { grade.report.score } else { grade.score() };
    let (full, held) = (grade.report.max_score, held(student, grade));
    let (key, name) = (Text(student.key), Text(student.name));
    format!(
        "<details id=\"{key}\"><summary>{name} <span class=\"quiet\">{score} of {full}</span></summary>\n\
         <p><a href=\"results/{key}/page.html\">The page for this learner</a></p>\n{remark}{held}{cases}</details>\n"
    )
}
