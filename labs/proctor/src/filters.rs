//! Words after `cargo test -p lab03`: besides parts of a case's name, which the test runner knows by itself, a rule's id or a
//! function's name names cases. A word that names nothing is an error: the test runner would run nothing, and be content.
//!
//! The test runner owns `main`, so this happens before it.

use crate::lab::{Lab, Rule};
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Called by the C library before `main`. Rust's own, which finds the arguments, has a smaller number.
#[used]
#[unsafe(link_section = ".init_array.65000")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// How a test runner exits when a test has failed. Cargo takes any other number for a crash.
const FAILED: i32 = 101;

extern "C" fn before_main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(asked) = Asked::read(&arguments) else { return };
    // Other programs have this code in them, too: only `exam-0123…` in a lab's folder is an exam.
    let is_exam = |program: &Path| program.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"exam"));
    if !std::env::current_exe().is_ok_and(|program| is_exam(&program)) {
        return;
    }
    let Ok(Ok(lab)) = std::env::current_dir().map(|dir| Lab::load(&dir)) else { return };
    match asked.cases(&lab) {
        Ok(None) => {}
        Ok(Some(cases)) => {
            let Ok(program) = std::env::current_exe() else { return };
            let error = Command::new(program).args(&asked.options).arg("--exact").args(cases).exec();
            eprintln!("the exam can't be started again: {error}");
            std::process::exit(FAILED);
        }
        Err(line) => {
            eprintln!("error: {line}");
            std::process::exit(FAILED);
        }
    }
}

/// What the test runner was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    words: Vec<String>,
    options: Vec<String>,
}

impl Asked {
    /// `None` if there is nothing to do: no words, exact names, or a list for a tool.
    fn read(arguments: &[String]) -> Option<Self> {
        const WITH_VALUE: [&str; 7] =
            ["--test-threads", "--skip", "--format", "--color", "--logfile", "--shuffle-seed", "-Z"];
        let mut asked = Asked { words: Vec::new(), options: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--exact" | "--list" | "--help" | "-h") {
                return None;
            }
            if !argument.starts_with('-') {
                asked.words.push(argument.clone());
                continue;
            }
            asked.options.push(argument.clone());
            if WITH_VALUE.contains(&argument.as_str()) {
                asked.options.extend(arguments.next().cloned());
            }
        }
        (!asked.words.is_empty()).then_some(asked)
    }

    /// The cases that the words name; `None` if the test runner finds them by itself. A rule or a function comes first: the name of
    /// another rule's case may have the same word in it.
    fn cases(&self, lab: &Lab) -> Result<Option<BTreeSet<String>>, String> {
        let mut cases = BTreeSet::new();
        let mut by_name_alone = true;
        for word in &self.words {
            let of_rules = |rules: &mut dyn Iterator<Item = &Rule>| -> BTreeSet<String> {
                rules.flat_map(|rule| &rule.cases).cloned().collect()
            };
            let by_rule = of_rules(&mut lab.rules.iter().filter(|rule| names(rule, word)));
            let by_name = of_rules(&mut lab.rules.iter()).into_iter().filter(|case| case.contains(word)).collect();
            let named = if by_rule.is_empty() { &by_name } else { &by_rule };
            if named.is_empty() {
                return Err(unknown(lab, word));
            }
            by_name_alone &= *named == by_name;
            cases.extend(named.iter().cloned());
        }
        Ok((!by_name_alone).then_some(cases))
    }
}

/// Whether `word` is the rule's id, or a function that the rule is about.
fn names(rule: &Rule, word: &str) -> bool {
    let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
    rule.id == word.replace('_', "-")
        || rule.functions.iter().any(|function| function == word || last(function) == word)
}

fn unknown(lab: &Lab, word: &str) -> String {
    let rules: Vec<&str> = lab.rules.iter().map(|rule| rule.id.as_str()).collect();
    let functions: BTreeSet<&str> = lab.rules.iter().flat_map(|rule| &rule.functions).map(String::as_str).collect();
    let functions: Vec<&str> = functions.into_iter().collect();
    format!(
        "`{word}` names no rule, no function and no case of {}, so nothing was run.\n  rules      {}\n  functions  {}",
        lab.name,
        rules.join(", "),
        functions.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Asked> {
        Asked::read(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn lab() -> Lab {
        let text = r#"
            title = "T"
            file = "src/x.rs"
            page = "x.html"
            [[rule]]
            id = "best-fit"
            points = 100
            page = "x.html#a"
            en = "A sentence."
            functions = ["FreeList::find"]
            cases = ["takes_the_smallest", "takes_the_first_of_equals"]
            hints.en = ["?"]
        "#;
        toml::from_str(text).unwrap()
    }

    #[test]
    fn options_are_no_words_and_neither_are_their_values() {
        let asked = words("lifo --nocapture --test-threads 1 --color=always push").unwrap();
        assert_eq!(asked.words, ["lifo", "push"]);
        assert_eq!(asked.options, ["--nocapture", "--test-threads", "1", "--color=always"]);
        assert_eq!((words("--nocapture"), words("a --exact"), words("--list a")), (None, None, None));
    }

    #[test]
    fn a_rule_or_a_function_names_its_cases() {
        for word in ["best-fit", "best_fit", "find", "FreeList::find"] {
            let cases = words(word).unwrap().cases(&lab()).unwrap().unwrap();
            assert_eq!(cases.len(), 2, "{word}");
        }
    }

    #[test]
    fn a_function_is_not_a_part_of_the_names_of_other_rules_cases() {
        let mut lab = lab();
        let other = Rule {
            id: "other".into(),
            functions: Vec::new(),
            cases: vec!["find_is_in_it".into()],
            ..lab.rules[0].clone()
        };
        lab.rules.push(other);
        let cases = words("find").unwrap().cases(&lab).unwrap().unwrap();
        assert_eq!(cases.into_iter().collect::<Vec<_>>(), lab.rules[0].cases.iter().rev().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_part_of_a_name_is_left_to_the_test_runner() {
        assert_eq!(words("smallest").unwrap().cases(&lab()), Ok(None));
    }

    #[test]
    fn a_word_that_names_nothing_is_an_error() {
        let line = words("smallest lifo").unwrap().cases(&lab()).unwrap_err();
        assert!(line.starts_with("`lifo` names no rule, no function and no case"), "{line}");
        assert!(line.contains("best-fit") && line.contains("FreeList::find"), "{line}");
    }
}
