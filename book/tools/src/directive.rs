//! Directives in a page's text: `{{name argument}}`, anywhere but in code. One may have a body: the text up to `{{/name}}`.

use mdbook_markdown::pulldown_cmark::{Event, Tag};
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use std::ops::Range;

/// One `{{name argument}}`.
#[derive(Debug)]
pub struct Directive<'a> {
    /// The first word.
    pub name: &'a str,
    /// The rest, without the space around it. It may hold directives of its own.
    pub argument: &'a str,
    /// The text up to `{{/name}}`, if there is one. It may hold directives of its own.
    pub body: Option<&'a str>,
    /// What stands before it on its first line, if that is only space and nothing follows on its last.
    indent: Option<&'a str>,
}

impl Directive<'_> {
    /// Lays out `markdown`, which is a block of its own, in the place of this directive.
    ///
    /// # Errors
    /// The directive shares its line with other text.
    pub fn block(&self, markdown: &str) -> Result<String, String> {
        let indent = self.indent.ok_or("put it on a line of its own")?;
        // The blank lines end whatever block stands before, and keep markdown from taking the next line for HTML.
        // The indent keeps the block in its list item.
        Ok(format!("\n{indent}{}\n", markdown.trim_end().replace('\n', &format!("\n{indent}"))))
    }
}

/// What is wrong with a directive, and on which line of the text.
#[derive(Debug, PartialEq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what to do about it.
    pub what: String,
}

/// `text` with each directive replaced by the answer to it.
///
/// `{{#…}}` is mdBook's own and stays.
///
/// # Errors
/// The first directive that isn't closed, or that `answer` refuses.
pub fn expand(text: &str, answer: impl Fn(&Directive) -> Result<String, String>) -> Result<String, Mistake> {
    let code = code_ranges(text);
    let mut expanded = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(start) = find_opening(text, done, &code) {
        let line = 1 + text[..start].matches('\n').count();
        let mut end = find_closing(text, start).ok_or_else(|| Mistake {
            line,
            what: "`{{` without `}}` in the same paragraph: close it, or put it in `code` to show it".to_owned(),
        })?;
        let mut directive = parse(text, start..end);
        if let Some(body) = find_body(text, directive.name, end, &code) {
            directive.body = Some(&text[body.clone()]);
            end = body.end + directive.name.len() + "{{/}}".len();
        }
        let answer =
            answer(&directive).map_err(|what| Mistake { line, what: format!("{{{{{}}}}}: {what}", directive.name) })?;
        expanded.push_str(&text[done..start]);
        expanded.push_str(&answer);
        done = end;
    }
    expanded.push_str(&text[done..]);
    Ok(expanded)
}

fn parse(text: &str, range: Range<usize>) -> Directive<'_> {
    let inner = text[range.start + 2..range.end - 2].trim();
    let (name, argument) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let before = &text[..range.start];
    let before = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    let after = text[range.end..].split('\n').next().unwrap_or("");
    let alone = before.trim().is_empty() && after.trim().is_empty();
    Directive { name, argument: argument.trim(), body: None, indent: alone.then_some(before) }
}

/// The bytes of `text` that markdown shows as code.
fn code_ranges(text: &str) -> Vec<Range<usize>> {
    new_cmark_parser(text, &MarkdownOptions::default())
        .into_offset_iter()
        .filter(|(event, _)| matches!(event, Event::Code(_) | Event::Start(Tag::CodeBlock(_))))
        .map(|(_, range)| range)
        .collect()
}

fn find_opening(text: &str, from: usize, code: &[Range<usize>]) -> Option<usize> {
    text[from..].match_indices("{{").map(|(at, _)| from + at).find(|&at| {
        let mdbooks_own = text[at + 2..].starts_with('#');
        !mdbooks_own && !code.iter().any(|range| range.contains(&at))
    })
}

/// What lies between `from` and `{{/name}}`.
fn find_body(text: &str, name: &str, from: usize, code: &[Range<usize>]) -> Option<Range<usize>> {
    let closing = format!("{{{{/{name}}}}}");
    let at = text[from..].match_indices(&closing).map(|(at, _)| from + at);
    at.into_iter().find(|at| !code.iter().any(|range| range.contains(at))).map(|at| from..at)
}

