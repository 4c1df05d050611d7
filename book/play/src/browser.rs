//! What the page calls. Texts go through two buffers in this module's memory: the page writes one, and reads the other.

use crate::map;
use crate::story::Story;
use crate::view::{Summary, view};
use std::cell::RefCell;

#[derive(Default)]
struct Page {
    input: Vec<u8>,
    output: String,
    story: Option<Story>,
}

thread_local! {
    static PAGE: RefCell<Page> = RefCell::default();
}

/// Room for `len` bytes of input.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn input(len: usize) -> *mut u8 {
    PAGE.with_borrow_mut(|page| {
        page.input = vec![0; len];
        page.input.as_mut_ptr()
    })
}

/// Plays the input: a line with the settings, then the story. The output is its summary, or a sentence in quotes if there is no such
/// setting.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn play() {
    PAGE.with_borrow_mut(|page| {
        let input = String::from_utf8_lossy(&page.input).into_owned();
        let (settings, text) = input.split_once('\n').unwrap_or((&input, ""));
        page.output = match settings.parse() {
            Ok(settings) => {
                let story = Story::play(settings, text);
                let summary = json(&Summary::of(&story));
                page.story = Some(story);
                summary
            }
            Err(what) => json(&what),
        };
    });
}

/// Shows the moment `now` of the story, with what has changed since the moment `since`; nothing is marked if there is no such moment.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn step(now: usize, since: usize) {
    PAGE.with_borrow_mut(|page| {
        let Page { output, story, .. } = page;
        *output = match story {
            Some(story) if now < story.moments.len() => {
                json(&view(story, now, Some(since).filter(|since| *since < story.moments.len())))
            }
            _ => "null".into(),
        };
    });
}

/// Plays the input as a trace: a line with the settings, then the text of a `.rep` file. The output is its map, or the line that makes no
/// sense and why.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn map() {
    PAGE.with_borrow_mut(|page| {
        let input = String::from_utf8_lossy(&page.input).into_owned();
        let (settings, text) = input.split_once('\n').unwrap_or((&input, ""));
        page.output = match settings.parse().map_err(|what| (0, what)).and_then(|settings| map::map(settings, text)) {
            Ok(map) => json(&map),
            Err((line, what)) => json(&(line, what)),
        };
    });
}

/// Where the output is.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn output() -> *const u8 {
    PAGE.with_borrow(|page| page.output.as_ptr())
}

/// How many bytes it has.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn output_len() -> usize {
    PAGE.with_borrow(|page| page.output.len())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
