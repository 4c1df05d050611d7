//! The playground: a page of its own, and `{{play HEAP | title}} … {{/play}}` below a section, a story to be changed and played.
//!
//! ```text
//! {{play page first split | What is left of a chunk?}}
//!
//! a = malloc(200)
//! free(a)
//!
//! {{/play}}
//! ```
//!
//! `theme/playground.js` puts a playground in its place when a reader unfolds it. Its program is compiled to WebAssembly by
//! `ci/playground`, which leaves it among the pages. The book is built without it, too.

use proctor::playground::fragment;
use std::path::Path;
use std::sync::Once;

/// The page.
const PAGE: &str = "playground.md";
/// Its program, which no hand writes and git doesn't keep.
const PROGRAM: &str = "playground.wasm.js";
/// What makes it. A student edition has no references, and so nothing to make it from.
const MAKER: &str = "ci/playground";

/// HTML for the story in `body`, on the heap that `argument` (`HEAP | title`) names.
///
/// # Errors
/// The argument has no title, or the body no story.
pub fn below_a_section(argument: &str, body: &str) -> Result<String, String> {
    let (heap, title) = argument
        .split_once('|')
        .map(|(heap, title)| (heap.trim(), title.trim()))
        .filter(|(heap, title)| !heap.is_empty() && !title.is_empty())
        .ok_or("say on which heap, and what it is about: {{play page first split | title}}")?;
    let calls: Vec<&str> = body.split([';', '\n']).map(str::trim).filter(|call| !call.is_empty()).collect();
    if calls.is_empty() {
        return Err("write a story, one call a line: `a = malloc(40)`".to_owned());
    }
    let story = fragment(heap, calls.iter().copied()).replace('&', "&amp;");
    Ok(format!(
        "<details class=\"play-here\" data-story=\"{story}\">\n<summary>Play with it: {title}</summary>\n<div class=\"place\">\n\n\
         This story is played here, step by step, by the reference, when scripts may run:\n\n\
         ```text\n{}\n```\n\n</div>\n</details>\n",
        calls.join("\n"),
    ))
}

/// What is missing, if there is a page `pages/playground.md` without its program, and the course could make one.
fn missing(course: &Path, pages: &Path) -> Option<String> {
    let is_missing = pages.join(PAGE).is_file() && !pages.join(PROGRAM).is_file() && course.join(MAKER).is_file();
    is_missing.then(|| {
        format!(
            "note: the playground isn't built, and its page says so: `rustup component add rust-src`, then `{MAKER}`"
        )
    })
}

/// Says what is missing, once in the life of this program: `cargo book` renders the book after each change.
pub fn say_what_is_missing(course: &Path, pages: &Path) {
    static SAID: Once = Once::new();
    if let Some(what) = missing(course, pages) {
        SAID.call_once(|| eprintln!("{what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_story_below_a_section_is_a_text_and_what_a_link_would_say() {
        let html = below_a_section("page first split | What is left?", "\n\n  a = malloc(200); free(a)\n\n").unwrap();
        assert!(html.contains("Play with it: What is left?"), "{html}");
        assert!(html.contains("```text\na = malloc(200)\nfree(a)\n```"), "{html}");
        let story = "data-story=\"heap=page&amp;fit=first&amp;split&amp;story=a=malloc(200);free(a)\"";
        assert!(html.contains(story), "{html}");
    }

    #[test]
    fn a_place_without_a_title_or_a_story_says_how_to_write_one() {
        for argument in ["page first", "| What?", "page first |"] {
            assert!(below_a_section(argument, "free(a)").unwrap_err().contains("{{play page first split | title}}"));
        }
        assert!(below_a_section("page | What?", "\n").unwrap_err().contains("one call a line"));
    }

    #[test]
    fn only_a_page_without_its_program_is_a_matter_for_words() {
        let course = tempfile::tempdir().unwrap();
        let missing = || missing(course.path(), course.path());
        assert_eq!(missing(), None);
        fs::write(course.path().join(PAGE), "").unwrap();
        assert_eq!(missing(), None, "a student edition");
        fs::create_dir(course.path().join("ci")).unwrap();
        fs::write(course.path().join(MAKER), "").unwrap();
        assert!(missing().unwrap().contains("`ci/playground`"));
        assert!(!missing().unwrap().contains('\n'));
        fs::write(course.path().join(PROGRAM), "").unwrap();
        assert_eq!(missing(), None);
    }
}
