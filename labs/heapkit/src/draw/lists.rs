//! Several lists below a heap: a row for each that holds something.

use super::svg::escape;
use crate::image::{Image, Link, Links, List, Offset};
use std::fmt::Write;

const ROW: usize = 46;
const BOX: usize = 34;
/// Between two boxes: an arrow.
const GAP: usize = 38;
/// The lines from more boxes than this would hide each other: a page shows one at a time.
const MOST_TIES: usize = 8;

/// The lists of an image that hold something.
fn filled(image: &Image) -> impl Iterator<Item = &List> {
    image.lists.iter().filter(|list| !list.chunks.is_empty())
}

/// Where the first box of each row can begin: after the longest name.
pub(super) fn boxes_at(image: &Image) -> usize {
    20 + filled(image).map(|list| list.name.chars().count()).max().unwrap_or(0) * 8
}

/// The text in a chunk's box: its name if it has one, and its size.
fn caption(image: &Image, at: usize, name: &str) -> String {
    let size = image.block(at).map_or("?".into(), |block| block.size.to_string());
    if name.is_empty() { format!("{size} at {}", Offset(at)) } else { format!("{name} · {size}") }
}

fn width_of(caption: &str) -> usize {
    caption.chars().count() * 8 + 18
}

/// How high the rows are together.
pub(super) fn height(image: &Image) -> usize {
    match filled(image).count() {
        0 => 0,
        rows => rows * ROW + 8,
    }
}

/// How wide the longest row is whose boxes begin at `first`; `name` gives the name of the chunk at an offset.
pub(super) fn width(image: &Image, first: usize, name: impl Fn(usize) -> String) -> usize {
    let row = |list: &List| list.chunks.iter().map(|&at| GAP + width_of(&caption(image, at, &name(at)))).sum::<usize>();
    first + filled(image).map(row).max().unwrap_or(0) + GAP + 30
}

/// Where a line from a list may end below a chunk of the heap.
pub(super) type Foot<'a> = dyn Fn(usize) -> Option<(usize, usize)> + 'a;

/// Draws the rows, with the first boxes at `first` and `top`; with `ties`, a line leads from each box up to its chunk.
pub(super) fn draw(
    svg: &mut String,
    image: &Image,
    (first, top): (usize, usize),
    name: impl Fn(usize) -> String,
    ties: Option<&Foot<'_>>,
) {
    let mut rows = String::new();
    for (row, list) in filled(image).enumerate() {
        let y = top + row * ROW + 4;
        let middle = y + BOX / 2;
        let _ = write!(rows, "<text class=\"label\" x=\"4\" y=\"{}\">{}</text>", middle + 5, escape(&list.name));
        let class = if list.links == Links::BothWays { "free" } else { "used" };
        let tie_class = if list.chunks.len() > MOST_TIES { "tie many" } else { "tie" };
        let mut x = first;
        for (index, &at) in list.chunks.iter().enumerate() {
            // The head leads to the first chunk; `bk` of that one leads nowhere.
            arrow(&mut rows, x, middle, index > 0 && list.links == Links::BothWays);
            x += GAP;
            let text = caption(image, at, &name(at));
            let width = width_of(&text);
            let tie = ties.and_then(|foot| foot(at));
            if let Some((to, foot)) = tie {
                let (from, bend) = (x + width / 2, (foot + y) / 2);
                // Below the rows, so that it runs behind the boxes that lie in its way.
                let _ = write!(
                    svg,
                    "<path class=\"{tie_class}\" data-at=\"{at}\" d=\"M {from} {y} C {from} {bend}, {to} {bend}, {to} {foot}\"/>"
                );
                let _ = write!(rows, "<g class=\"chunk\" data-at=\"{at}\">");
            }
            let _ = write!(
                rows,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX}\"/>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
                x + width / 2,
                middle + 5,
                escape(&text),
            );
            if tie.is_some() {
                rows.push_str("</g>");
            }
            x += width;
        }
        if list.last == Link::End {
            arrow(&mut rows, x, middle, false);
            let _ = write!(rows, "<text class=\"small\" x=\"{}\" y=\"{}\">end</text>", x + GAP + 4, middle + 5);
        }
    }
    svg.push_str(&rows);
}

