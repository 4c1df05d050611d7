//! Habits that the book has lost: each is counted, and its count may not grow. It may shrink; then the number here shrinks with it.

use proctor::lab::Lab;
use selfcheck::course::{labs, read};
use std::path::{Path, PathBuf};

/// A word or a phrase, what to write instead, and how often it is there.
const HABITS: [(&str, &str, usize); 11] = [
    ("stand", "is, lies, comes", 0),
    ("stands", "is, lies, comes", 0),
    ("stood", "was, lay, came", 0),
    ("behind", "after, in a row of addresses or in time", 0),
    ("whoever", "name who it is: a student, your code, the allocator", 0),
    ("bytes on", "N bytes or more; or so many bytes further on", 0),
    ("from which size", "this large or larger", 0),
    ("is ended", "the kernel kills it, the process ends", 0),
    ("ends it", "the kernel kills it, the process ends", 0),
    ("ends the program", "kills the program", 0),
    ("how-manieth", "which", 0),
];

#[test]
fn habits_that_the_book_has_lost_do_not_come_back() {
    let texts: Vec<(String, String)> = texts().into_iter().map(|(name, text)| (name, prose(&text))).collect();
    let mut wrong = Vec::new();
    for (habit, instead, most) in HABITS {
        let places: Vec<String> = texts.iter().flat_map(|(name, text)| places(name, text, habit)).collect();
        if places.len() > most {
            wrong.push(format!(
                "\"{habit}\" {} times, {most} at most. Write {instead}:\n  {}",
                places.len(),
                places.join("\n  ")
            ));
        } else if places.len() < most {
            wrong.push(format!("\"{habit}\" is there only {} times: write that number into HABITS", places.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_habit_is_found_as_a_word_and_not_in_code() {
    let found = |text: &str| places("page", &prose(text), "stands").len();
    assert_eq!(found("It stands there. Stands it?\nAnd so it\nstands."), 3);
    assert_eq!(found("He understands.\n```text\nit stands\n```\n`stands` [here](page.html#what-stands)"), 0);
    assert_eq!(places("page", &prose("20 bytes\n  on the heap"), "bytes on").len(), 1);
    assert_eq!(places("page", &prose("It has 20 bytes. On the heap, {{fact bytes on}}"), "bytes on").len(), 0);
}

/// The pages, the README, and all that a learner reads in a lab besides its code.
fn texts() -> Vec<(String, String)> {
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = course.join("book/src").read_dir().expect("the pages").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = pages.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    files.push(course.join("README.md"));
    let labs = labs();
    files.extend(labs.iter().map(|lab| course.join("labs").join(&lab.name).join("solution/explain.md")));
    files.sort();
    let name = |path: &Path| path.strip_prefix(&course).unwrap_or(path).display().to_string();
    let files = files.iter().map(|path| (name(path), read(path)));
    files.chain(labs.iter().map(|lab| (format!("labs/{}/lab.toml", lab.name), said(lab)))).collect()
}

/// The rules and hints of a lab.
fn said(lab: &Lab) -> String {
    let sentences = lab.rules.iter().flat_map(|rule| {
        let special = rule.hints.when.values().map(|hint| &hint.en);
        std::iter::once(&rule.en).chain(&rule.hints.en).chain(special)
    });
    sentences.map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// A text without its code, its links' targets and its tags, in small letters.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut in_fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            out.push_str(line);
        }
        out.push('\n');
    }
    for (open, close) in [("`", "`"), ("{{fact", "}}"), ("{{predict", "}}"), ("](", ")"), ("{#", "}"), ("<", ">")] {
        out = without(&out, open, close);
    }
    out.to_lowercase()
}

/// `text` without what lies between `open` and `close` on one line.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        out.push_str(before);
        match after.split_once(close).filter(|(inside, _)| !inside.contains('\n')) {
            Some((_, after)) => rest = after,
            None => {
                out.push_str(open);
                rest = after;
            }
        }
    }
    out + rest
}

/// Where a habit is in a text: the file, the line, and the words. A phrase doesn't go on after the end of a sentence.
fn places(name: &str, text: &str, habit: &str) -> Vec<String> {
    let words: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .flat_map(|(line, text)| {
            let is_between = |c: char| !c.is_alphanumeric() && !"-'.!?".contains(c);
            let ends = ['.', '!', '?'];
            // `bytes.` is the word and an end; `2.36` is one word.
            let words = text.split(is_between).flat_map(move |word| {
                let end = if word.ends_with(ends) { "." } else { "" };
                [word.trim_matches(ends), end]
            });
            let words = words.filter(|word| !word.is_empty());
            words.map(move |word| (line + 1, word))
        })
        .collect();
    let habit: Vec<&str> = habit.split(' ').collect();
    let found = words.windows(habit.len()).enumerate().filter(|(_, run)| run.iter().map(|(_, word)| word).eq(&habit));
    let around = |at: usize| {
        let words = words[at.saturating_sub(4)..(at + 5).min(words.len())].iter().map(|(_, word)| *word);
        words.collect::<Vec<_>>().join(" ")
    };
    found.map(|(at, run)| format!("{name}:{}: {}", run[0].0, around(at))).collect()
}
