//! `{{predict FACT}} … {{/predict}}`: a question whose answer a program computed.
//!
//! ```text
//! {{predict chunk_of_40}}
//!
//! You ask `malloc` for 40 bytes. How large is the chunk?
//!
//! - 40: these are your own bytes. The chunk also holds its size.
//! - 56: you added a header of two words, but it costs only one.
//!
//! ---
//!
//! What the reader sees afterwards: the output, and what it shows.
//!
//! {{/predict}}
//! ```
//!
//! The list holds wrong answers, each with what it comes from. If the fact is a text, or `choose` follows its name, the reader
//! chooses among these and the right one. The page is a folded answer; `theme/answers.js` makes it one that answers.

use crate::facts::Facts;
use std::fmt::Write;

const FORM: &str =
    "write the question, a list of wrong answers (`- 56: what it comes from`), a line `---`, and what comes afterwards";

/// A wrong answer, and what it comes from.
#[derive(Debug, PartialEq)]
struct Slip {
    said: String,
    reason: String,
}

/// Markdown for the box that `argument` (`FACT` or `FACT choose`) and `body` ask for, on the page `page`.
///
/// # Errors
/// There is no such fact, the body has another form, or a wrong answer is the right one.
pub fn layout(facts: &Facts, page: &str, argument: &str, body: &str) -> Result<String, String> {
    let (fact, choose) = match argument.split_once(char::is_whitespace) {
        None => (argument, false),
        Some((fact, "choose")) => (fact, true),
        Some(_) => return Err("name a fact, and `choose` if the answers are to be chosen from".to_owned()),
    };
    let answer = facts.show(fact)?;
    let is_number = facts.is_number(fact);
    let (ask, after) = body.split_once("\n---\n").ok_or(FORM)?;
    let (question, slips) = ask.trim().rsplit_once("\n\n").ok_or(FORM)?;
    let slips = parse_slips(slips).ok_or(FORM)?;
    for (i, slip) in slips.iter().enumerate() {
        if is_number && number(&slip.said).is_none() {
            return Err(format!("`{}` is no number, and the fact `{fact}` is one", slip.said));
        }
        let same = |other: &str| if is_number { number(other) == number(&slip.said) } else { other == slip.said };
        if same(&answer) {
            return Err(format!("`{}` is called wrong, and it is the fact `{fact}`", slip.said));
        }
        if slips[..i].iter().any(|before| same(&before.said)) {
            return Err(format!("`{}` has two reasons", slip.said));
        }
    }

    let kind = if choose || !is_number { "choice" } else { "number" };
    let mut html = format!(
        "<div class=\"predict\" data-key=\"{page}/{fact}\" data-kind=\"{kind}\" data-answer=\"{answer}\">\n\n\
         **Predict.** {question}\n\n\
         <details class=\"answer\">\n<summary>The answer</summary>\n\n**{answer}.** {after}\n\n<ul class=\"slips\">\n",
        page = escape(page),
        answer = escape(&answer),
        after = after.trim(),
    );
    for Slip { said, reason } in &slips {
        let _ = write!(
            html,
            "<li data-said=\"{}\">\n\n<span class=\"if-said\">If you said **{said}**:</span> {reason}\n\n</li>\n",
            escape(said)
        );
    }
    html.push_str("</ul>\n\n</details>\n\n</div>\n");
    Ok(html)
}

/// The items of a list `- SAID: REASON`. An item may run over lines.
fn parse_slips(list: &str) -> Option<Vec<Slip>> {
    let list = list.strip_prefix("- ")?;
    list.split("\n- ")
        .map(|item| {
            let (said, reason) = item.split_once(": ")?;
            let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            Some(Slip { said: said.trim().to_owned(), reason })
        })
        .collect()
}

/// A whole number as a page shows it: `135,168`.
fn number(text: &str) -> Option<i64> {
    text.replace(',', "").parse().ok()
}

/// A text as an attribute's value.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay_out(argument: &str, body: &str) -> Result<String, String> {
        let facts = Facts::parse("chunk = 48\ngrowth = 135168\nstrategy = \"worst fit\"\n").unwrap();
        layout(&facts, "chunks", argument, body)
    }

    const BODY: &str = "\n\nHow large is it?\n\n- 40: your own bytes.\n- 1,056: a header\n  of two words.\n\n---\n\nLook:\n\n```text\n48\n```\n\n";

    #[test]
    fn the_answer_is_the_fact_and_stays_folded() {
        let html = lay_out("chunk", BODY).unwrap();
        assert!(html.contains("data-kind=\"number\" data-answer=\"48\""), "{html}");
        assert!(html.contains("\n\n**Predict.** How large is it?\n\n<details"), "{html}");
        assert!(html.contains("</summary>\n\n**48.** Look:\n\n```text\n48\n```\n\n<ul"), "{html}");
    }

    #[test]
    fn each_wrong_answer_has_its_reason() {
        let html = lay_out("chunk", BODY).unwrap();
        assert!(
            html.contains(
                "<li data-said=\"40\">\n\n<span class=\"if-said\">If you said **40**:</span> your own bytes.\n\n</li>"
            ),
            "{html}"
        );
        assert!(html.contains("<li data-said=\"1,056\">\n\n<span class=\"if-said\">If you said **1,056**:</span> a header of two words."), "{html}");
    }

    #[test]
    fn a_text_is_chosen_and_a_number_may_be() {
        let choice = "Which?\n\n- first fit: it finds one.\n\n---\n\nLook.\n";
        assert!(lay_out("strategy", choice).unwrap().contains("data-kind=\"choice\" data-answer=\"worst fit\""));
        assert!(lay_out("growth choose", BODY).unwrap().contains("data-kind=\"choice\" data-answer=\"135,168\""));
    }

    #[test]
    fn what_is_called_wrong_must_not_be_the_fact() {
        let error = lay_out("growth", "How far?\n\n- 135168: too far.\n\n---\n\nLook.\n").unwrap_err();
        assert!(error.contains("`135168` is called wrong"), "{error}");
        let error = lay_out("strategy", "Which?\n\n- worst fit: no.\n\n---\n\nLook.\n").unwrap_err();
        assert!(error.contains("`worst fit` is called wrong"), "{error}");
    }

    #[test]
    fn a_wrong_answer_is_a_number_where_the_fact_is_one_and_has_one_reason() {
        let error = lay_out("chunk", "How large?\n\n- fifty: no.\n\n---\n\nLook.\n").unwrap_err();
        assert!(error.contains("`fifty` is no number"), "{error}");
        let error = lay_out("chunk", "How large?\n\n- 40: no.\n- 40: never.\n\n---\n\nLook.\n").unwrap_err();
        assert!(error.contains("`40` has two reasons"), "{error}");
    }

    #[test]
    fn the_answer_must_be_a_fact() {
        assert!(lay_out("chnuk", BODY).unwrap_err().contains("there is no `chnuk`"));
    }

    #[test]
    fn a_box_of_another_form_says_how_to_write_one() {
        for body in ["Which?\n", "Which?\n\n---\n\nLook.\n", "Which?\n\n- 40 is wrong\n\n---\n\nLook.\n"] {
            assert_eq!(lay_out("chunk", body).unwrap_err(), FORM, "{body}");
        }
    }
}
