//! What cargo says about a build, read from its messages.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The most of the compiler's words that a report repeats. Real mistakes need less; a macro can make more.
const MAX_MESSAGE: usize = 16 << 10;

/// How the compilation went.
#[derive(Debug, PartialEq, Eq)]
pub enum Build {
    /// Everything compiled.
    Succeeded(Built),
    /// The compiler refused, and said this.
    Failed(String),
    /// Cargo never got so far as to say.
    NotFinished,
}

/// The programs that a build leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The lab's exam.
    pub exam: PathBuf,
    /// Other programs of the lab, which the exam starts.
    pub programs: Vec<PathBuf>,
    /// Everything that was made of the lab.
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        executable: Option<PathBuf>,
        target: Target,
        #[serde(default)]
        manifest_path: PathBuf,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    },
    #[serde(rename = "compiler-message")]
    Diagnostic {
        message: Diagnostic,
    },
    BuildFinished {
        success: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

/// Reads cargo's standard output (`--message-format=json`) up to the end of the build of `lab`.
pub fn read(stdout: &str, lab: &str) -> Build {
    let manifest = Path::new("labs").join(lab).join("Cargo.toml");
    let mut errors = String::new();
    let mut built = Built::default();
    for line in stdout.lines() {
        match serde_json::from_str(line) {
            Ok(Message::CompilerArtifact { executable, target, manifest_path, filenames }) => {
                if manifest_path.ends_with(&manifest) {
                    built.files.extend(filenames);
                }
                match executable {
                    Some(program) if target.kind.iter().any(|kind| kind == "test") => built.exam = program,
                    program => built.programs.extend(program),
                }
            }
            Ok(Message::Diagnostic { message }) if message.level.starts_with("error") => {
                errors.push_str(message.rendered.as_deref().unwrap_or_default());
            }
            Ok(Message::BuildFinished { success: true }) => return Build::Succeeded(built),
            Ok(Message::BuildFinished { success: false }) => return Build::Failed(shorten(errors)),
            _ => {}
        }
    }
    // There is only room for so many words.
    if errors.is_empty() { Build::NotFinished } else { Build::Failed(shorten(errors)) }
}

fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push_str("\n… (the rest is left out)\n");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_left_out_and_errors_kept() {
        let stdout = r#"{"reason":"compiler-artifact","target":{}}
{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: unused\n"}}
{"reason":"compiler-message","message":{"level":"error","rendered":"error: one\n"}}
{"reason":"compiler-message","message":{"level":"error","rendered":"error: two\n"}}
{"reason":"build-finished","success":false}
"#;
        assert_eq!(read(stdout, "lab03"), Build::Failed("error: one\nerror: two\n".to_owned()));
    }

    #[test]
    fn the_programs_are_those_that_cargo_names_before_the_end() {
        let stdout = r#"{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/x/probe"}
{"reason":"compiler-artifact","manifest_path":"/c/labs/lab02/Cargo.toml","target":{"kind":["lib"]},"filenames":["/x/b.rlib"]}
{"reason":"compiler-artifact","manifest_path":"/c/labs/lab03/Cargo.toml","target":{"kind":["lib"]},"filenames":["/x/a.rlib"],"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"]},"executable":"/x/exam"}
{"reason":"build-finished","success":true}
{"reason":"build-finished","success":false}
"#;
        let built =
            Built { exam: "/x/exam".into(), programs: vec!["/x/probe".into()], files: vec!["/x/a.rlib".into()] };
        assert_eq!(read(stdout, "lab03"), Build::Succeeded(built));
        assert_eq!(read("error: no such command\n", "lab03"), Build::NotFinished);
    }

    #[test]
    fn errors_count_also_when_the_end_is_cut_off() {
        let line = r#"{"reason":"compiler-message","message":{"level":"error","rendered":"error: one\n"}}"#;
        assert_eq!(read(line, "lab03"), Build::Failed("error: one\n".to_owned()));
    }
}
