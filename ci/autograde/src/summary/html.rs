//! The summary for people: one page without any other file, whatever learners wrote into it.

use super::{Class, Rule, Status, Student};
use crate::entry::is_obeyed;
use crate::reports::{GradeReport, explanation, remark, verdict_in_words};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

/// The most of a screen that the page shows; all of it is in the report.
const MAX_SCREEN: usize = 16 << 10;

/// The whole page.
pub fn page(class: &Class) -> String {
    let (lab, style, script) = (Text(class.lab), include_str!("style.css"), include_str!("sort.js"));
    let (head, rules) = (overview(class), rules(class));
    let columns: String = class.rules.iter().map(|rule| column(rule)).collect();
    let rows: String = class.students.iter().map(|student| row(class, student)).collect();
    let sections: String = class.students.iter().map(section).collect();
    // Nothing is ever loaded from anywhere; and what learners wrote is text, never markup.
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{lab}: summary</title>
<style>
{style}</style>
</head>
<body>
<h1>{lab}</h1>
{head}
<h2>Rules the class fails most</h2>
{rules}
<h2>Submissions</h2>
<p class="quiet">A click on a heading sorts. A name leads to the failing cases.</p>
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
    for status in [Status::Graded, Status::Held, Status::Unreadable, Status::NotGraded] {
        if count(status) > 0 {
            parts.push(format!("{} {}", count(status), status.word()));
        }
    }
    if let Some(median) = scores.get(scores.len() / 2) {
        let graded = class.students.iter().filter(|student| student.status == Status::Graded);
        let full = graded.filter(|student| student.grade.is_some_and(is_full)).count();
        parts.push(format!("{full} with full marks"));
        parts.push(format!("median {median} points"));
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
    format!("<p>{}</p>\n{skipped}{missing}", parts.join(" · "))
}

fn is_full(grade: &GradeReport) -> bool {
    grade.report.score == grade.report.max_score
}

fn rules(class: &Class) -> String {
    let graded = class.scores().len();
    let mut rules: Vec<&Rule> = class.rules.iter().collect();
    // Stable: among equals the order of the lab.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.failing));
    let row = |rule: &Rule| {
        format!(
            "<tr><td><b>{}</b></td><td><meter max=\"{graded}\" value=\"{}\"></meter></td>\
             <td class=\"number\">{} of {graded}</td><td>{}</td></tr>\n",
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
    let (name, note, status) = (Text(student.name), Text(&student.note), student.status.word());
    let name =
        if has_section(student) { format!("<a href=\"#{}\">{name}</a>", Text(student.key)) } else { name.to_string() };
    let points = match student.grade {
        Some(grade) => {
            let rules = grade.report.rules.iter().map(|rule| {
                let class = if rule.earned < rule.points { "number lost" } else { "number" };
                format!("<td class=\"{class}\">{}</td>", rule.earned)
            });
            let score = grade.report.score;
            let score = if grade.is_held() { format!("({score})") } else { score.to_string() };
            format!("<td class=\"number total\">{score}</td>{}", rules.collect::<String>())
        }
        None => "<td class=\"number total\">–</td>".to_owned(),
    };
    let mark = if student.status == Status::Graded { "" } else { " class=\"trouble\"" };
    // Without points the note has their place.
    let span = if student.grade.is_none() { class.rules.len() + 1 } else { 1 };
    format!(
        "<tr{mark}><td class=\"name\">{name}</td><td>{status}</td>{points}<td class=\"note\" colspan=\"{span}\">{note}</td></tr>\n"
    )
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
    let (score, full) = (grade.report.score, grade.report.max_score);
    format!(
        "<details id=\"{}\"><summary>{} <span class=\"quiet\">{score} of {full}</span></summary>\n{remark}{cases}</details>\n",
        Text(student.key),
        Text(student.name)
    )
}

fn shorten(screen: &str) -> &str {
    &screen[..screen.floor_char_boundary(MAX_SCREEN)]
}

/// Text as HTML shows it, in content and in attributes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => write!(f, "{c}")?,
                c if is_obeyed(c) => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
