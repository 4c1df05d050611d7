//! `{{story NAME | caption}} … {{/story}}`: a heap after each step of a run.
//!
//! ```text
//! {{story reuse | Four blocks, two of them freed and used again.}}
//!
//! 1. Four blocks lie side by side.
//! 2. `free(B)`: B is in the list.
//!
//! {{/story}}
//! ```
//!
//! Each item of the list is about one picture, `figures/NAME-1.svg` and so on. All of them are on the page; `theme/answers.js`
//! shows one at a time.

use crate::figures::{FOLDER, check, full_caption, is_schematic, natural_width, one_line};
use std::fmt::Write;
use std::path::Path;

const FORM: &str = "write a numbered list, with one item for each picture: `1. what happened`";

/// Markdown for the story that `argument` (`NAME | caption`) asks for, with the sentences in `body`. The caption begins with `label`.
///
/// # Errors
/// There is no such story, a picture says nothing to those who can't see it, the story has no caption, or the sentences aren't as
/// many as the pictures.
pub fn story(course: &Path, argument: &str, body: &str, label: &str) -> Result<String, String> {
    let (name, caption) = argument
        .split_once('|')
        .map(|(name, caption)| (name.trim(), one_line(caption)))
        .filter(|(name, caption)| !name.is_empty() && !caption.is_empty())
        .ok_or("say which one, and what it shows: {{story NAME | caption}}")?;
    let sentences = sentences(body).ok_or(FORM)?;
    let picture = |step: usize| format!("{FOLDER}/{name}-{step}.svg");
    let (mut width, mut not_to_scale) = (0, false);
    let mut steps = String::new();
    for (step, sentence) in (1..).zip(&sentences) {
        let file = picture(step);
        let svg = std::fs::read_to_string(course.join(&file))
            .map_err(|e| format!("{file}: {e}: correct the name, or let a program in book/listings draw it"))?;
        check(&file, &svg)?;
        not_to_scale |= is_schematic(&svg);
        width = width.max(natural_width(&svg).ok_or_else(|| format!("{file} has no <svg …> with a width in pixels"))?);
        let _ = write!(
            steps,
            "<li>\n\n{sentence}\n\n<div class=\"heap-scroll\" tabindex=\"0\">{}</div>\n</li>\n",
            one_line(&svg)
        );
    }
    if course.join(picture(sentences.len() + 1)).exists() {
        return Err(format!("`{name}` has more pictures than the {} sentences here", sentences.len()));
    }
    let caption = full_caption(label, &caption, not_to_scale);
    Ok(format!(
        "<figure class=\"heap-figure story\" style=\"--natural-width: {width}px\">\n\
         <ol class=\"steps\">\n{steps}</ol>\n\
         <figcaption>\n\n{caption}\n\n</figcaption>\n</figure>\n"
    ))
}

/// The items of a numbered list, each on one line.
fn sentences(list: &str) -> Option<Vec<String>> {
    let mut sentences: Vec<String> = Vec::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let next = format!("{}. ", sentences.len() + 1);
        if let Some(sentence) = line.strip_prefix(&next) {
            sentences.push(sentence.trim().to_owned());
        } else {
            let sentence = sentences.last_mut().filter(|_| line.starts_with(' '))?;
            let _ = write!(sentence, " {}", line.trim());
        }
    }
    Some(sentences).filter(|sentences| !sentences.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> tempfile::TempDir {
        let course = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(course.path().join(FOLDER)).unwrap();
        for (step, width) in [(1, 300), (2, 420)] {
            let svg = format!(
                "<svg class=\"heap\" aria-label=\"Four chunks, one of them free.\" width=\"{width}\">\n<g/>\n</svg>\n"
            );
            std::fs::write(course.path().join(FOLDER).join(format!("reuse-{step}.svg")), svg).unwrap();
        }
        course
    }

    #[test]
    fn each_step_has_its_sentence_and_its_picture() {
        let story =
            story(course().path(), "reuse | A and B", "\n\n1. Four\n   blocks.\n2. `free(B)`\n\n", "Figure 1.1")
                .unwrap();
        assert!(story.contains("<li>\n\nFour blocks.\n\n<div class=\"heap-scroll\" tabindex=\"0\"><svg class=\"heap\" aria-label=\"Four chunks, one of them free.\" width=\"300\"> <g/> </svg></div>\n</li>"), "{story}");
        assert!(story.contains("<li>\n\n`free(B)`\n\n<div"), "{story}");
        assert!(story.contains("--natural-width: 420px"), "{story}");
    }

    #[test]
    fn there_are_as_many_sentences_as_pictures() {
        let few = story(course().path(), "reuse | A and B", "1. Four blocks.\n", "Figure 1.1").unwrap_err();
        assert!(few.contains("more pictures than the 1 sentences"), "{few}");
        let many =
            story(course().path(), "reuse | A and B", "1. One.\n2. Two.\n3. Three.\n", "Figure 1.1").unwrap_err();
        assert!(many.starts_with("book/listings/captured/figures/reuse-3.svg: "), "{many}");
    }

    #[test]
    fn a_story_without_a_list_or_a_caption_says_how_to_write_one() {
        assert_eq!(story(course().path(), "reuse | A", "Four blocks.\n", "Figure 1.1").unwrap_err(), FORM);
        assert!(
            story(course().path(), "reuse", "1. One.\n", "Figure 1.1")
                .unwrap_err()
                .contains("{{story NAME | caption}}")
        );
    }
}
