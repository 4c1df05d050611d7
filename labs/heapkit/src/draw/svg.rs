//! The heap picture as SVG. Colours come from the page's style sheet, by class. A picture of the class `schematic` is not to scale.

use super::{flag_letters, lists};
use crate::format::{FLAGS, IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use crate::image::{Block, FREE_LIST, Image, Link, List, Offset, State};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Heaps side by side in time: each a strip of chunks from left to right, with the free list as arrows above it. Where lists
/// have names of their own, each is a row below it.
#[derive(Default)]
pub struct Strip {
    moments: Vec<Moment>,
    is_tied: bool,
    /// What all steps have in common, once one was drawn.
    layout: OnceCell<Layout>,
}

/// Where things are in the pictures of all steps.
#[derive(Clone, Copy)]
struct Layout {
    boxes_at: usize,
    width: usize,
    chunks_at: usize,
    height: usize,
}

struct Moment {
    title: String,
    image: Image,
    names: BTreeMap<usize, String>,
    is_tied: bool,
}

const BOX: usize = 54;
/// The title of a moment.
const TITLE: usize = 26;
/// Above the chunks, room for the arrows.
const ARROWS: usize = 58;
/// Below them: the offsets.
const FOOT: usize = 34;
/// Below that, where chunks are tied to lists: room for the lines.
const TIES: usize = 34;
/// Left of them, where there is one list: its head.
const LEFT: usize = 52;

impl Strip {
    /// Strips that show heap and lists as the two structures that they are: each list is a row below the heap, even the only one,
    /// with a line from each of its chunks up to where that is in the heap. What is about a chunk says so in `data-at`.
    pub fn tied() -> Self {
        Strip { is_tied: true, ..Strip::default() }
    }

    /// Adds a strip below the others: what happened, the heap after it, and names for some of its chunks.
    pub fn moment(mut self, title: &str, image: Image, names: &[(usize, &str)]) -> Self {
        // Of two names for a chunk, the first one counts.
        let names = names.iter().rev().map(|&(at, name)| (at, name.to_owned())).collect();
        self.layout.take();
        self.moments.push(Moment { title: title.to_owned(), image, names, is_tied: self.is_tied });
        self
    }

    /// The picture.
    pub fn svg(&self) -> String {
        // The rows of all moments begin at the same place.
        let boxes_at = self.moments.iter().map(|moment| lists::boxes_at(&moment.image)).max().unwrap_or(0);
        let width = self.moments.iter().map(|moment| moment.width(boxes_at)).max().unwrap_or(0);
        let height: usize = self.moments.iter().map(Moment::height).sum();
        let mut svg = format!(
            "<svg class=\"heap schematic\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" {}>",
            described(&self.in_words())
        );
        let mut top = 0;
        for moment in &self.moments {
            moment.draw(&mut svg, top, boxes_at);
            top += moment.height();
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// All moments for those who can't see them.
    fn in_words(&self) -> String {
        let moments = self.moments.iter().map(|moment| {
            let title = if moment.title.is_empty() { String::new() } else { format!("{}: ", moment.title) };
            title + &moment.in_words(&[])
        });
        moments.collect::<Vec<_>>().join(" ")
    }

    /// A picture for each moment, with what has changed since the one before it marked. All are equally large, with the chunks
    /// at the same height, so that they can be shown in the same place one after the other. A description says the same in words.
    pub fn steps(&self) -> Vec<String> {
        let before = std::iter::once(None).chain((0..).map(Some));
        (0..self.moments.len()).zip(before).map(|(now, before)| self.step(now, before)).collect()
    }

    /// One of the pictures that [`Strip::steps`] draws, with what has changed since any other moment marked.
    ///
    /// # Panics
    /// If there is no such moment.
    pub fn step(&self, now: usize, since: Option<usize>) -> String {
        let Layout { boxes_at, width, chunks_at, height } = *self.layout.get_or_init(|| self.lay_out());
        let moment = &self.moments[now];
        let changed = since.map_or_else(Vec::new, |since| moment.changed_since(&self.moments[since]));
        let mut svg = format!(
            "<svg class=\"heap schematic\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" {}>",
            described(&moment.in_words(&changed)),
        );
        moment.draw(&mut svg, chunks_at - moment.chunks_at(), boxes_at);
        for (block, (x, width)) in moment.image.blocks.iter().zip(moment.places()) {
            if changed.contains(&block.at) {
                let _ = write!(
                    svg,
                    "<rect class=\"changed\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                    x + 3,
                    chunks_at + 3,
                    width - 6,
                    BOX - 6
                );
            }
        }
        svg + "</svg>\n"
    }

    fn lay_out(&self) -> Layout {
        let boxes_at = self.moments.iter().map(|moment| lists::boxes_at(&moment.image)).max().unwrap_or(0);
        let width = self.moments.iter().map(|moment| moment.width(boxes_at)).max().unwrap_or(0);
        let chunks_at = self.moments.iter().map(Moment::chunks_at).max().unwrap_or(0);
        let below = self.moments.iter().map(|moment| moment.height() - moment.chunks_at()).max().unwrap_or(0);
        Layout { boxes_at, width, chunks_at, height: chunks_at + below }
    }
}

impl Moment {
    /// The chunks with a word that the allocator has written since: those that are new, and those that say something else.
    fn changed_since(&self, before: &Moment) -> Vec<usize> {
        // A moment with a title begins a story of its own.
        if !self.title.is_empty() {
            return Vec::new();
        }
        let blocks = self.image.blocks.iter().filter(|block| before.image.block(block.at) != Some(*block));
        blocks.map(|block| block.at).collect()
    }

    /// The picture for those who can't see it.
    fn in_words(&self, changed: &[usize]) -> String {
        let chunks = self.image.blocks.iter().map(|block| {
            let name = Some(self.name(block.at))
                .filter(|name| !name.is_empty())
                .map_or(String::new(), |name| format!("{name} "));
            let flags: Vec<String> = flag_letters(block.flags).chars().map(|flag| flag.to_string()).collect();
            let flags = match (block.state, flags.concat().as_str()) {
                (State::Foreign, _) => String::new(),
                (_, "·") => ", no flag".to_owned(),
                _ => format!(", flag {}", flags.join(" and ")),
            };
            let new = if changed.contains(&block.at) { " (changed)" } else { "" };
            format!("{name}{}, {} bytes{flags}{new}", state_name(block.state), block.size)
        });
        let chunks = chunks.collect::<Vec<_>>().join("; ");
        let names = |list: &List| list.chunks.iter().map(|&at| self.name_or_offset(at)).collect::<Vec<_>>().join(", ");
        let filled = self.image.lists.iter().filter(|list| !list.chunks.is_empty());
        let lists = filled.map(|list| {
            let name = if list.name == FREE_LIST { "The free list" } else { &list.name };
            format!("{name} leads to {}.", names(list))
        });
        let lists = lists.collect::<Vec<_>>().join(" ");
        let lists = if lists.is_empty() { "No list holds a chunk.".to_owned() } else { lists };
        format!("The heap from left to right: {chunks}. {lists}")
    }

    fn name_or_offset(&self, at: usize) -> String {
        let name = self.name(at);
        if name.is_empty() { Offset(at).to_string() } else { name.to_owned() }
    }

    /// Where the chunks are in the picture: left edge and width of each, in the order of the blocks. A larger chunk is wider,
    /// but less than its size says: the top chunk would fill the page.
    fn places(&self) -> Vec<(usize, usize)> {
        let mut x = if self.has_rows() { 4 } else { LEFT };
        let blocks = self.image.blocks.iter();
        blocks
            .map(|block| {
                let least = (self.name(block.at).len() * 9 + 16).max(Offset(block.at).to_string().len() * 8 + 6);
                let width = (62 + 5 * block.size.saturating_sub(32).isqrt()).max(least).min(108);
                let width = width.max(words(block, self.name(block.at)).1.chars().count() * 19 / 3 + 12);
                x += width;
                (x - width, width)
            })
            .collect()
    }

    fn width(&self, boxes_at: usize) -> usize {
        let chunks = self.places().last().map_or(LEFT, |(x, width)| x + width);
        let rows = if self.has_rows() { lists::width(&self.image, boxes_at, |at| self.name(at).to_owned()) } else { 0 };
        chunks.max(self.title.chars().count() * 8).max(rows) + 8
    }

    /// The chunks' top edge, from the top of the moment.
    fn chunks_at(&self) -> usize {
        let title = if self.title.is_empty() { 4 } else { TITLE };
        title + if self.has_arrows() { ARROWS } else { 0 }
    }

    /// Whether there is one list, as arrows.
    fn has_arrows(&self) -> bool {
        !self.has_rows() && self.image.list().is_some_and(|list| !list.chunks.is_empty())
    }

    /// Whether there are lists with names of their own, as rows.
    fn has_rows(&self) -> bool {
        self.is_tied || self.image.lists.iter().any(|list| list.name != FREE_LIST)
    }

    fn height(&self) -> usize {
        let ties = if self.has_ties() { TIES } else { 0 };
        self.chunks_at() + BOX + FOOT + ties + if self.has_rows() { lists::height(&self.image) } else { 0 }
    }

    fn has_ties(&self) -> bool {
        self.is_tied && self.image.lists.iter().any(|list| !list.chunks.is_empty())
    }

    fn name(&self, at: usize) -> &str {
        self.names.get(&at).map_or("", String::as_str)
    }

    fn draw(&self, svg: &mut String, top: usize, boxes_at: usize) {
        let y = top + self.chunks_at();
        let places = self.places();
        let _ = write!(svg, "<text class=\"label\" x=\"4\" y=\"{}\">{}</text>", top + 15, escape(&self.title));
        for (block, (x, width)) in self.image.blocks.iter().zip(&places) {
            let class = match block.state {
                State::Used | State::Mapped => "used",
                State::Free => "free",
                State::Top => "top",
                State::Fence => "fence",
                State::Foreign => "foreign",
            };
            let (name, size_and_flags) = words(block, self.name(block.at));
            if self.is_tied {
                let _ = write!(svg, "<g class=\"chunk\" data-at=\"{}\">", block.at);
            }
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX}\"/>\
                 <text class=\"label\" text-anchor=\"middle\" x=\"{middle}\" y=\"{name_y}\">{name}</text>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{middle}\" y=\"{size_y}\">{size_and_flags}</text>\
                 <text class=\"addr\" x=\"{x}\" y=\"{addr_y}\">{at}</text>",
                middle = x + width / 2,
                name_y = y + 23,
                name = escape(&name),
                size_y = y + 42,
                addr_y = y + BOX + 16,
                at = Offset(block.at),
            );
            if self.is_tied {
                svg.push_str("</g>");
            }
        }
        if self.has_rows() {
            let below = y + BOX + FOOT;
            let foot = |at: usize| {
                let i = self.image.blocks.iter().position(|block| block.at == at)?;
                Some((places[i].0 + places[i].1 / 2, y + BOX + 22))
            };
            let ties: Option<&lists::Foot<'_>> = if self.has_ties() { Some(&foot) } else { None };
            let top = below + if ties.is_some() { TIES } else { 0 };
            lists::draw(svg, &self.image, (boxes_at, top), |at| self.name(at).to_owned(), ties);
        } else {
            self.draw_list(svg, y, &places);
        }
    }

    /// Arrows from the head to the first chunk and from each chunk to the next one.
    fn draw_list(&self, svg: &mut String, y: usize, places: &[(usize, usize)]) {
        let Some(list) = self.image.list().filter(|list| !list.chunks.is_empty()) else { return };
        let middle = |at: usize| {
            let i = self.image.blocks.iter().position(|block| block.at == at).unwrap_or(0);
            places[i].0 + places[i].1 / 2
        };
        let mut from = (24, y);
        let _ = write!(svg, "<text class=\"label\" text-anchor=\"middle\" x=\"24\" y=\"{}\">head</text>", y + 16);
        for &at in &list.chunks {
            // An arrow ends left of the middle and starts right of it, so that two do not lie on each other.
            let to = middle(at) - 10;
            let (bend, end) = (y.saturating_sub(54), y - 9);
            let _ = write!(
                svg,
                "<path class=\"link\" d=\"M {} {} C {} {bend}, {to} {bend}, {to} {end}\"/>\
                 <path class=\"arrow\" d=\"M {to} {y} l -5 -10 h 10 z\"/>",
                from.0, from.1, from.0,
            );
            from = (to + 20, y);
        }
        if list.last == Link::End {
            let (x, from_y) = from;
            let _ = write!(
                svg,
                "<path class=\"link\" d=\"M {x} {from_y} V {}\"/><text class=\"small\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">end</text>",
                y - 14,
                y - 18
            );
        }
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Used => "in use",
        State::Free => "free",
        State::Top => "top",
        State::Fence => "fence",
        State::Mapped => "mapped",
        State::Foreign => "other code",
    }
}

/// The two lines in a chunk's box: its name, or its state if it has none; and its size and flags, after the state if it has one.
fn words(block: &Block, name: &str) -> (String, String) {
    let state = state_name(block.state);
    // What lies in other code's memory is no flag.
    let flags = if block.state == State::Foreign { String::new() } else { flag_letters(block.flags) };
    let size_and_flags = format!("{} {flags}", block.size).trim_end().to_owned();
    if name.is_empty() {
        (state.to_owned(), size_and_flags)
    } else {
        (name.to_owned(), format!("{state} · {size_and_flags}"))
    }
}

/// A size word, bit by bit.
pub fn size_word(word: usize) -> String {
    let flag = |mask: usize, name: &str, meaning: &str| {
        (usize::from(word & mask != 0).to_string(), name.to_owned(), meaning.to_owned())
    };
    let fields = [
        (250, format!("{:#x}", word & !FLAGS), "bits 63–4".to_owned(), "size, a multiple of 16".to_owned()),
        (70, (word >> 3 & 1).to_string(), "bit 3".to_owned(), "always 0".to_owned()),
    ];
    let flags = [flag(NON_MAIN_ARENA, "bit 2", "A"), flag(IS_MMAPPED, "bit 1", "M"), flag(PREV_INUSE, "bit 0", "P")]
        .map(|(value, bit, name)| (126, value, bit, name));
    let names = [("A", "NON_MAIN_ARENA"), ("M", "IS_MMAPPED"), ("P", "PREV_INUSE")];
    let mut svg = String::from(
        "<svg class=\"heap schematic\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 710 92\" width=\"710\" height=\"92\" role=\"img\" ",
    );
    let shown: Vec<String> =
        fields.iter().chain(&flags).map(|(_, value, bits, name)| format!("{bits}: {value}, {name}")).collect();
    svg.push_str(&format!("{}>", described(&format!("A size word from left to right. {}.", shown.join("; ")))));
    let mut x = 4;
    for (width, value, bits, meaning) in fields.iter().chain(&flags) {
        let full = names.iter().find(|(short, _)| short == meaning).map_or(meaning.as_str(), |(_, long)| long);
        let class = if meaning == "always 0" {
            "free"
        } else if full == meaning {
            "used"
        } else {
            "word"
        };
        let middle = x + width / 2;
        let _ = write!(
            svg,
            "<text class=\"addr\" text-anchor=\"middle\" x=\"{middle}\" y=\"16\">{bits}</text>\
             <rect class=\"{class}\" x=\"{x}\" y=\"24\" width=\"{width}\" height=\"38\"/>\
             <text class=\"label\" text-anchor=\"middle\" x=\"{middle}\" y=\"48\">{value}</text>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{middle}\" y=\"82\">{full}</text>"
        );
        x += width;
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The attribute that says what a picture shows.
pub fn described(in_words: &str) -> String {
    format!("aria-label=\"{}\"", escape(in_words).replace('"', "&quot;"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Links;

    /// A chunk of 48 bytes, in use or free, one after it that is in use, and the top chunk.
    fn image(first: State) -> Image {
        let block = |at, size, flags, state| Block { at, size, flags, state, fd: Link::End, bk: Link::End };
        let (flags, chunks) = if first == State::Free { (0, vec![0]) } else { (1, Vec::new()) };
        let blocks = vec![block(0, 48, 1, first), block(48, 32, flags, State::Used), block(80, 64, 1, State::Top)];
        let list = List { name: FREE_LIST.into(), links: Links::BothWays, chunks, last: Link::End };
        Image { blocks, defects: Vec::new(), lists: vec![list] }
    }

    fn story(second_title: &str) -> Vec<String> {
        let names = [(0, "A"), (48, "B")];
        let strip = Strip::default().moment("", image(State::Used), &names);
        strip.moment(second_title, image(State::Free), &names).steps()
    }

    #[test]
    fn a_step_marks_the_chunks_whose_words_have_changed() {
        let marks = |svg: &String| svg.matches("class=\"changed\"").count();
        // A is free, and B's header says so; the top chunk is what it was.
        assert_eq!(story("").iter().map(marks).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(story("another case").iter().map(marks).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn a_step_says_in_words_what_it_shows() {
        let says = |svg: &str, words: &str| assert!(svg.contains(words), "{words}: {svg}");
        let [first, second] = &story("")[..] else { panic!("two moments are two steps") };
        says(
            first,
            "A in use, 48 bytes, flag P; B in use, 32 bytes, flag P; top, 64 bytes, flag P. No list holds a chunk.",
        );
        says(
            second,
            "A free, 48 bytes, flag P (changed); B in use, 32 bytes, no flag (changed); top, 64 bytes, flag P.",
        );
        says(second, "The free list leads to A.");
    }

    #[test]
    fn all_steps_are_equally_large() {
        let size = |svg: &String| svg.split(" role=").next().map(str::to_owned);
        let sizes: Vec<_> = story("").iter().map(size).collect();
        assert_eq!(sizes[0], sizes[1]);
    }
}
