//! The playground's program: compiled to WebAssembly by `ci/playground`, which leaves it among the pages. The book is built without
//! it, too.

use std::path::Path;
use std::sync::Once;

/// The page.
const PAGE: &str = "playground.md";
/// Its program, which no hand writes and git doesn't keep.
const PROGRAM: &str = "playground.wasm.js";
/// What makes it. A student edition has no references, and so nothing to make it from.
const MAKER: &str = "ci/playground";

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
