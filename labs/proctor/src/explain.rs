//! How a lab's reference does it, and why: for a learner who has earned every point, and for nobody before that.
//!
//! The text is `solution/explain.md`, beside the reference. A line `{{code FreeList::push}}` becomes that function as the reference has
//! it now, so what is shown can't be out of date.
//!
//! ```text
//! ## Four words
//!
//! `push` writes the new chunk's two links first.
//!
//! {{code FreeList::push}}
//! ```

use crate::lab::Lab;
use crate::standing::Standing;
use std::path::{Path, PathBuf};

/// A part of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the next parts are about.
    Heading(String),
    /// A paragraph, with `code` in backquotes.
    Text(String),
    /// A function or a type of the reference.
    Code {
        /// Where it begins: `labs/lab03/solution/free_list.rs:63`.
        place: String,
        /// Its lines.
        lines: Vec<String>,
    },
}

/// Why there is no explanation, in one sentence.
///
/// `None` if there is nothing in its way: every point is earned, by the file as it is now.
pub fn missing(standing: &Standing) -> Option<String> {
    let lab = standing.lab;
    let name = &lab.name;
    if !is_there(lab) {
        return Some(format!("This copy of the course has no references, so there is none of {name} to explain."));
    }
    let Some(report) = &standing.report else {
        return Some(format!(
            "{name} has not been tried yet: the explanation comes once cargo test -p {name} has given all points."
        ));
    };
    if report.void.is_some() {
        return Some(format!("Nothing counted in your last run of {name}: run cargo test -p {name} again."));
    }
    if let Some(rule) = standing.first_rule_to_earn() {
        let (earned, all) = (standing.rules_earned(), lab.rules.len());
        return Some(format!(
            "{name} has {earned} of {all} rules, and the next one to earn is {}: the explanation comes once you have them all.",
            rule.id
        ));
    }
    standing
        .is_old
        .then(|| format!("You have edited your file since your last run of {name}: run cargo test -p {name} again."))
}

/// The explanation of a lab's reference.
///
/// # Errors
/// One line: a file can't be read, or the text names what the reference doesn't have.
pub fn read(lab: &Lab) -> Result<Vec<Part>, String> {
    let path = text_of(lab);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let reference = Reference::read(lab)?;
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let parts = paragraphs.map(|paragraph| {
        if let Some(heading) = paragraph.strip_prefix("## ") {
            return Ok(Part::Heading(heading.to_owned()));
        }
        let Some(name) = paragraph.strip_prefix("{{code ").and_then(|rest| rest.strip_suffix("}}")) else {
            return Ok(Part::Text(paragraph.split_whitespace().collect::<Vec<_>>().join(" ")));
        };
        let code = reference.code(name);
        code.ok_or_else(|| format!("{}: {} has no `{name}`", path.display(), reference.name))
    });
    parts.collect()
}

/// Whether this copy of the course has the text: a student edition doesn't.
pub fn is_there(lab: &Lab) -> bool {
    text_of(lab).is_file()
}

fn text_of(lab: &Lab) -> PathBuf {
    lab.dir.join("solution/explain.md")
}

/// A lab's reference.
struct Reference {
    /// Such as `labs/lab03/solution/free_list.rs`.
    name: String,
    source: String,
}

impl Reference {
    fn read(lab: &Lab) -> Result<Self, String> {
        let file = lab.file.file_name().map_or_else(|| Path::new(""), Path::new);
        let path = lab.dir.join("solution").join(file);
        let source = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Reference { name: format!("labs/{}/solution/{}", lab.name, file.display()), source })
    }

    /// A function (`split`), a method (`FreeList::push`) or a type (`SizeWord`), as rustfmt lays it out.
    fn code(&self, name: &str) -> Option<Part> {
        let (owner, item) = match name.split_once("::") {
            Some((owner, item)) => (Some(owner), item),
            None => (None, name),
        };
        let mut inside = None;
        let lines: Vec<&str> = self.source.lines().collect();
        let start = lines.iter().position(|line| {
            if !line.is_empty() && !line.starts_with([' ', '}']) {
                inside = block_owner(line);
            }
            let depth = if line.starts_with(' ') { 1 } else { 0 };
            let is_here = if owner.is_some() { depth == 1 && inside == owner } else { depth == 0 };
            is_here && defines(line.trim_start(), item)
        })?;
        let indent = lines[start].len() - lines[start].trim_start().len();
        let close = format!("{:indent$}}}", "");
        let end = match lines[start].ends_with(';') {
            true => start,
            false => start + lines[start..].iter().position(|line| *line == close)?,
        };
        let lines = lines[start..=end].iter().map(|line| line.get(indent..).unwrap_or_default().to_owned());
        Some(Part::Code { place: format!("{}:{}", self.name, start + 1), lines: lines.collect() })
    }
}

