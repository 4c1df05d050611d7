//! mdBook's preprocessor: the directives of every page, answered.

use crate::directive::{self, Directive};
use crate::facts::Facts;
use crate::{course_of, figures, rules, run};
use anyhow::{Error, Result, bail};
use mdbook_preprocessor::PreprocessorContext;
use mdbook_preprocessor::book::{Book, Chapter};
use std::path::Path;

/// Answers `{{fact …}}`, `{{figure …}}` and `{{rules …}}`, and adds the command that runs it to each listing.
pub struct Preprocessor;

impl mdbook_preprocessor::Preprocessor for Preprocessor {
    fn name(&self) -> &str {
        "heaplab"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let course = course_of(&context.root)?;
        let facts = Facts::load(course).map_err(Error::msg)?;
        let pages = context.root.join(&context.config.book.src);
        let pages = pages.strip_prefix(course).unwrap_or(&pages);
        let mut result = Ok(());
        book.for_each_chapter_mut(|chapter| {
            if result.is_ok() {
                result = fill_in(chapter, course, &facts, pages);
            }
        });
        result.map(|()| book)
    }
}

fn fill_in(chapter: &mut Chapter, course: &Path, facts: &Facts, pages: &Path) -> Result<()> {
    // A draft has no page yet.
    let (Some(path), Some(source)) = (&chapter.path, &chapter.source_path) else {
        return Ok(());
    };
    let to_root = "../".repeat(path.components().count() - 1);
    match expand(&chapter.content, course, facts, &to_root) {
        Ok(content) => chapter.content = run::add_commands(&run::drop_prompts(&content), course),
        Err(directive::Mistake { line, what }) => {
            bail!("{}:{line}: {what}", pages.join(source).display())
        }
    }
    Ok(())
}

fn expand(text: &str, course: &Path, facts: &Facts, to_root: &str) -> Result<String, directive::Mistake> {
    let answer = |directive: &Directive| {
        match directive.name {
        "fact" => facts.show(directive.argument),
        "figure" => {
            // A caption may state facts.
            let argument = expand(directive.argument, course, facts, to_root).map_err(|mistake| mistake.what)?;
            directive.block(&figures::figure(course, &argument)?)
        }
        "rules" => directive.block(&rules::table(course, directive.argument, to_root)?),
        _ => Err("unknown: write {{fact NAME}}, {{figure NAME | caption}} or {{rules LAB}}, or put it in `code` to show it".to_owned()),
    }
    };
    directive::expand(text, answer)
}
