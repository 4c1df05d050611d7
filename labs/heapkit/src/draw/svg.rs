//! The heap picture as SVG. Colours come from the page's style sheet, by class.

use super::flag_letters;
use crate::format::{FLAGS, IS_MMAPPED, NON_MAIN_ARENA, PREV_INUSE};
use crate::image::{Image, Link, Offset, State};
use std::fmt::Write;

/// Heaps side by side in time: each a strip of chunks from left to right, with the free list as arrows above it.
#[derive(Default)]
pub struct Strip {
    moments: Vec<Moment>,
}

struct Moment {
    title: String,
    image: Image,
    names: Vec<(usize, String)>,
}

const CHUNK: usize = 108;
const BOX: usize = 54;
/// Above the chunks: the title, and room for the arrows.
const HEAD: usize = 84;
/// Below them: the offsets.
const FOOT: usize = 30;
const LEFT: usize = 56;

impl Strip {
    /// Adds a strip below the others: what happened, the heap after it, and names for some of its chunks.
    pub fn moment(mut self, title: &str, image: Image, names: &[(usize, &str)]) -> Self {
        let names = names.iter().map(|&(at, name)| (at, name.to_owned())).collect();
        self.moments.push(Moment { title: title.to_owned(), image, names });
        self
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let most = self.moments.iter().map(|moment| moment.image.blocks.len()).max().unwrap_or(0);
        let (width, height) = (LEFT + most * CHUNK + 8, self.moments.len() * (HEAD + BOX + FOOT));
        let mut svg = format!(
            "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
        );
        for (i, moment) in self.moments.iter().enumerate() {
            moment.draw(&mut svg, i * (HEAD + BOX + FOOT));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Moment {
    fn draw(&self, svg: &mut String, top: usize) {
        let y = top + HEAD;
        let _ = write!(svg, "<text class=\"label\" x=\"4\" y=\"{}\">{}</text>", top + 20, escape(&self.title));
        for (i, block) in self.image.blocks.iter().enumerate() {
            let x = LEFT + i * CHUNK;
            let (class, state) = match block.state {
                State::Used => ("used", "in use"),
                State::Free => ("free", "free"),
                State::Top => ("top", "top"),
            };
            let name = self.names.iter().find(|(at, _)| *at == block.at).map_or("", |(_, name)| name);
            let title = if name.is_empty() { state.to_owned() } else { format!("{name} · {state}") };
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{CHUNK}\" height=\"{BOX}\"/>\
                 <text class=\"label\" text-anchor=\"middle\" x=\"{middle}\" y=\"{title_y}\">{title}</text>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{middle}\" y=\"{size_y}\">{size} · {flags}</text>\
                 <text class=\"addr\" x=\"{x}\" y=\"{addr_y}\">{at}</text>",
                middle = x + CHUNK / 2,
                title_y = y + 24,
                title = escape(&title),
                size_y = y + 42,
                size = block.size,
                flags = flag_letters(block.flags),
                addr_y = y + BOX + 16,
                at = Offset(block.at),
            );
        }
        self.draw_list(svg, y);
    }

    /// Arrows from the head to the first chunk and from each chunk to the next one.
    fn draw_list(&self, svg: &mut String, y: usize) {
        let Some(list) = &self.image.list else { return };
        let middle = |at: usize| {
            let i = self.image.blocks.iter().position(|block| block.at == at).unwrap_or(0);
            LEFT + i * CHUNK + CHUNK / 2
        };
        let mut from = (24, y - 22);
        let _ = write!(svg, "<text class=\"small\" text-anchor=\"middle\" x=\"24\" y=\"{}\">head</text>", y - 8);
        for &at in &list.chunks {
            let to = middle(at);
            let bend = y - 60;
            let _ = write!(
                svg,
                "<path class=\"link\" d=\"M {} {} C {} {bend}, {to} {bend}, {to} {}\"/>\
                 <path class=\"arrow\" d=\"M {to} {y} l -5 -9 h 10 z\"/>",
                from.0,
                from.1,
                from.0,
                y - 9,
            );
            // The next arrow starts a little to the right, so that the two do not lie on each other.
            from = (to + 14, y);
        }
        if list.last == Link::End {
            let (x, from_y) = from;
            let _ = write!(
                svg,
                "<path class=\"link\" d=\"M {x} {from_y} V {}\"/><text class=\"small\" x=\"{}\" y=\"{}\">end</text>",
                y - 18,
                x + 5,
                y - 12
            );
        }
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
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 710 92\" width=\"710\" height=\"92\" role=\"img\">",
    );
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
