//! The book: what turns its pages into HTML, and what serves them while they are read or written.
//!
//! * [`Preprocessor`] fills in what no hand types: [facts], [figures], tables of [rules], and how to run each listing.
//! * [`build`] renders the book; [`serve`](serve::serve) also shows it, and renders it again on each change.

mod directive;
pub mod facts;
pub mod figures;
mod grades;
mod playground;
pub mod predict;
mod preprocessor;
pub mod rules;
mod run;
pub mod serve;
pub mod story;
mod watch;

pub use preprocessor::Preprocessor;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use std::path::{Path, PathBuf};

/// The book of the course that `start` stands in: the folder of its `book.toml`.
///
/// # Errors
/// One line: `start` doesn't stand in a course.
pub fn find_book(start: &Path) -> Result<PathBuf> {
    start
        .ancestors()
        .map(|dir| dir.join("book"))
        .find(|book| book.join("book.toml").is_file())
        .with_context(|| format!("no book/book.toml in {} or above it: start in the course's folder", start.display()))
}

/// Where [`build`] puts the book when nobody says otherwise: where `mdbook build` would.
pub fn default_dest(book: &Path) -> PathBuf {
    book.join("book")
}

/// Renders the book in the folder `book` into the folder `dest`, replacing what is there.
///
/// # Errors
/// One line, with the page and the line in it where there is one.
pub fn build(book: &Path, dest: &Path) -> Result<()> {
    let mut book = MDBook::load(book)?;
    book.config.build.build_dir = dest.to_path_buf();
    // Takes the place of the command that `book.toml` gives under the same name.
    book.with_preprocessor(Preprocessor);
    book.build()
}

/// The course that the book in the folder `book` belongs to: the nearest folder above it with labs.
fn course_of(book: &Path) -> Result<&Path> {
    book.ancestors()
        .skip(1)
        .find(|dir| dir.join("labs").is_dir())
        .with_context(|| format!("no folder above {} has labs/: the book's tables come from there", book.display()))
}