/// An arrow from one box to the next one, and back if the chunks are linked both ways.
fn arrow(svg: &mut String, x: usize, y: usize, both_ways: bool) {
    let (from, to) = (x + 4, x + GAP - 4);
    let _ = write!(
        svg,
        "<path class=\"link\" d=\"M {from} {y} H {}\"/><path class=\"arrow\" d=\"M {to} {y} l -9 -5 v 10 z\"/>",
        to - 8
    );
    if both_ways {
        let _ = write!(svg, "<path class=\"arrow\" d=\"M {from} {y} l 9 -5 v 10 z\"/>");
    }
}

#[cfg(test)]
mod tests {
    use crate::draw::Strip;
    use crate::image::{Block, Image, Link, Links, List, State};

    fn image(lists: Vec<List>) -> Image {
        let block = |at, size, state| Block { at, size, flags: 1, state, fd: Link::End, bk: Link::End };
        let blocks = vec![
            block(0, 48, State::Free),
            block(48, 32, State::Used),
            block(80, 32, State::Used),
            block(112, 64, State::Top),
        ];
        Image { blocks, defects: Vec::new(), lists }
    }

    fn list(name: &str, links: Links, chunks: &[usize]) -> List {
        List { name: name.into(), links, chunks: chunks.to_vec(), last: Link::End }
    }

    #[test]
    fn each_list_that_holds_something_is_a_row() {
        let lists = vec![
            list("unsorted", Links::BothWays, &[]),
            list("bin 48", Links::BothWays, &[0]),
            list("fast bin 32", Links::OneWay, &[80, 48]),
        ];
        let svg = Strip::default().moment("", image(lists), &[(80, "B")]).svg();
        // Without its description.
        let svg = svg.split_once("><").map_or("", |(_, drawing)| drawing);
        let after = |text: &str| svg.find(text).unwrap_or_else(|| panic!("{text} isn't in {svg}"));
        assert!(!svg.contains("unsorted") && !svg.contains("head"), "{svg}");
        let rows = ["bin 48", "48 at +0x0000", "fast bin 32", "B · 32", "32 at +0x0030"].map(after);
        assert!(rows.is_sorted(), "{svg}");
    }

    #[test]
    fn a_tied_list_is_a_row_with_a_line_to_each_chunk() {
        let strip = Strip::tied().moment("", image(vec![list("list", Links::BothWays, &[0])]), &[]);
        let svg = strip.step(0, None);
        assert_eq!(svg.matches("class=\"tie\" data-at=\"0\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("<g class=\"chunk\" data-at=\"0\">").count(), 2, "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count(), "{svg}");
    }

    #[test]
    fn the_lines_of_a_long_list_are_marked_as_many() {
        let chunks: Vec<usize> = (0..9).map(|chunk| chunk * 32).collect();
        let block =
            |at: &usize| Block { at: *at, size: 32, flags: 1, state: State::Used, fd: Link::End, bk: Link::End };
        let image = |chunks: &[usize]| Image {
            blocks: chunks.iter().map(block).collect(),
            defects: Vec::new(),
            lists: vec![list("cache 32", Links::Masked, chunks)],
        };
        let ties =
            |chunks: &[usize]| Strip::tied().moment("", image(chunks), &[]).step(0, None).matches("tie many").count();
        assert_eq!([ties(&chunks[..8]), ties(&chunks)], [0, 9]);
    }

    #[test]
    fn the_only_list_stays_arrows() {
        let svg = Strip::default().moment("", image(vec![list("list", Links::BothWays, &[0])]), &[]).svg();
        assert!(svg.contains(">head<"), "{svg}");
    }
}
