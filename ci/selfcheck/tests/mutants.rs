//! The lists of mutants fit the references, and the book's page about the tests shows what they say.
//!
//! `ci/mutants` makes the mutants and grades them: that takes minutes, and a program that not everybody has.

use proctor::lab::Lab;
use selfcheck::course::{labs, read, reference_file, root};
use selfcheck::hostile;
use selfcheck::mutants::{self, Change, Scores, Survivor};
use selfcheck::zoo;
use std::collections::BTreeSet;
use std::fmt::Write;

#[test]
fn every_listed_mutant_is_about_a_line_of_the_reference() {
    for lab in labs() {
        let reference = read(&reference_file(&lab));
        let listed = survivors(&lab);
        let changes: BTreeSet<&Change> = listed.iter().map(|survivor| &survivor.change).collect();
        assert_eq!(changes.len(), listed.len(), "a mutant of {} is listed twice", lab.name);
        for change in changes {
            let is_there = change.line == "{ … }" || reference.lines().any(|line| line.trim() == change.line);
            assert!(is_there, "the reference of {} has no such line: {change}", lab.name);
            assert_ne!(change.line, change.becomes);
        }
    }
}

#[test]
fn every_mutant_that_survives_is_listed_with_its_reason() {
    let scores = Scores::load().unwrap_or_else(|line| panic!("{line}"));
    let labs = labs();
    let names = |labs: &[Lab]| labs.iter().map(|lab| lab.name.clone()).collect::<Vec<_>>();
    assert_eq!(scores.0.keys().cloned().collect::<Vec<_>>(), names(&labs), "ci/mutants has to be run");
    for lab in &labs {
        let score = scores.0[&lab.name];
        assert_eq!(score.mutants, score.refused + score.caught + score.survived, "{}", lab.name);
        assert_eq!(score.survived, survivors(lab).len(), "{}: ci/mutants has to be run", lab.name);
    }
}

#[test]
fn the_book_shows_the_numbers_as_they_are_now() {
    let in_the_book = root().join("book/listings/captured/tests.md");
    let animal = read(&root().join("labs/lab02/zoo/wrong/check_steps_by_zero.patch"));
    let parts = [("numbers", numbers()), ("survivors", list()), ("animal", animal), ("attacks", attacks())];
    let now = parts.map(|(name, text)| anchored(name, &text)).join("\n");
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(&in_the_book, &now).expect("the book can be written");
    }
    let how = "to renew it: INSTA_UPDATE=always cargo test -p selfcheck --test mutants";
    assert!(read(&in_the_book) == now, "{} is out of date; {how}", in_the_book.display());
}

fn survivors(lab: &Lab) -> Vec<Survivor> {
    mutants::survivors(lab).unwrap_or_else(|line| panic!("{line}"))
}

/// A part of a file that a page includes by this name.
fn anchored(name: &str, text: &str) -> String {
    format!("<!-- ANCHOR: {name} -->\n{text}<!-- ANCHOR_END: {name} -->\n")
}

/// What each lab's cases were tried on.
fn numbers() -> String {
    let scores = Scores::load().unwrap_or_else(|line| panic!("{line}"));
    let mut table =
        "| | cases | wrong | right | mutants | caught | survive |\n|---|--:|--:|--:|--:|--:|--:|\n".to_owned();
    let mut row = |name: &str, numbers: [usize; 6]| {
        let numbers = numbers.map(|number| number.to_string()).join(" | ");
        writeln!(table, "| {name} | {numbers} |").expect("a string takes everything");
    };
    let mut sums = [0; 6];
    for lab in labs() {
        let members = zoo::members(&lab).unwrap_or_else(|line| panic!("{line}"));
        let wrong = members.iter().filter(|member| member.fails.is_some()).count();
        let cases = lab.rules.iter().map(|rule| rule.cases.len()).sum();
        let score = scores.0.get(&lab.name).unwrap_or_else(|| panic!("ci/mutants {} has to be run", lab.name));
        let compiled = score.mutants - score.refused;
        let numbers = [cases, wrong, members.len() - wrong, compiled, score.caught, score.survived];
        row(&format!("[{}]({})", lab.title, lab.page.replace(".html", ".md")), numbers);
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
    row("together", sums);
    table
}

/// How many submissions attack the grader.
fn attacks() -> String {
    let count: usize =
        labs().iter().map(|lab| hostile::attacks(lab).unwrap_or_else(|line| panic!("{line}")).len()).sum();
    format!(
        "The course has {count} submissions that attack the grader, in `labs/*/zoo/hostile`. None of them earns more than its \
         honest part.\n"
    )
}

/// The mutants that nothing can tell from the references, with the reasons.
fn list() -> String {
    let mut text = String::new();
    for lab in labs() {
        for Survivor { change: Change { function, line, becomes }, why } in survivors(&lab) {
            let place = if function.is_empty() { "a constant".to_owned() } else { format!("`{function}`") };
            let line = if line == "{ … }" { "the whole body".to_owned() } else { format!("`{line}`") };
            writeln!(text, "- {}, {place}: {line} becomes `{becomes}`. {why}", lab.title).expect("as above");
        }
    }
    text
}
