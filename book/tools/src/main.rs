//! `cargo book`: the book at a local address. `cargo book build`: the book in `book/book`.

use anyhow::{Context, Result};
use lexopt::prelude::*;
use mdbook_preprocessor::{Preprocessor as _, parse_input};
use std::process::ExitCode;

/// The malloc that the book teaches to write serves its own pages.
#[cfg(feature = "own-malloc")]
#[global_allocator]
static MALLOC: preload::Malloc = preload::Malloc;

const HELP: &str = "\
cargo book          shows the book at a local address, and again after each change
cargo book build    puts it in book/book
";

enum Command {
    Serve,
    Build,
    Help,
    /// mdBook's protocol: the book as JSON in, the book as JSON out.
    Preprocess,
    /// mdBook asks whether its renderer gets preprocessed pages. Every one does.
    Supports,
}

fn main() -> ExitCode {
    let command = match parse_arguments() {
        Ok(command) => command,
        Err(e) => {
            eprintln!("error: {e}: write `cargo book` or `cargo book build`");
            return ExitCode::from(2);
        }
    };
    // mdBook reports what it finds wrong, such as an include of a missing file, through `tracing`.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_target(false)
        .without_time()
        .init();
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse_arguments() -> Result<Command, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let mut command = None;
    while let Some(argument) = arguments.next()? {
        command = Some(match (&command, argument) {
            (_, Short('h') | Long("help")) => Command::Help,
            (None, Value(value)) if value == "build" => Command::Build,
            (None, Value(value)) if value == "preprocess" => Command::Preprocess,
            (Some(Command::Preprocess), Value(value)) if value == "supports" => {
                arguments.value()?;
                Command::Supports
            }
            (_, argument) => return Err(argument.unexpected()),
        });
    }
    Ok(command.unwrap_or(Command::Serve))
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Serve => book_tools::serve::serve(&book()?),
        Command::Build => {
            let book = book()?;
            book_tools::build(&book, &book_tools::default_dest(&book))
        }
        Command::Help => {
            print!("{HELP}");
            Ok(())
        }
        Command::Preprocess => {
            let (context, book) = parse_input(std::io::stdin().lock())?;
            let book = book_tools::Preprocessor.run(&context, book)?;
            serde_json::to_writer(std::io::stdout().lock(), &book).context("can't write the book to mdBook")
        }
        Command::Supports => Ok(()),
    }
}

fn book() -> Result<std::path::PathBuf> {
    let here = std::env::current_dir().context("can't tell the current folder")?;
    book_tools::find_book(&here)
}
