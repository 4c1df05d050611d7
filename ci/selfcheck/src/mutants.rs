//! Mutants: the reference with one small change, made by a program that doesn't know what the lab is about.
//!
//! [cargo-mutants](https://mutants.rs) makes the list, and what is graded is the reference's text with one of its changes,
//! the way a submission is graded. It can't do both: it doesn't follow the door to the reference (a `path` inside of
//! `cfg_attr`), and it leaves `unsafe fn` alone, which here is where most of the work is done. So it is shown a copy in which
//! those functions are safe, with every letter in its old place.
//!
//! The mutants that no case can tell from the reference stand in the lab's `mutants.toml`, each with the reason.

use crate::course::{read, reference_file, root};
use autograde::Grade;
use proctor::lab::Lab;
use proctor::report::Verdict;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The scores that the book shows, relative to the course.
pub const SCORES: &str = "ci/selfcheck/mutants.toml";

/// cargo-mutants doesn't know `NonNull`, and guesses how one might be made: none of these mutants compiles.
const NEVER_COMPILES: &str = r"with .*\bNonNull::";

/// One changed line, in words that don't depend on where in the file it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Change {
    /// The function, such as `FreeList::find`. Empty outside of functions.
    #[serde(default, rename = "in")]
    pub function: String,
    /// The line as it is. `{ … }` for a function's whole body.
    pub line: String,
    /// The line as it would be.
    pub becomes: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.function.is_empty() { "a constant" } else { &self.function };
        write!(f, "in {place}\n    {}\n  becomes\n    {}", self.line, self.becomes)
    }
}

/// One mutant.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What is different in it.
    pub change: Change,
    /// The whole file.
    pub text: String,
}

/// A mutant that does what the reference does.
#[derive(Clone, Debug, Deserialize)]
pub struct Survivor {
    /// What is different in it.
    #[serde(flatten)]
    pub change: Change,
    /// Why no case can tell it from the reference.
    pub why: String,
}

/// What became of a lab's mutants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// How many there are.
    pub mutants: usize,
    /// How many of them the compiler refuses.
    pub refused: usize,
    /// How many fail a case.
    pub caught: usize,
    /// How many pass every case.
    pub survived: usize,
}

impl Score {
    /// The score of a lab whose mutants fared like this.
    pub fn of<'a>(fates: impl IntoIterator<Item = &'a Fate>) -> Self {
        let mut score = Score::default();
        for fate in fates {
            score.mutants += 1;
            match fate {
                Fate::Refused => score.refused += 1,
                Fate::Caught { .. } => score.caught += 1,
                Fate::Survived => score.survived += 1,
            }
        }
        score
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Score { mutants, refused, caught, survived } = self;
        write!(f, "{mutants:>4} mutants: {refused:>3} don't compile, {caught:>3} caught, {survived:>2} survive")
    }
}

/// The score of each lab, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores(pub BTreeMap<String, Score>);

impl Scores {
    /// The scores as they were when [`SCORES`] was written.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub fn load() -> Result<Self, String> {
        parse(&root().join(SCORES))
    }

    /// Writes [`SCORES`].
    ///
    /// # Errors
    /// One line: it can't be written.
    pub fn save(&self) -> Result<(), String> {
        let mut text = "# Written by `INSTA_UPDATE=always ci/mutants`.\n".to_owned();
        for (lab, Score { mutants, refused, caught, survived }) in &self.0 {
            text.push_str(&format!(
                "\n[{lab}]\nmutants = {mutants}\nrefused = {refused}\ncaught = {caught}\nsurvived = {survived}\n"
            ));
        }
        fs::write(root().join(SCORES), text).map_err(|e| format!("{SCORES}: {e}"))
    }
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It doesn't compile.
    Refused,
    /// Cases fail.
    Caught {
        /// The first of them.
        by: String,
    },
    /// Every case passes.
    Survived,
}

/// The cases that grade a lab's mutants: all but those about types, which compile programs and take longer than all the
/// others. No mutant changes a type.
pub fn cases(lab: &Lab) -> Vec<String> {
    lab.rules.iter().filter(|rule| rule.id != "types").flat_map(|rule| rule.cases.clone()).collect()
}

/// Those of them that are about the function in which a mutant differs: most mutants fail one of these.
pub fn cases_about(lab: &Lab, change: &Change) -> Vec<String> {
    let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
    let function = last(&change.function);
    let is_about = |known: &String| last(known) == function;
    let rules = lab.rules.iter().filter(|rule| rule.id != "types" && rule.functions.iter().any(is_about));
    rules.flat_map(|rule| rule.cases.clone()).collect()
}

