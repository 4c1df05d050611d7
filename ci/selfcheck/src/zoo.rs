//! Implementations that must fail, and right-but-different ones that must pass.
//!
//! A member is a diff against the lab's reference, in `labs/lab03/zoo/wrong/` or `…/right/`; its file's name is its own.
//! In front of the diff stands what it is about:
//!
//! ```text
//! The list's head still points to the chunk that was taken out.
//! caught-by: unlinking_the_head_makes_the_second_the_head
//! verdict: wrong
//! --- a/labs/lab03/solution/free_list.rs
//! +++ b/labs/lab03/solution/free_list.rs
//! @@ …
//! ```
//!
//! The diff may be what `git diff` prints.

use proctor::lab::Lab;
use proctor::report::Verdict;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use std::path::Path;

/// One implementation.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name of its file: what it does, in a few words.
    pub name: String,
    /// What it does, in a sentence, and why people do it.
    pub sentence: String,
    /// How it must fail; `None` for one that must pass.
    pub fails: Option<Failure>,
    diff: String,
}

/// How a wrong implementation is found out.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The cases that must fail: those whose rule it breaks. Others may fail too.
    pub caught_by: Vec<String>,
    /// How they must end.
    pub verdict: Verdict,
}

/// The members of a lab's zoo, wrong ones first, by name.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn members(lab: &Lab) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for kind in ["wrong", "right"] {
        let dir = lab.dir.join("zoo").join(kind);
        let entries = std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            members.push(load(&path, kind == "wrong").map_err(|what| format!("{}: {what}", path.display()))?);
        }
    }
    Ok(members)
}

fn load(path: &Path, wrong: bool) -> Result<Member, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let start = text.find("--- a/").ok_or("no line starts with `--- a/`: there is no diff")?;
    let (header, diff) = text.split_at(start);
    let (mut sentence, mut caught_by, mut verdict) = (String::new(), Vec::new(), None);
    for (i, line) in header.lines().enumerate() {
        match line.split_once(": ") {
            Some(("caught-by", case)) => caught_by.push(case.to_owned()),
            Some(("verdict", word)) => {
                let parsed = Verdict::deserialize(IntoDeserializer::<Error>::into_deserializer(word));
                verdict = Some(parsed.map_err(|e| format!("line {}: {e}", i + 1))?);
            }
            // git's own header.
            _ if line.starts_with("diff --git ") || line.starts_with("index ") => {}
            _ => {
                sentence.push_str(line);
                sentence.push(' ');
            }
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".patch").ok_or("the name does not end in `.patch`")?.to_owned();
    let sentence = sentence.trim_end().to_owned();
    if !sentence.ends_with('.') {
        return Err("no sentence stands in front of the diff".to_owned());
    }
    let fails = match (wrong, verdict) {
        (true, Some(verdict)) if !caught_by.is_empty() => Some(Failure { caught_by, verdict }),
        (true, _) => return Err("`caught-by: CASE` and `verdict: wrong` are missing in front of the diff".to_owned()),
        (false, None) if caught_by.is_empty() => None,
        (false, _) => return Err("a right one is not caught by anything".to_owned()),
    };
    Ok(Member { name, sentence, fails, diff: diff.to_owned() })
}

impl Member {
    /// The source of this implementation.
    ///
    /// # Errors
    /// One line: the diff is no diff, or the reference has changed under it.
    pub fn apply(&self, reference: &str) -> Result<String, String> {
        apply(&self.diff, reference)
    }
}

/// Applies a diff.
///
/// # Errors
/// One line: it is no diff, or `text` has changed under it.
pub fn apply(diff: &str, text: &str) -> Result<String, String> {
    let patch = diffy::Patch::from_str(diff).map_err(|e| e.to_string())?;
    diffy::apply(text, &patch).map_err(|e| format!("the reference has changed under it: {e}"))
}
