//! The chapter's picture of stack and heap: a vending machine, and a warehouse whose shelves are a real heap.

use super::stage::Stage;
use heapkit::image::{Block, State};
use heapkit::memory::PAGE;
use lab03::Fit;
use lab04::CoalescingHeap;
use std::fmt::Write;

/// What is asked for, in this order; every block of [`GONE`] is then given back.
const REQUESTS: [usize; 12] = [120, 40, 200, 24, 72, 300, 56, 24, 150, 88, 40, 180];
const GONE: [usize; 4] = [1, 4, 5, 9];

/// Bytes on a shelf, and how many pixels one takes.
const SHELF: usize = 528;
const SCALE: f64 = 0.85;

/// The machine's slots, from the top.
const SLOTS: usize = 5;

const LEFT: f64 = 250.0;
const TOP: f64 = 40.0;
const ROW: f64 = 58.0;

pub fn drawing() -> Result<String, String> {
    let mut stage = Stage::<CoalescingHeap>::with(PAGE, Fit::First, &REQUESTS)?;
    for block in GONE {
        stage.free(block);
    }
    let image = stage.image();
    let end = stage.chunk(REQUESTS.len() - 1);
    let blocks: Vec<&Block> = image.blocks.iter().filter(|block| block.at <= end).collect();
    let mut svg = String::from(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 710 270\" width=\"710\" height=\"270\" role=\"img\" \
         aria-label=\"At the left a stack as a vending machine: one column, and the lowest item comes out first. At the right a heap as a \
         warehouse: three shelves with blocks of many sizes and empty places between them.\">\
         <text class=\"label\" x=\"60\" y=\"20\">the stack</text>\
         <rect class=\"top\" x=\"50\" y=\"32\" width=\"110\" height=\"220\" rx=\"6\"/>",
    );
    for slot in 0..SLOTS {
        let y = 44.0 + 34.0 * slot as f64;
        let _ = write!(
            svg,
            "<rect class=\"used\" x=\"62\" y=\"{y}\" width=\"86\" height=\"28\"/>\
             <text class=\"small\" text-anchor=\"middle\" x=\"105\" y=\"{}\">{}</text>",
            y + 19.0,
            if slot + 1 == SLOTS { "the next one" } else { "" },
        );
    }
    svg.push_str(
        "<path class=\"link\" d=\"M 105 214 V 240\"/><path class=\"arrow\" d=\"M 100 236 L 110 236 L 105 246 z\"/>\
         <text class=\"label\" x=\"250\" y=\"20\">the heap</text>",
    );
    for (shelf, row) in shelves(&blocks).iter().enumerate() {
        let y = TOP + ROW * shelf as f64;
        let mut x = LEFT;
        for block in row {
            let width = block.size as f64 * SCALE;
            let (class, word) = if block.state == State::Free { ("free", "free ") } else { ("used", "") };
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"36\"/>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{}\">{}{}</text>",
                x + width / 2.0,
                y + 23.0,
                if width > 70.0 { word } else { "" },
                block.size,
            );
            x += width;
        }
        let _ =
            write!(svg, "<path class=\"axis\" d=\"M {LEFT} {0} H {1:.1}\"/>", y + 40.0, LEFT + SHELF as f64 * SCALE);
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The blocks, in their order, on as many shelves as they need.
fn shelves<'a>(blocks: &[&'a Block]) -> Vec<Vec<&'a Block>> {
    let mut shelves: Vec<Vec<&Block>> = vec![Vec::new()];
    let mut taken = 0;
    for block in blocks {
        if taken + block.size > SHELF {
            shelves.push(Vec::new());
            taken = 0;
        }
        taken += block.size;
        if let Some(shelf) = shelves.last_mut() {
            shelf.push(block);
        }
    }
    shelves
}
