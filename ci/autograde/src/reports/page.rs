//! A learner's page: one file, to be handed out as it is.

use super::{GradeReport, explanation, remark, verdict_in_words};
use crate::html::{HEAD, STYLE, Text, shorten};
use crate::leaderboard::{Names, Standing, pseudonym};
use crate::show::Show;
use proctor::lab::{Hints, Lab};
use proctor::report::{CaseResult, RuleResult};

/// The points, each rule, and for each failing case what was seen, the shortest story, the heap, and hints to unfold.
pub fn to_html(grade: &GradeReport, lab: &Lab, show: &Show) -> String {
    let page = Page { grade, lab, show };
    let (name, title) = (Text(&grade.submission), Text(&lab.title));
    let (number, points, remark) = (Text(&lab.name), page.points(), page.remark());
    let rules: String = grade.shares().into_iter().map(|(rule, share)| page.row(rule, share)).collect();
    let failing: String = grade.report.rules.iter().map(|rule| page.section(rule)).collect();
    let (file, toolchain) = (Text(&grade.file), Text(&grade.toolchain));
    let seed = grade.report.seed.map_or_else(String::new, |seed| format!(" · seed {seed}"));
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
{HEAD}
<title>{number} {title}: {name}</title>
<style>
{STYLE}</style>
</head>
<body class="learner">
<p class="quiet">{number} · {title}</p>
<h1>{name}</h1>
{points}{remark}
<h2>The rules</h2>
<div class="wide"><table class="rules">
{rules}</table></div>
{failing}<p class="quiet">{file} · {toolchain}{seed}</p>
</body>
</html>
"#
    )
}

struct Page<'a> {
    grade: &'a GradeReport,
    lab: &'a Lab,
    show: &'a Show,
}

impl Page<'_> {
    fn points(&self) -> String {
        let (score, full) = (self.grade.score(), self.grade.report.max_score);
        if self.grade.unreadable.is_some() {
            return "<p class=\"points\">no points yet</p>\n".to_owned();
        }
        if self.grade.is_waiting() {
            let found = self.grade.report.score;
            return format!("<p class=\"points\"><b>{found}</b> of {full} points, held for review</p>\n");
        }
        format!(
            "<p class=\"points\"><b>{score}</b> of {full} points <meter max=\"{full}\" value=\"{score}\"></meter></p>\n{}",
            self.standing()
        )
    }

    /// Nobody but this page says who is who on a leaderboard of pseudonyms.
    fn standing(&self) -> String {
        let (Some(names), Some(standing)) = (self.show.leaderboard, Standing::of(self.grade)) else {
            return String::new();
        };
        let (used, looked_at) = (standing.used(), standing.looked_at());
        let counted = format!("{used:.1} % of the memory used, {looked_at:.2} chunks looked at for a request");
        match names {
            Names::Pseudonyms => {
                format!("<p>On the leaderboard, you are <b>{}</b>: {counted}.</p>\n", pseudonym(self.grade))
            }
            Names::Submissions => format!("<p>On the leaderboard: {counted}.</p>\n"),
        }
    }

    fn remark(&self) -> String {
        let remark = remark(self.grade);
        let remark = remark.map(|remark| format!("<pre>{}</pre>\n", Text(shorten(remark.trim_end()))));
        let quoted = self.grade.held.iter().filter(|held| self.grade.is_waiting() && !held.excerpt.is_empty());
        let quoted: String = quoted.map(|held| format!("<pre>{}</pre>\n", Text(&held.excerpt))).collect();
        remark.unwrap_or_default() + &quoted
    }

    fn row(&self, rule: &RuleResult, share: u32) -> String {
        let share = if self.grade.is_waiting() { rule.earned } else { share };
        let (class, mark) = if share == rule.points { ("kept", "✓") } else { ("lost", "✗") };
        let id = Text(&rule.id);
        let name = if has_section(rule) { format!("<a href=\"#{id}\">{id}</a>") } else { id.to_string() };
        let (points, text, read) = (rule.points, Text(&rule.text), self.link(&rule.page));
        format!(
            "<tr><td class=\"{class}\">{mark} {name}</td><td class=\"number\">{share} / {points}</td><td>{text} {read}</td></tr>\n"
        )
    }

    /// Where the book explains it, if the instructor says where the book is.
    fn link(&self, page: &str) -> String {
        match &self.show.book {
            Some(book) => {
                let (book, page) = (Text(book.trim_end_matches('/')), Text(page));
                format!("<a href=\"{book}/{page}\">read</a>")
            }
            None => String::new(),
        }
    }

    fn section(&self, rule: &RuleResult) -> String {
        if !has_section(rule) {
            return String::new();
        }
        let hints = self.lab.rule(&rule.id).map(|rule| &rule.hints);
        let cases = rule.cases.iter().filter(|case| is_shown(case));
        let cases: String = cases.map(|case| self.case(case, hints)).collect();
        let (id, text, read) = (Text(&rule.id), Text(&rule.text), self.link(&rule.page));
        format!("<section id=\"{id}\"><h2>{id}</h2>\n<p>{text} {read}</p>\n{cases}</section>\n")
    }

    fn case(&self, case: &CaseResult, hints: Option<&Hints>) -> String {
        let (name, verdict) = (case.name.replace('_', " "), verdict_in_words(case.verdict));
        let seen = marked(shorten(what_was_seen(explanation(self.grade, case))));
        let hints = hints.map_or_else(Vec::new, |hints| hints.about(&case.name, case.kind.as_deref()));
        let of = hints.len();
        let hints = hints.into_iter().take(self.show.hints).enumerate().map(|(i, hint)| {
            format!("<details><summary>Hint {} of {of}</summary><p>{}</p></details>\n", i + 1, Text(hint))
        });
        format!("<h3>{} <em>{verdict}</em></h3>\n<pre>{seen}</pre>\n{}", Text(&name), hints.collect::<String>())
    }
}

fn is_shown(case: &CaseResult) -> bool {
    !case.verdict.is_pass() && !case.screen.is_empty()
}

fn has_section(rule: &RuleResult) -> bool {
    rule.cases.iter().any(is_shown)
}

/// A screen without its first paragraph, the rule, and without its last, the first hint: the page has both.
fn what_was_seen(screen: &str) -> &str {
    let is_rule = screen.lines().next().is_some_and(|line| line.contains(" points · "));
    let body = screen.split_once("\n\n").filter(|_| is_rule).map_or(screen, |(_, body)| body);
    let help = body.find("\n  hint 1 of ");
    body[..help.unwrap_or(body.len())].trim_end()
}

/// The lines that say what is wrong stand out.
fn marked(seen: &str) -> String {
    let line = |line: &str| {
        let class = match line.trim_start() {
            start if start.starts_with("expected  ") => "expected",
            start if start.starts_with("seen  ") || line.contains('◄') => "seen",
            _ => return format!("{}\n", Text(line)),
        };
        format!("<span class=\"{class}\">{}</span>\n", Text(line))
    };
    seen.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_and_the_hint_of_a_screen_are_the_pages_business() {
        let screen = "lab03 · lifo · 8 points · a\nA freed chunk.\n\n  Another order.\n\n  the heap\n    top\n\n  hint 1 of 2  Which?\n  read x\n";
        assert_eq!(what_was_seen(screen), "  Another order.\n\n  the heap\n    top");
        assert_eq!(what_was_seen("error[E0308]: no\n\nmore\n"), "error[E0308]: no\n\nmore");
        assert_eq!(marked("  seen  <1>"), "<span class=\"seen\">  seen  &lt;1&gt;</span>\n");
    }
}
