//! Submissions that attack whoever grades them, in `labs/lab03/zoo/hostile/`.
//!
//! A file says what it tries, what it stands on, and what it must earn; then comes the code that is added:
//!
//! ```text
//! // Looks for the reference when it runs.
//! // on: reference                 or `starter`, or `nothing`, or the name of a wrong one
//! // in: push                      attack() is called first thing in this function, of which there may be several
//! // at: home                      it is tried on a learner's machine too, where there is no sandbox
//! // held: `include!`              a part of the reason; none if it isn't held
//! // earns: 100                    what its honest part earns
//! ```
//!
//! A diff may be there in place of code.
//!
//! An attack that gets what it wants calls `attack_succeeded()`, which panics: that costs it its points.

use crate::course::{read, reference_file};
use crate::zoo;
use proctor::lab::Lab;
use std::path::Path;

/// One attack.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Such as `lab03`.
    pub lab: Lab,
    /// The name of its file.
    pub name: String,
    /// What it tries.
    pub tries: String,
    /// Whether it is tried where there is no sandbox, too.
    pub at_home: bool,
    /// Parts of the reasons for which it has to be held.
    pub held: Vec<String>,
    /// The points of its honest part.
    pub earns: u32,
    /// Whether it may earn less: it spends the processor time of its own cases, and how much that costs is the machine's affair.
    pub or_less: bool,
    /// The submission.
    pub text: String,
}

/// What an attack calls that got what it wanted.
const SUCCEEDED: &str = "\nfn attack_succeeded() -> ! {\n    panic!(\"the attack succeeded\")\n}\n";
/// What its panic says.
pub const SUCCESS: &str = "the attack succeeded";

/// The attacks on a lab, by name.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn attacks(lab: &Lab) -> Result<Vec<Attack>, String> {
    let dir = lab.dir.join("zoo/hostile");
    let mut paths: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| load(lab, path).map_err(|what| format!("{}: {what}", path.display()))).collect()
}

fn load(lab: &Lab, path: &Path) -> Result<Attack, String> {
    let text = read(path);
    let (head, code) = text.split_once("\n\n").ok_or("no empty line ends the head")?;
    let (mut tries, mut on, mut places, mut held, mut earns) = (String::new(), None, Vec::new(), Vec::new(), None);
    let (mut or_less, mut at_home) = (false, false);
    for line in head.lines().filter_map(|line| line.strip_prefix("// ")) {
        match line.split_once(": ") {
            Some(("on", base)) => on = Some(base),
            Some(("in", function)) => places.push(function),
            Some(("at", "home")) => at_home = true,
            Some(("held", reason)) => held.push(reason.to_owned()),
            Some(("earns", points)) => {
                or_less = points.starts_with("at most ");
                let points = points.trim_start_matches("at most ");
                earns = Some(points.parse().map_err(|e| format!("earns: {e}"))?);
            }
            _ => tries.push_str(line),
        }
    }
    let reference = read(&reference_file(lab));
    let base = match on.ok_or("`on:` is missing")? {
        "reference" => reference,
        "starter" => read(&lab.learner_file()),
        "nothing" => String::new(),
        wrong => {
            let members = zoo::members(lab)?;
            let member =
                members.iter().find(|member| member.name == wrong).ok_or("`on:` names no member of the zoo")?;
            member.apply(&reference)?
        }
    };
    let call = |text: String, function: &&str| {
        call_first_in(function, &text).ok_or_else(|| format!("there is no function `{function}`"))
    };
    let (base, code) = match code.starts_with("--- a/") {
        true => (zoo::apply(code, &base)?, ""),
        false => (base, code),
    };
    let base = places.iter().try_fold(base, call)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let helper = if code.contains("attack_succeeded") { SUCCEEDED } else { "" };
    let earns = earns.ok_or("`earns:` is missing")?;
    Ok(Attack { lab: lab.clone(), name, tries, at_home, held, earns, or_less, text: format!("{base}\n{code}{helper}") })
}

/// Calls `attack()` first thing in `function`: its name, and its first parameter where several have that name.
fn call_first_in(function: &str, text: &str) -> Option<String> {
    let head = if function.contains('(') { format!("fn {function}") } else { format!("fn {function}(") };
    let start = text.find(&head)?;
    let body = start + text[start..].find("{\n")? + 2;
    Some(format!("{}        attack();\n{}", &text[..body], &text[body..]))
}