/// The end of the directive that opens at `start`. Directives nest: a caption may hold a fact.
fn find_closing(text: &str, start: usize) -> Option<usize> {
    let paragraph = &text[start..];
    let paragraph = &paragraph[..blank_line(paragraph).unwrap_or(paragraph.len())];
    let mut depth = 0;
    let mut at = 0;
    while at < paragraph.len() {
        if paragraph[at..].starts_with("{{") {
            depth += 1;
            at += 2;
        } else if paragraph[at..].starts_with("}}") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(start + at);
            }
        } else {
            at += paragraph[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

fn blank_line(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            return Some(at);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows what a directive says, so that a test sees where it was taken for one.
    fn shout(text: &str) -> Result<String, Mistake> {
        expand(text, |directive| Ok(format!("<{}:{}>", directive.name, directive.argument)))
    }

    fn unchanged(text: &str) {
        assert_eq!(shout(text).as_deref(), Ok(text));
    }

    #[test]
    fn a_directive_in_a_sentence_is_replaced() {
        assert_eq!(shout("It takes {{fact header}} bytes.").as_deref(), Ok("It takes <fact:header> bytes."));
    }

    #[test]
    fn two_directives_on_a_line_are_both_replaced() {
        assert_eq!(shout("{{fact a}} and {{ fact  b }}").as_deref(), Ok("<fact:a> and <fact:b>"));
    }

    #[test]
    fn text_in_any_script_survives() {
        assert_eq!(shout("청크 {{figure a | 힙}} 크기 é").as_deref(), Ok("청크 <figure:a | 힙> 크기 é"));
    }

    #[test]
    fn a_directive_in_inline_code_is_left_alone() {
        unchanged("write `{{fact header}}` to get the number");
    }

    #[test]
    fn a_directive_in_a_code_fence_is_left_alone() {
        unchanged("```text\n{{fact header}}\n```\n");
        unchanged("~~~~\n```\n{{fact header}}\n~~~~\n");
        unchanged("- item\n\n  ```\n  {{fact header}}\n  ```\n");
    }

    #[test]
    fn a_directive_in_indented_code_is_left_alone() {
        unchanged("text\n\n    {{fact header}}\n\ntext");
    }

    #[test]
    fn a_directive_after_code_is_replaced() {
        assert_eq!(
            shout("`{{x}}` {{fact a}}\n\n```\n{{y}}\n```\n{{fact b}}").as_deref(),
            Ok("`{{x}}` <fact:a>\n\n```\n{{y}}\n```\n<fact:b>")
        );
    }

    #[test]
    fn what_is_mdbooks_own_is_left_alone() {
        unchanged("{{#include ../listings/src/main.rs:anchor}}\n");
    }

    #[test]
    fn code_in_a_caption_is_part_of_the_caption() {
        assert_eq!(shout("{{figure a | after `free(b)` }}").as_deref(), Ok("<figure:a | after `free(b)`>"));
    }

    #[test]
    fn a_caption_may_run_over_lines_and_hold_a_fact() {
        assert_eq!(
            shout("{{figure a | one\ntwo {{fact b}} three}} after").as_deref(),
            Ok("<figure:a | one\ntwo {{fact b}} three> after")
        );
    }

    #[test]
    fn a_directive_that_is_not_closed_names_its_line() {
        let mistake = shout("# Page\n\ntext {{fact header\n\nmore }}").unwrap_err();
        assert_eq!(mistake.line, 3);
        assert!(mistake.what.contains("without `}}`"), "{}", mistake.what);
    }

    #[test]
    fn a_refusal_names_the_line_and_the_directive() {
        let refused = expand("one\ntwo\n{{fatc x}}", |_| Err("unknown".to_owned()));
        assert_eq!(refused, Err(Mistake { line: 3, what: "{{fatc}}: unknown".to_owned() }));
    }

    #[test]
    fn a_body_runs_to_the_closing_of_the_same_name() {
        let bodies = |text: &str| expand(text, |directive| Ok(format!("<{}|{:?}>", directive.name, directive.body)));
        assert_eq!(
            bodies("{{box a}}\n\none {{fact b}}\n\n```\n{{/box}}\n```\n\n{{/box}} {{fact c}}").as_deref(),
            Ok("<box|Some(\"\\n\\none {{fact b}}\\n\\n```\\n{{/box}}\\n```\\n\\n\")> <fact|None>")
        );
    }

    #[test]
    fn a_block_keeps_the_indent_of_its_line() {
        let laid_out = expand("- item\n\n  {{figure a}}\n", |directive| directive.block("<p>\n</p>\n"));
        assert_eq!(laid_out.as_deref(), Ok("- item\n\n  \n  <p>\n  </p>\n\n"));
    }

    #[test]
    fn a_block_in_the_middle_of_a_sentence_is_refused() {
        let refused = expand("see {{figure a}}", |directive| directive.block("<p></p>"));
        assert_eq!(refused.unwrap_err().what, "{{figure}}: put it on a line of its own");
    }
}