/// The type or trait whose block starts with this line: `impl<O: Os> Drop for Mappings<O> {`.
fn block_owner(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("pub ").trim_start_matches("unsafe ");
    if let Some(name) = line.strip_prefix("trait ") {
        return identifier(name);
    }
    let rest = line.strip_prefix("impl")?;
    // Generics may hold arrows, but none of these does.
    let rest = match rest.strip_prefix('<') {
        Some(generics) => generics.split_once("> ")?.1,
        None => rest,
    };
    let owner = rest.split_once(" for ").map_or(rest, |(_, owner)| owner);
    identifier(owner.trim_start())
}

/// Whether this line begins the function or the type called `item`.
fn defines(line: &str, item: &str) -> bool {
    let mut words = line;
    loop {
        let Some((word, rest)) = words.split_once(' ') else { return false };
        match word {
            "fn" | "struct" | "enum" | "union" | "trait" => return identifier(rest) == Some(item),
            "pub" | "const" | "unsafe" => words = rest,
            _ => return false,
        }
    }
}

fn identifier(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(&text[..end]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labs() -> Vec<Lab> {
        Lab::load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
    }

    fn with_references() -> Vec<Lab> {
        // A student edition has none.
        labs().into_iter().filter(|lab| lab.dir.join("solution").is_dir()).collect()
    }

    #[test]
    fn every_reference_is_explained_and_every_code_of_it_is_there() {
        for lab in with_references() {
            let parts = read(&lab).unwrap_or_else(|line| panic!("{line}"));
            let count = |what: fn(&Part) -> bool| parts.iter().filter(|part| what(part)).count();
            assert!(count(|part| matches!(part, Part::Code { .. })) >= 3, "{}: too little code", lab.name);
            assert!(count(|part| matches!(part, Part::Text(_))) >= 5, "{}: too few words", lab.name);
        }
    }

    /// A word in backquotes that looks like a method or a call is one of this reference, or of an earlier one.
    #[test]
    fn every_function_that_a_text_names_exists() {
        let mut references = Vec::new();
        for lab in with_references() {
            references.push(Reference::read(&lab).unwrap());
            let exists = |name: &str| references.iter().any(|reference| reference.code(name).is_some());
            let text = std::fs::read_to_string(text_of(&lab)).unwrap();
            let spans = text.split('`').skip(1).step_by(2);
            let named = spans.filter_map(|span| match span.strip_suffix("()") {
                Some(call) => Some(call),
                // The names of Rust's own modules and numbers are small.
                None => (span.contains("::") && span.starts_with(char::is_uppercase)).then_some(span),
            });
            let unknown: Vec<&str> = named.filter(|name| !exists(name)).collect();
            assert!(unknown.is_empty(), "{}: no reference has {unknown:?}", lab.name);
        }
    }

    #[test]
    fn the_functions_that_the_rules_are_about_are_explained() {
        for lab in with_references() {
            let text = std::fs::read_to_string(text_of(&lab)).unwrap();
            let about = lab.rules.iter().flat_map(|rule| &rule.functions);
            let silent: Vec<&String> = about
                .filter(|name| {
                    let (owner, item) = name.split_once("::").unwrap_or(("", name));
                    // A word about what a constructor makes is a word about it.
                    let words = [format!("`{name}`"), format!("{{code {name}}}"), format!("`{item}`")];
                    let is_named =
                        words.iter().any(|word| text.contains(word)) || item == "new" && text.contains(owner);
                    !is_named
                })
                .collect();
            assert!(silent.is_empty(), "{}: the explanation says nothing about {silent:?}", lab.name);
        }
    }

    #[test]
    fn code_is_found_by_its_type_and_name() {
        let source = "\
impl<O: Os> Mappings<O> {
    /// Makes one.
    pub const fn new(os: O) -> Self {
        Self(os)
    }
}

impl<O: Os> Drop for Mappings<O> {
    fn drop(&mut self) {
        if true {
        }
    }
}

pub unsafe fn new<T>(x: T) -> T {
    x
}

pub struct SizeWord(usize);
";
        let reference = Reference { name: "labs/lab07/solution/pools.rs".into(), source: source.into() };
        let code = |name: &str| match reference.code(name) {
            Some(Part::Code { place, lines }) => Some((place, lines.join("\n"))),
            _ => None,
        };
        let place = |line| format!("labs/lab07/solution/pools.rs:{line}");
        assert_eq!(
            code("Mappings::new"),
            Some((place(3), "pub const fn new(os: O) -> Self {\n    Self(os)\n}".into()))
        );
        assert_eq!(code("Mappings::drop"), Some((place(9), "fn drop(&mut self) {\n    if true {\n    }\n}".into())));
        assert_eq!(code("new"), Some((place(15), "pub unsafe fn new<T>(x: T) -> T {\n    x\n}".into())));
        assert_eq!(code("SizeWord"), Some((place(19), "pub struct SizeWord(usize);".into())));
        assert_eq!(code("Pool::new"), None);
        assert_eq!(code("drop"), None);
    }
}
