//! A story as a link to the book's playground, where the reference plays it step by step.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;

/// The page, relative to the book's first one.
pub const PAGE: &str = "playground.html";

/// What it runs, relative to the course. `ci/playground` makes it.
pub const PROGRAM: &str = "book/src/playground.wasm.js";

/// The first port that `cargo book` tries. `mdbook serve` has the same one.
pub const PORT: u16 = 3000;

/// What an address need not hide, so that a reader recognises the calls in it.
const HIDDEN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'-')
    .remove(b':')
    .remove(b'=')
    .remove(b'_');

/// The link to a story, relative to the book's first page.
pub fn link<'a>(heap: &str, calls: impl IntoIterator<Item = &'a str>) -> String {
    format!("{PAGE}#{}", fragment(heap, calls))
}

/// What the link says after its `#`. `heap` names the malloc that plays it and what is switched on, as `book/play` does:
/// `page first split join`.
pub fn fragment<'a>(heap: &str, calls: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = heap.split_whitespace();
    let mut said = format!("heap={}", words.next().unwrap_or_default());
    for word in words {
        let key = if matches!(word, "first" | "best" | "worst") { "fit=" } else { "" };
        let _ = write!(said, "&{key}{word}");
    }
    said.push_str("&story=");
    for (i, call) in calls.into_iter().enumerate() {
        let between = if i > 0 { ";" } else { "" };
        // `a=malloc(40)` says as much as `a = malloc(40)`.
        let call = call.replace(" = ", "=").replace(", ", ",");
        let _ = write!(said, "{between}{}", utf8_percent_encode(&call, HIDDEN));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_becomes_a_link_that_can_be_read() {
        let story = ["a = malloc(64)", "a = realloc(a, 100)", "free(a)"];
        let expected = "playground.html#heap=page&fit=first&split&join&story=a=malloc(64);a=realloc(a,100);free(a)";
        assert_eq!(link("page first split join", story), expected);
    }

    #[test]
    fn what_an_address_cannot_hold_is_written_in_its_own_way() {
        let story = ["a = malloc(64 GiB)", "other code moves the break by +4096", "a&b#%;"];
        let expected = "playground.html#heap=system&story=a=malloc(64%20GiB);\
                        other%20code%20moves%20the%20break%20by%20+4096;a%26b%23%25%3B";
        assert_eq!(link("system", story), expected);
    }
}
