//! `cargo lab`, the learner's companion: where you are, what comes next, a hint, a watchful eye.

mod explain;
mod hint;
mod library;
mod list;
mod race;
mod run;
mod text;
mod watch;

use lexopt::{Arg, Parser, ValueExt};
use library::Source;
use proctor::lab::{self, Lab};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
    cargo lab                     the labs, your points so far, and the next thing to do
    cargo lab hint LAB [RULE]     the next hint; without RULE, on the first rule not earned yet
    cargo lab explain LAB         how the reference does it, and why, once you have all points
    cargo lab watch LAB           grades at each save of your file
    cargo lab run PROGRAM [ARGUMENT]...
                                  runs any program on your malloc of lab 8, and says what it did
    cargo lab race                measures your malloc beside glibc's, and those of the packages libjemalloc2,
                                  libtcmalloc-minimal4 and libmimalloc2.0, if they are installed
        --keep FILE               writes the result to a file
        --against FILE            shows an earlier result beside this one

    run and race also take:
        --given                   with the references of the earlier labs
        --solution                with the reference of lab 8, too
";

fn main() -> ExitCode {
    match command().and_then(run) {
        Ok(Done::Text(text)) => {
            // Nobody reads on (`cargo lab | head`): that's no failure.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Done::Program(code)) => ExitCode::from(code),
        Err(Failure::Usage(line)) => fail(&line, 2),
        Err(Failure::Other(line)) => fail(&line, 1),
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    eprintln!("cargo lab: {line}");
    ExitCode::from(code)
}

enum Failure {
    /// What was asked for makes no sense.
    Usage(String),
    /// It does, but it can't be done.
    Other(String),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::Usage(format!("{error} (cargo lab --help tells more)"))
    }
}

/// What comes of a command.
enum Done {
    /// Something to print.
    Text(String),
    /// A program has run, and has ended with this code.
    Program(u8),
}

enum Command {
    Help,
    List,
    Hint { lab: String, rule: Option<String> },
    Explain { lab: String },
    Watch { lab: String },
    Run { source: Source, program: OsString, arguments: Vec<OsString> },
    Race { source: Source, options: race::Options },
}

fn command() -> Result<Command, Failure> {
    let mut words = Vec::new();
    let (mut source, mut race) = (Source::Learner, race::Options::default());
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        let (is_run, is_race) = (words == ["run"], words == ["race"]);
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long("given") if is_run || is_race => source = Source::Given,
            Arg::Long("solution") if is_run || is_race => source = Source::Solution,
            Arg::Long("keep") if is_race => race.keep = Some(parser.value()?.into()),
            Arg::Long("against") if is_race => race.against = Some(parser.value()?.into()),
            // What follows is the program's own.
            Arg::Value(program) if is_run => {
                return Ok(Command::Run { source, program, arguments: parser.raw_args()?.collect() });
            }
            Arg::Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => Ok(Command::List),
        ["hint", lab] => Ok(Command::Hint { lab: lab.to_owned(), rule: None }),
        ["hint", lab, rule] => Ok(Command::Hint { lab: lab.to_owned(), rule: Some(rule.to_owned()) }),
        ["explain", lab] => Ok(Command::Explain { lab: lab.to_owned() }),
        ["watch", lab] => Ok(Command::Watch { lab: lab.to_owned() }),
        ["race"] => Ok(Command::Race { source, options: race }),
        ["run"] => Err(Failure::Usage("which program? cargo lab run PROGRAM [ARGUMENT]...".into())),
        ["hint" | "explain" | "watch"] => Err(Failure::Usage(format!("which lab? cargo lab {} LAB", words[0]))),
        _ => Err(Failure::Usage(format!("can't do `{}` (cargo lab --help tells what it can)", words.join(" ")))),
    }
}

fn run(command: Command) -> Result<Done, Failure> {
    if let Command::Help = command {
        return Ok(Done::Text(USAGE.to_owned()));
    }
    let root = course_root().map_err(Failure::Other)?;
    match &command {
        Command::Run { source, program, arguments } => {
            return run::run(&root, *source, program, arguments).map(Done::Program);
        }
        Command::Race { source, options } => return race::race(&root, *source, options).map(Done::Text),
        _ => {}
    }
    let labs = Lab::load_all(&root.join("labs")).map_err(|e| Failure::Other(e.to_string()))?;
    let text = match command {
        Command::Help | Command::List | Command::Run { .. } | Command::Race { .. } => {
            list::overview(&labs).map_err(Failure::Other)
        }
        Command::Hint { lab, rule } => {
            let lab = find(&labs, &lab)?;
            let rule = match rule {
                Some(id) => Some(lab.rule(&id).ok_or_else(|| unknown_rule(lab, &id))?),
                None => None,
            };
            hint::next(lab, rule).map_err(Failure::Other)
        }
        Command::Explain { lab } => explain::explain(find(&labs, &lab)?).map_err(Failure::Other),
        Command::Watch { lab } => {
            watch::watch(&root, find(&labs, &lab)?).map(|()| String::new()).map_err(Failure::Other)
        }
    };
    text.map(Done::Text)
}

/// The course of the current folder, else the one this program was built from.
fn course_root() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|e| format!("the current folder: {e}"))?;
    lab::course_root(&here)
        .or_else(|| lab::course_root(Path::new(env!("CARGO_MANIFEST_DIR"))))
        .map(Path::to_path_buf)
        .ok_or_else(|| "there is no course here: start it from your copy of the course".to_owned())
}

fn find<'a>(labs: &'a [Lab], name: &str) -> Result<&'a Lab, Failure> {
    labs.iter().find(|lab| lab.name == name).ok_or_else(|| {
        let known: Vec<&str> = labs.iter().map(|lab| lab.name.as_str()).collect();
        Failure::Usage(format!("there is no lab `{name}` (there are: {})", known.join(", ")))
    })
}

fn unknown_rule(lab: &Lab, id: &str) -> Failure {
    let known: Vec<&str> = lab.rules.iter().map(|rule| rule.id.as_str()).collect();
    Failure::Usage(format!("{} has no rule `{id}` (it has: {})", lab.name, known.join(", ")))
}
