//! What cargo says about a build, read from its messages.

use serde::Deserialize;

/// The most of the compiler's words that a report repeats. Real mistakes need less; a macro can make more.
const MAX_MESSAGE: usize = 16 << 10;

/// How the compilation went.
#[derive(Debug, PartialEq, Eq)]
pub enum Build {
    /// Everything compiled.
    Succeeded,
    /// The compiler refused, and said this.
    Failed(String),
    /// Cargo never got so far as to say.
    NotFinished,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
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
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

/// Reads cargo's standard output (`--message-format=json`) up to the end of the build; what comes after it
/// was written by the test program, which may write what it likes.
pub fn read(stdout: &str) -> Build {
    let mut errors = String::new();
    for line in stdout.lines() {
        match serde_json::from_str(line) {
            Ok(Message::Diagnostic { message }) if message.level.starts_with("error") => {
                errors.push_str(message.rendered.as_deref().unwrap_or_default());
            }
            Ok(Message::BuildFinished { success: true }) => return Build::Succeeded,
            Ok(Message::BuildFinished { success: false }) => return Build::Failed(shorten(errors)),
            _ => {}
        }
    }
    Build::NotFinished
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
        assert_eq!(read(stdout), Build::Failed("error: one\nerror: two\n".to_owned()));
    }

    #[test]
    fn what_the_test_program_prints_is_no_message_of_cargo() {
        let stdout = r#"{"reason":"build-finished","success":true}
{"reason":"build-finished","success":false}
"#;
        assert_eq!(read(stdout), Build::Succeeded);
        assert_eq!(read("error: no such command\n"), Build::NotFinished);
    }
}