/// What became of a mutant that `cases` gave this grade.
///
/// # Errors
/// One line: none of the cases was run, so nobody knows.
pub fn fate(grade: &Grade, cases: &[String]) -> Result<Fate, String> {
    if grade.compiler_message.is_some() {
        return Ok(Fate::Refused);
    }
    let results = || grade.report.cases().filter(|result| cases.contains(&result.name));
    if results().all(|result| result.verdict == Verdict::NotRun) {
        return Err(format!("no case of a mutant of {} was run", grade.report.lab));
    }
    let failing = results().find(|result| !result.verdict.is_pass());
    Ok(failing.map_or(Fate::Survived, |result| Fate::Caught { by: result.name.clone() }))
}

/// Whether exactly the listed mutants of a lab survive: a complaint for each difference.
pub fn compare(lab: &Lab, fates: &[(&Change, Fate)], listed: &[Survivor]) -> Vec<String> {
    let list = format!("labs/{}/mutants.toml", lab.name);
    let is_listed = |change: &Change| listed.iter().any(|survivor| survivor.change == *change);
    let new = fates.iter().filter(|(change, fate)| *fate == Fate::Survived && !is_listed(change)).map(|(change, _)| {
        format!(
            "no case of {} fails {change}\n\
            Add a case that the page justifies, or list it in {list} with the reason why it does the same.",
            lab.name
        )
    });
    let old = listed.iter().filter_map(|Survivor { change, .. }| {
        let mut of_this = fates.iter().filter(|(known, _)| *known == change).map(|(_, fate)| fate);
        match (of_this.next(), of_this.next()) {
            (None, _) => Some(format!("{list}: there is no such mutant any more: {change}")),
            (Some(_), Some(_)) => {
                Some(format!("{list}: there are two such mutants, make their lines differ: {change}"))
            }
            (Some(Fate::Survived), None) => None,
            (Some(Fate::Refused), None) => Some(format!("{list}: this doesn't compile any more: {change}")),
            (Some(Fate::Caught { by }), None) => Some(format!("{list}: {by} catches this now: {change}")),
        }
    });
    new.chain(old).collect()
}

/// The list of a lab.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default, rename = "survivor")]
    survivors: Vec<Survivor>,
}

/// The mutants of a lab that are known to do what its reference does, from its `mutants.toml`.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn survivors(lab: &Lab) -> Result<Vec<Survivor>, String> {
    let file = lab.dir.join("mutants.toml");
    let list: List = parse(&file)?;
    match list.survivors.iter().find(|survivor| !survivor.why.trim_end().ends_with('.')) {
        Some(silent) => Err(format!("{}: no sentence says why nobody notices: {}", file.display(), silent.change)),
        None => Ok(list.survivors),
    }
}

/// Reads a TOML file.
fn parse<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    toml::from_str(&text).map_err(|e: toml::de::Error| {
        let at = e.span().map_or(0, |span| span.start);
        format!("{}:{}: {}", file.display(), 1 + text[..at].matches('\n').count(), e.message())
    })
}

/// The mutants of each lab's reference, lab by lab. cargo-mutants is run in the folder `scratch`.
///
/// # Errors
/// One line: cargo-mutants isn't there, or says something else than expected.
pub fn of(labs: &[Lab], scratch: &Path) -> Result<Vec<Vec<Mutant>>, String> {
    let references: Vec<String> = labs.iter().map(|lab| read(&reference_file(lab))).collect();
    lay_out(labs, &references, scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["mutants", "--list", "--json", "--no-config", "--exclude-re", NEVER_COMPILES, "--dir"]).arg(scratch);
    let output = cargo.output().map_err(|e| format!("cargo can't be started: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo mutants: {}", said.lines().next().unwrap_or("failed without a word")));
    }
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo mutants: {e}"))?;
    let mutants_of = |(lab, reference): (&Lab, &String)| {
        let file = format!("src/{}.rs", lab.name);
        listed.iter().filter(|one| one.file == file).map(|one| one.mutant(reference)).collect()
    };
    labs.iter().zip(&references).map(mutants_of).collect()
}

/// Writes a crate whose modules are the references, with all their functions safe.
fn lay_out(labs: &[Lab], references: &[String], scratch: &Path) -> std::io::Result<()> {
    let src = scratch.join("src");
    fs::create_dir_all(&src)?;
    let manifest = "[package]\nname = \"references\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(scratch.join("Cargo.toml"), manifest)?;
    let door: String = labs.iter().map(|lab| format!("mod {};\n", lab.name)).collect();
    fs::write(src.join("lib.rs"), door)?;
    for (lab, reference) in labs.iter().zip(references) {
        fs::write(src.join(format!("{}.rs", lab.name)), all_safe(reference))?;
    }
    Ok(())
}

/// The same text with blanks where functions are declared `unsafe`.
fn all_safe(text: &str) -> String {
    text.replace("unsafe fn", "       fn")
}

