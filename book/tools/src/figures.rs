//! `{{figure NAME | caption}}`: a heap that a program drew.

use std::path::Path;

/// Where the figures are, relative to the course.
pub const FOLDER: &str = "book/listings/captured/figures";

/// Markdown for the figure that `argument` (`NAME | caption`) asks for: the drawing is inlined, so that it takes the colours of
/// the page's theme. The caption is markdown, and begins with `label`, such as `Figure 3.1`.
///
/// # Errors
/// There is no such figure, it says nothing to those who can't see it, or it has no caption.
pub fn figure(course: &Path, argument: &str, label: &str) -> Result<String, String> {
    let (name, caption) = argument
        .split_once('|')
        .map(|(name, caption)| (name.trim(), caption.trim()))
        .filter(|(name, caption)| !name.is_empty() && !caption.is_empty())
        .ok_or("say which one, and what it shows: {{figure NAME | caption}}")?;
    let file = format!("{FOLDER}/{name}.svg");
    let svg = std::fs::read_to_string(course.join(&file))
        .map_err(|e| format!("{file}: {e}: correct the name, or let a program in book/listings draw it"))?;
    check(&file, &svg)?;
    layout(&svg, &full_caption(label, caption, is_schematic(&svg)))
        .ok_or_else(|| format!("{file} has no <svg …> with a width in pixels: draw it again"))
}

/// The drawing on one line, because a blank line would end the HTML and an indented one could start a code block. The
/// caption between blank lines, because only there markdown is read as markdown.
fn layout(svg: &str, caption: &str) -> Option<String> {
    let svg = &svg[svg.find("<svg")?..];
    let width = natural_width(svg)?;
    let svg = one_line(svg);
    let caption = one_line(caption);
    Some(format!(
        "<figure class=\"heap-figure\" style=\"--natural-width: {width}px\">\n\
         <div class=\"heap-scroll\">{svg}</div>\n\
         <figcaption>\n\n{caption}\n\n</figcaption>\n\
         </figure>\n"
    ))
}

/// A drawing has to say in words what it shows.
pub(crate) fn check(file: &str, svg: &str) -> Result<(), String> {
    let says = attribute(svg, "aria-label").is_some_and(|words| words.split_whitespace().count() >= 5);
    if says {
        Ok(())
    } else {
        Err(format!("{file} has no aria-label that describes it in five words or more: draw it again"))
    }
}

/// Whether the sizes in the drawing are not those of what it shows.
pub(crate) fn is_schematic(svg: &str) -> bool {
    attribute(svg, "class").is_some_and(|classes| classes.split(' ').any(|class| class == "schematic"))
}

/// The caption with its number, and with a word about the scale.
pub(crate) fn full_caption(label: &str, caption: &str, is_schematic: bool) -> String {
    let scale = if is_schematic { " <span class=\"scale\">Not to scale.</span>" } else { "" };
    format!("**{label}.** {caption}{scale}")
}

/// An attribute of the `<svg …>` tag.
fn attribute<'a>(svg: &'a str, name: &str) -> Option<&'a str> {
    let tag = &svg[svg.find("<svg")?..];
    let tag = &tag[..tag.find('>')?];
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

/// The width that the drawing gives itself. The style sheet shrinks it to fit, but not until it can't be read.
pub(crate) fn natural_width(svg: &str) -> Option<u32> {
    attribute(svg, "width")?.parse().ok()
}

pub(crate) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<?xml version=\"1.0\"?>\n<svg class=\"heap\" aria-label=\"A heap with one chunk in use.\"\n     width=\"710\">\n\n    <rect class=\"used\"/>\n</svg>\n";

    fn course_with_a_figure() -> tempfile::TempDir {
        let course = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(course.path().join(FOLDER)).unwrap();
        std::fs::write(course.path().join(FOLDER).join("two-free.svg"), SVG).unwrap();
        course
    }

    #[test]
    fn the_drawing_is_inlined_on_one_line_without_its_prolog() {
        let figure = figure(course_with_a_figure().path(), "two-free | B and C are free", "Figure 3.1").unwrap();
        assert!(
            figure.contains(
                "<div class=\"heap-scroll\"><svg class=\"heap\" aria-label=\"A heap with one chunk in use.\" width=\"710\"> <rect class=\"used\"/> </svg></div>\n"
            ),
            "{figure}"
        );
        assert!(figure.contains("--natural-width: 710px"), "{figure}");
    }

    #[test]
    fn the_caption_stands_between_blank_lines_and_stays_markdown() {
        let figure =
            figure(course_with_a_figure().path(), "two-free | After `free(b)`:\n  B | C", "Figure 3.1").unwrap();
        assert!(figure.contains("<figcaption>\n\n**Figure 3.1.** After `free(b)`: B | C\n\n</figcaption>"), "{figure}");
    }

    #[test]
    fn an_unknown_figure_is_an_error_that_names_the_file() {
        let error = figure(course_with_a_figure().path(), "tow-free | caption", "Figure 3.1").unwrap_err();
        assert!(error.starts_with("book/listings/captured/figures/tow-free.svg: "), "{error}");
    }

    #[test]
    fn a_figure_without_a_caption_is_an_error() {
        for argument in ["two-free", "two-free |", "| caption", ""] {
            let error = figure(course_with_a_figure().path(), argument, "Figure 3.1").unwrap_err();
            assert!(error.contains("{{figure NAME | caption}}"), "{argument}: {error}");
        }
    }

    #[test]
    fn a_drawing_that_is_not_to_scale_says_so() {
        let course = course_with_a_figure();
        std::fs::write(course.path().join(FOLDER).join("two-free.svg"), SVG.replace("\"heap\"", "\"heap schematic\""))
            .unwrap();
        let figure = figure(course.path(), "two-free | B and C", "Figure 3.1").unwrap();
        assert!(figure.contains("**Figure 3.1.** B and C <span class=\"scale\">Not to scale.</span>\n"), "{figure}");
    }

    #[test]
    fn a_drawing_that_says_nothing_is_an_error() {
        let course = course_with_a_figure();
        for label in ["", "aria-label=\"a heap\""] {
            let svg = SVG.replace("aria-label=\"A heap with one chunk in use.\"", label);
            std::fs::write(course.path().join(FOLDER).join("two-free.svg"), svg).unwrap();
            let error = figure(course.path(), "two-free | B and C", "Figure 3.1").unwrap_err();
            assert!(error.contains("two-free.svg has no aria-label"), "{error}");
        }
    }

    #[test]
    fn a_drawing_without_a_width_is_an_error() {
        assert_eq!(layout("<svg class=\"heap\"></svg>", "caption"), None);
        assert_eq!(layout("not a drawing", "caption"), None);
    }
}
