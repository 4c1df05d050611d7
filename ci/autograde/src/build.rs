//! What cargo says about a build, read from its messages.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::PathBuf;

/// The most of the compiler's words that a report repeats. Real mistakes need less; a macro can make more.
const MAX_MESSAGE: usize = 16 << 10;

/// How the compilation went.
#[derive(Debug, PartialEq, Eq)]
pub enum Build {
    /// Everything compiled; this is the program that was wanted.
    Succeeded(PathBuf),
    /// The compiler refused, and said this about a place in the code.
    Refused(String),
    /// The compiler or the linker failed, and said this about no place.
    Failed(String),
    /// Cargo never got so far as to say.
    NotFinished,
}

/// Which of the programs of a build is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The program of a `[[test]]`.
    Test,
    /// The program of a `[[bin]]`.
    Bin,
    /// Anything else.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        executable: Option<PathBuf>,
        target: Target,
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
    kind: Vec<Kind>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    #[serde(default)]
    spans: Vec<IgnoredAny>,
}

/// Reads cargo's standard output (`--message-format=json`) up to the end of the build of a program.
pub fn read(stdout: &str, wanted: Kind) -> Build {
    let (mut errors, mut has_place) = (String::new(), false);
    let mut program = None;
    for line in stdout.lines() {
        match serde_json::from_str(line) {
            Ok(Message::CompilerArtifact { executable: Some(path), target }) if target.kind.contains(&wanted) => {
                program = Some(path);
            }
            Ok(Message::Diagnostic { message }) if message.level.starts_with("error") => {
                errors.push_str(message.rendered.as_deref().unwrap_or_default());
                has_place |= !message.spans.is_empty();
            }
            Ok(Message::BuildFinished { success: true }) => {
                return program.map_or(Build::NotFinished, Build::Succeeded);
            }
            Ok(Message::BuildFinished { success: false }) if has_place => return Build::Refused(shorten(errors)),
            Ok(Message::BuildFinished { success: false }) => return Build::Failed(shorten(errors)),
            _ => {}
        }
    }
    // There is only room for so many words.
    match errors.as_str() {
        "" => Build::NotFinished,
        _ if has_place => Build::Refused(shorten(errors)),
        _ => Build::Failed(shorten(errors)),
    }
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
        assert_eq!(read(stdout, Kind::Bin), Build::Failed("error: one\nerror: two\n".to_owned()));
        let placed = stdout.replace("two\\n\"", "two\\n\",\"spans\":[{}]");
        assert_eq!(read(&placed, Kind::Bin), Build::Refused("error: one\nerror: two\n".to_owned()));
    }

    #[test]
    fn the_program_is_the_one_that_cargo_names_before_the_end() {
        let stdout = r#"{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/x/lab03-candidate"}
{"reason":"compiler-artifact","target":{"kind":["proc-macro"]},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"]},"executable":"/x/exam"}
{"reason":"build-finished","success":true}
{"reason":"build-finished","success":false}
"#;
        assert_eq!(read(stdout, Kind::Test), Build::Succeeded("/x/exam".into()));
        assert_eq!(read(stdout, Kind::Bin), Build::Succeeded("/x/lab03-candidate".into()));
        assert_eq!(read("error: no such command\n", Kind::Bin), Build::NotFinished);
    }

    #[test]
    fn errors_count_also_when_the_end_is_cut_off() {
        let line = r#"{"reason":"compiler-message","message":{"level":"error","rendered":"error: one\n"}}"#;
        assert_eq!(read(line, Kind::Bin), Build::Failed("error: one\n".to_owned()));
    }
}
