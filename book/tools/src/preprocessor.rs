//! mdBook's preprocessor: the directives of every page, answered.

use crate::directive::{self, Directive};
use crate::facts::Facts;
use crate::{course_of, figures, playground, predict, rules, run, story};
use anyhow::{Error, Result, bail};
use mdbook_preprocessor::PreprocessorContext;
use mdbook_preprocessor::book::{Book, Chapter};
use std::cell::Cell;
use std::path::Path;

/// Answers `{{fact …}}`, `{{figure …}}`, `{{rules …}}`, `{{predict …}}`, `{{story …}}` and `{{play …}}`, and adds the command that
/// runs it to each listing.
pub struct Preprocessor;

impl mdbook_preprocessor::Preprocessor for Preprocessor {
    fn name(&self) -> &str {
        "heaplab"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let course = course_of(&context.root)?;
        let facts = Facts::load(course).map_err(Error::msg)?;
        let pages = context.root.join(&context.config.book.src);
        playground::say_what_is_missing(course, &pages);
        let pages = pages.strip_prefix(course).unwrap_or(&pages);
        let mut result = Ok(());
        book.for_each_chapter_mut(|chapter| {
            if result.is_ok() {
                result = fill_in(chapter, course, &facts, pages, figure_word(context));
            }
        });
        result.map(|()| book)
    }
}

/// What a figure is called in the book's language.
fn figure_word(context: &PreprocessorContext) -> &'static str {
    match context.config.book.language.as_deref() {
        Some("ko") => "그림",
        _ => "Figure",
    }
}

fn fill_in(chapter: &mut Chapter, course: &Path, facts: &Facts, pages: &Path, figure_word: &str) -> Result<()> {
    // A draft has no page yet.
    let (Some(path), Some(source)) = (&chapter.path, &chapter.source_path) else {
        return Ok(());
    };
    let to_root = "../".repeat(path.components().count() - 1);
    // `3.` for the third chapter; a page without a number counts its figures alone.
    let number = chapter.number.as_ref().map(ToString::to_string).unwrap_or_default();
    let page = Page {
        name: path.with_extension("").display().to_string(),
        course,
        facts,
        to_root,
        figure: format!("{figure_word} {number}"),
        figures: Cell::new(0),
    };
    match page.expand(&chapter.content) {
        Ok(content) => chapter.content = run::add_commands(&run::drop_prompts(&content), course),
        Err(directive::Mistake { line, what }) => {
            bail!("{}:{line}: {what}", pages.join(source).display())
        }
    }
    Ok(())
}

/// What the directives of a page may ask for.
struct Page<'a> {
    /// Its path in the book, without the ending.
    name: String,
    course: &'a Path,
    facts: &'a Facts,
    /// The way from the page to the book's first one, such as `../`.
    to_root: String,
    /// What its figures are called, before their number: `Figure 3.`.
    figure: String,
    /// How many there have been.
    figures: Cell<usize>,
}

impl Page<'_> {
    fn expand(&self, text: &str) -> Result<String, directive::Mistake> {
        directive::expand(text, |directive| self.answer(directive))
    }

    fn answer(&self, directive: &Directive) -> Result<String, String> {
        match directive.name {
            "fact" => self.facts.show(directive.argument),
            "figure" => {
                // A caption may state facts.
                let argument = self.expand(directive.argument).map_err(|mistake| mistake.what)?;
                directive.block(&figures::figure(self.course, &argument, &self.next_figure())?)
            }
            "rules" => directive.block(&rules::table(self.course, directive.argument, &self.to_root)?),
            "predict" => {
                let body = self.body(directive)?;
                directive.block(&predict::layout(self.facts, &self.name, directive.argument, &body)?)
            }
            "story" => {
                let argument = self.expand(directive.argument).map_err(|mistake| mistake.what)?;
                directive.block(&story::story(self.course, &argument, &self.body(directive)?, &self.next_figure())?)
            }
            "play" => {
                let body = self.body(directive)?;
                directive.block(&playground::below_a_section(directive.argument, &body)?)
            }
            _ => Err("unknown: write {{fact NAME}}, {{figure NAME | caption}}, {{rules LAB}}, {{predict NAME}} … {{/predict}}, \
                      {{story NAME | caption}} … {{/story}} or {{play HEAP | title}} … {{/play}}, or put it in `code` to show it"
                .to_owned()),
        }
    }

    /// The next figure's name.
    fn next_figure(&self) -> String {
        self.figures.set(self.figures.get() + 1);
        format!("{}{}", self.figure, self.figures.get())
    }

    /// The body of a directive that needs one, with its own directives answered.
    fn body(&self, directive: &Directive) -> Result<String, String> {
        let name = directive.name;
        let body = directive.body.ok_or_else(|| format!("close it with {{{{/{name}}}}} on a line of its own"))?;
        self.expand(body).map_err(|inner| format!("{} (in line {} of what it holds)", inner.what, inner.line))
    }
}
