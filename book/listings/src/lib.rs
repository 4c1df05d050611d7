//! The listings of the book, and what they print.
//!
//! Each program in `examples/` is a listing. What it prints is in `captured/`, together with the figures and the facts of the
//! pages: `cargo run -p listings --features reference --bin capture` writes them anew.

pub mod block;
#[cfg(feature = "reference")]
pub mod captures;
#[cfg(feature = "reference")]
pub mod parser;
pub mod process;
#[cfg(feature = "reference")]
pub mod story;
pub mod waiting;

/// An answer to a question, in the words of the listings.
pub fn yes(answer: bool) -> &'static str {
    if answer { "yes" } else { "no" }
}
