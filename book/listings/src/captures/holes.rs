//! The holes of a checkerboard: where they are, and how large.

use heapkit::draw;
use heapkit::image::{Image, Offset, State};
use std::fmt::Write;

const WIDTH: usize = 720;

fn svg(height: usize, in_words: &str, content: &str) -> String {
    let label = draw::described(in_words);
    format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" {label}>{content}</svg>\n"
    )
}

/// The beginning of the heap, row by row and to scale, and below it a chunk that is asked for.
pub fn beginning(image: &Image, asked_for: usize, request: usize) -> String {
    const ROWS: usize = 3;
    const BYTES: usize = 6144;
    const LEFT: f64 = 72.0;
    const BOX: usize = 34;
    const ROW: usize = BOX + 14;
    const TITLE: usize = 28;
    let scale = (WIDTH as f64 - LEFT - 4.0) / BYTES as f64;
    let x = |byte: usize| LEFT + scale * byte as f64;
    let mut content = format!(
        "<text class=\"label\" x=\"4\" y=\"15\">the first {} KiB of the heap, every second message freed</text>",
        ROWS * BYTES / 1024
    );
    for row in 0..ROWS {
        let (from, top) = (row * BYTES, TITLE + row * ROW);
        let _ = write!(content, "<text class=\"addr\" x=\"4\" y=\"{}\">{}</text>", top + 22, Offset(from));
        for block in image.blocks.iter().filter(|block| block.at < from + BYTES && block.end() > from) {
            let class = if block.state == State::Free { "free" } else { "used" };
            // A chunk that doesn't end in its row goes on in the next one.
            let (start, end) = (x(block.at.max(from) - from), x(block.end().min(from + BYTES) - from));
            let _ = write!(
                content,
                "<rect class=\"{class}\" x=\"{start:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{BOX}\"/>",
                end - start
            );
            let is_whole = block.at >= from && block.end() <= from + BYTES;
            if block.state == State::Free && is_whole && end - start > 30.0 {
                let _ = write!(
                    content,
                    "<text class=\"small\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{}\">{}</text>",
                    f64::midpoint(start, end),
                    top + 22,
                    block.size
                );
            }
        }
    }
    let top = TITLE + ROWS * ROW + 8;
    let _ = write!(
        content,
        "<rect class=\"word\" x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BOX}\"/>\
         <text class=\"small\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{base}\">malloc({request}) needs {asked_for} bytes in one piece</text>",
        width = x(asked_for) - LEFT,
        middle = x(asked_for / 2),
        base = top + 22,
    );
    let holes = image.blocks.iter().filter(|block| block.at < ROWS * BYTES && block.state == State::Free);
    let in_words = format!(
        "The first {} KiB of the heap, to scale: chunks in use and {} holes take turns. Below, to the same scale, the {asked_for} bytes that \
         malloc({request}) needs in one piece: longer than every hole.",
        ROWS * BYTES / 1024,
        holes.count(),
    );
    svg(top + BOX + 6, &in_words, &content)
}

/// How many holes there are of which size, on an axis on which a chunk that is asked for has its place too.
pub fn histogram(holes: &[usize], asked_for: usize, request: usize) -> String {
    /// Holes whose sizes differ by less share a bar.
    const CLASS: usize = 64;
    const LEFT: f64 = 40.0;
    const TOP: f64 = 30.0;
    const BOTTOM: f64 = 190.0;
    let largest = holes.iter().copied().max().unwrap_or(0);
    let mut counts = vec![0_usize; largest / CLASS + 1];
    for hole in holes {
        counts[hole / CLASS] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let x = |bytes: usize| LEFT + (WIDTH as f64 - LEFT - 60.0) * bytes as f64 / asked_for as f64;
    let y = |count: usize| BOTTOM - (BOTTOM - TOP) * count as f64 / most as f64;
    let mut content = format!(
        "<text class=\"label\" x=\"4\" y=\"15\">{count} holes, by size</text>\
         <text class=\"addr\" text-anchor=\"end\" x=\"{left}\" y=\"{highest}\">{most}</text>\
         <text class=\"addr\" text-anchor=\"end\" x=\"{left}\" y=\"{BOTTOM}\">0</text>",
        count = holes.len(),
        left = LEFT - 8.0,
        highest = TOP + 8.0,
    );
    for (class, &count) in counts.iter().enumerate() {
        let (from, to) = (x(class * CLASS), x((class + 1) * CLASS));
        let _ = write!(
            content,
            "<rect class=\"free\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            y(count),
            to - from,
            BOTTOM - y(count)
        );
    }
    let (end, asked) = (x(largest), x(asked_for));
    let _ = write!(
        content,
        "<path class=\"axis\" d=\"M {LEFT} {TOP} V {BOTTOM} H {right}\"/>\
         <path class=\"mark\" d=\"M {asked:.1} {TOP} V {BOTTOM}\"/>\
         <text class=\"small\" text-anchor=\"end\" x=\"{beside:.1}\" y=\"{highest}\">malloc({request})</text>\
         <text class=\"addr\" text-anchor=\"middle\" x=\"{asked:.1}\" y=\"{below}\">{asked_for} bytes</text>\
         <text class=\"addr\" text-anchor=\"middle\" x=\"{end:.1}\" y=\"{below}\">{largest} bytes</text>",
        right = WIDTH - 4,
        beside = asked - 8.0,
        highest = TOP + 8.0,
        below = BOTTOM + 18.0,
    );
    let in_words = format!(
        "How many holes have which size: {} holes, the largest of {largest} bytes. Far to the right, the {asked_for} bytes that \
         malloc({request}) needs.",
        holes.len(),
    );
    svg(216, &in_words, &content)
}
