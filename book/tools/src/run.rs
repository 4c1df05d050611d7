//! Commands that can be copied: one under each listing, which runs it, and those of the page without their prompts.

use mdbook_markdown::pulldown_cmark::{CodeBlockKind, Event, Tag};
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use std::collections::BTreeMap;
use std::path::Path;

/// Where the listings are, relative to the course.
const LISTINGS: &str = "book/listings/examples";

/// `text` with a command after each listing: after the last code block that includes a part of it, or else after the first one
/// that includes its output.
pub fn add_commands(text: &str, course: &Path) -> String {
    let is_listing = |name: &str| course.join(LISTINGS).join(format!("{name}.rs")).is_file();
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    let mut outputs: BTreeMap<String, usize> = BTreeMap::new();
    for (event, range) in new_cmark_parser(text, &MarkdownOptions::default()).into_offset_iter() {
        if !matches!(event, Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_)))) {
            continue;
        }
        let block = &text[range.clone()];
        if let Some(name) = included(block, "/examples/", ".rs").filter(|name| is_listing(name)) {
            sources.insert(name.to_owned(), range.end);
        } else if let Some(name) = included(block, "/captured/", ".txt").filter(|name| is_listing(name)) {
            outputs.entry(name.to_owned()).or_insert(range.end);
        }
    }
    outputs.retain(|name, _| !sources.contains_key(name));
    let mut places: Vec<(usize, String)> = sources.into_iter().chain(outputs).map(|(name, end)| (end, name)).collect();
    places.sort();
    let mut with_commands = String::with_capacity(text.len());
    let mut done = 0;
    for (end, name) in places {
        with_commands.push_str(&text[done..end]);
        with_commands.push_str(&format!(
            "\n\n<div class=\"run\">\n\n```sh\ncargo run -q -p listings --example {name}\n```\n\n</div>\n"
        ));
        done = end;
    }
    with_commands.push_str(&text[done..]);
    with_commands
}

/// `text` with the blocks that hold nothing but commands (`$ cargo book`) as a shell takes them: the page has a button that
/// copies them.
pub fn drop_prompts(text: &str) -> String {
    let mut dropped = String::with_capacity(text.len());
    let mut done = 0;
    for (event, range) in new_cmark_parser(text, &MarkdownOptions::default()).into_offset_iter() {
        let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) = event else { continue };
        let block = &text[range.clone()];
        let Some((_, commands)) = block.split_once('\n').filter(|_| &*language == "console") else { continue };
        let Some(commands) = commands.trim_end().strip_suffix("```") else { continue };
        let commands: Option<Vec<&str>> = commands.lines().map(|line| line.strip_prefix("$ ")).collect();
        if let Some(commands) = commands {
            dropped.push_str(&text[done..range.start]);
            dropped.push_str(&format!("```sh\n{}\n```", commands.join("\n")));
            // The line break after the fence, if it is part of the block, stays.
            done = range.start + block.trim_end().len();
        }
    }
    dropped.push_str(&text[done..]);
    dropped
}

/// The name of the file that a code block includes from a folder.
fn included<'a>(block: &'a str, folder: &str, ending: &str) -> Option<&'a str> {
    let (_, include) = block.split_once("{{#include ")?;
    let (_, file) = include.split_once(folder)?;
    let (name, _) = file.split_once(ending)?;
    Some(name).filter(|name| !name.contains(['/', '}', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> tempfile::TempDir {
        let course = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(course.path().join(LISTINGS)).unwrap();
        std::fs::write(course.path().join(LISTINGS).join("padding.rs"), "").unwrap();
        course
    }

    const SOURCE: &str = "```rust,ignore\n{{#include ../listings/examples/padding.rs:ask}}\n```\n";
    const OUTPUT: &str = "```text\n{{#include ../listings/captured/padding.txt:1:3}}\n```\n";

    #[test]
    fn the_command_comes_after_the_last_part_of_the_listing() {
        let text = add_commands(&format!("{SOURCE}\n{SOURCE}\n{OUTPUT}"), course().path());
        let parts: Vec<&str> = text.split("cargo run -q -p listings --example padding").collect();
        assert_eq!(parts.len(), 2, "{text}");
        assert_eq!(parts[0].matches("padding.rs").count(), 2, "{text}");
        assert!(parts[1].contains("padding.txt"), "{text}");
    }

    #[test]
    fn a_page_that_only_shows_the_output_has_the_command_after_it() {
        let text = add_commands(&format!("{OUTPUT}\nMore.\n\n{OUTPUT}"), course().path());
        let (before, after) = text.split_once("cargo run").expect("a command");
        assert!(before.contains("padding.txt") && after.contains("padding.txt"), "{text}");
    }

    #[test]
    fn commands_lose_their_prompts() {
        let text = "One:\n\n```console\n$ cargo book   # reads\n$ cargo lab\n```\n\nMore.\n";
        assert_eq!(drop_prompts(text), "One:\n\n```sh\ncargo book   # reads\ncargo lab\n```\n\nMore.\n");
    }

    #[test]
    fn a_session_with_output_keeps_its_prompts() {
        let text = "```console\n$ cargo lab\nlab01 100\n```\n";
        assert_eq!(drop_prompts(text), text);
        let text = "```text\n$ cargo lab\n```\n";
        assert_eq!(drop_prompts(text), text);
    }

    #[test]
    fn what_is_no_listing_has_no_command() {
        let text = OUTPUT.replace("padding", "growth_sum");
        assert_eq!(add_commands(&text, course().path()), text);
    }
}