/// A mutant as cargo-mutants lists it.
#[derive(Deserialize)]
struct Listed {
    file: String,
    function: Option<Function>,
    genre: String,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Function {
    function_name: String,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Both count from 1.
#[derive(Clone, Copy, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl Listed {
    fn mutant(&self, reference: &str) -> Result<Mutant, String> {
        let nowhere = || format!("cargo mutants: {} has no such place as it names", self.file);
        let start = offset(reference, self.span.start).ok_or_else(nowhere)?;
        let end = offset(reference, self.span.end).filter(|end| *end >= start).ok_or_else(nowhere)?;
        let (before, behind) = (&reference[..start], &reference[end..]);
        let function = self.function.as_ref().map_or(String::new(), |function| function.function_name.clone());
        let (line, becomes) = if self.genre == "FnValue" {
            ("{ … }".to_owned(), format!("{{ {} }}", self.replacement))
        } else {
            let head = before.rsplit('\n').next().unwrap_or_default().trim_start();
            let tail = behind.split('\n').next().unwrap_or_default();
            let tail_without_space = if self.replacement.is_empty() { tail.trim_start() } else { tail };
            let line = format!("{head}{}{tail}", &reference[start..end]);
            (line, format!("{head}{}{tail_without_space}", self.replacement))
        };
        let text = format!("{before}{}{behind}", self.replacement);
        Ok(Mutant { change: Change { function, line, becomes }, text })
    }
}

/// Where in `text` a place is, in bytes.
fn offset(text: &str, place: Place) -> Option<usize> {
    let line = text.split_inclusive('\n').nth(place.line.checked_sub(1)?)?;
    let before: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    let mut columns = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    Some(before + columns.nth(place.column.checked_sub(1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "/// é\npub unsafe fn f(a: u8) -> bool {\n    a < 3 // é\n}\n";

    fn listed(genre: &str, replacement: &str, from: (usize, usize), to: (usize, usize)) -> Listed {
        let place = |(line, column)| Place { line, column };
        Listed {
            file: "src/lab.rs".to_owned(),
            function: Some(Function { function_name: "f".to_owned() }),
            genre: genre.to_owned(),
            replacement: replacement.to_owned(),
            span: Span { start: place(from), end: place(to) },
        }
    }

    #[test]
    fn a_mutant_is_the_reference_with_one_change() {
        let mutant = listed("BinaryOperator", "<=", (3, 7), (3, 8)).mutant(TEXT).unwrap();
        assert_eq!(mutant.text, TEXT.replace('<', "<="));
        assert_eq!((mutant.change.line.as_str(), mutant.change.becomes.as_str()), ("a < 3 // é", "a <= 3 // é"));
    }

    #[test]
    fn a_body_is_named_as_a_whole() {
        let mutant = listed("FnValue", "true", (3, 5), (3, 10)).mutant(TEXT).unwrap();
        assert_eq!(mutant.text, TEXT.replace("a < 3", "true"));
        assert_eq!((mutant.change.line.as_str(), mutant.change.becomes.as_str()), ("{ … }", "{ true }"));
    }

    #[test]
    fn a_place_outside_of_the_file_is_an_error() {
        for place in [(0, 1), (3, 0), (3, 40), (9, 1)] {
            let error = listed("BinaryOperator", "<=", place, place).mutant(TEXT).unwrap_err();
            assert!(error.contains("src/lab.rs"), "{error}");
        }
    }

    #[test]
    fn every_difference_from_the_list_is_a_complaint() {
        let change =
            |becomes: &str| Change { function: "f".to_owned(), line: "a".to_owned(), becomes: becomes.to_owned() };
        let listed = |becomes: &str| Survivor { change: change(becomes), why: "It is the same.".to_owned() };
        let lab = &crate::course::labs()[0];
        let [new, known, caught, gone] = ["new", "known", "caught", "gone"].map(change);
        let by = || Fate::Caught { by: "a_case".to_owned() };
        let fates = [(&new, Fate::Survived), (&known, Fate::Survived), (&caught, by())];

        assert_eq!(compare(lab, &fates[1..], &[listed("known")]), [""; 0]);
        let complaints = compare(lab, &fates, &["known", "caught", "gone"].map(listed));
        let about = [(&new, "no case"), (&caught, "a_case catches this"), (&gone, "no such mutant")];
        assert_eq!(complaints.len(), about.len(), "{complaints:#?}");
        for (complaint, (change, what)) in complaints.iter().zip(about) {
            assert!(complaint.contains(&change.to_string()) && complaint.contains(what), "{complaint}");
        }
        let twice = [(&known, Fate::Survived), (&known, by())];
        assert!(compare(lab, &twice, &[listed("known")])[0].contains("two such mutants"));
    }

    #[test]
    fn a_safe_copy_has_every_letter_in_its_old_place() {
        let safe = all_safe(TEXT);
        assert_eq!(safe.len(), TEXT.len());
        assert!(!safe.contains("unsafe"));
        assert_eq!(safe.find("a < 3"), TEXT.find("a < 3"));
    }
}
