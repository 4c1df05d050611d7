//! How glibc decides about a request: the questions in their order, and the requests that were tried.

use heapkit::draw;
use std::fmt::Write;

const WIDTH: f64 = 740.0;
const HEIGHT: f64 = 330.0;

/// The axis: from 64 bytes to 16 MiB, a doubling after the other.
const LEFT: f64 = 96.0;
const RIGHT: f64 = 726.0;
const DOUBLINGS: std::ops::RangeInclusive<i32> = 6..=24;

/// The rows below the questions: the chapter's boundaries, the requests that were tried, the same after a mapping was freed.
const CHAPTER: f64 = 172.0;
const TRIED: f64 = 218.0;
const LEARNT: f64 = 264.0;
const AXIS: f64 = 296.0;
const BAND: f64 = 22.0;

/// A request that was tried: its size, and whether it got a mapping.
struct Probe {
    size: usize,
    is_mapped: bool,
}

/// What the programs printed.
struct Seen {
    probes: Vec<Probe>,
    first_mapped: usize,
    /// The same after a block of this size was freed, which was a mapping.
    freed: usize,
    first_mapped_after: usize,
}

/// Draws what the programs `mmap_threshold` and `dynamic_threshold` printed.
pub fn drawing(mmap_threshold: &str, dynamic_threshold: &str) -> Result<String, String> {
    let seen = Seen::read(mmap_threshold, dynamic_threshold)
        .ok_or("a program about the mmap threshold prints another table")?;
    let in_words = format!(
        "Three questions. Is a free chunk large enough? Then it is used. Is the top chunk? Then the chunk is cut from it. Does the chunk \
         have 128 KiB or more? Then it is a mapping; otherwise the break moves. Below them an axis of sizes. The chapter's boundaries are \
         64 KiB and 512 KiB. Of the requests that were tried, all up to {} bytes came from the heap, and all of {} or more were mappings. \
         After a block of {} bytes was freed, the first one that was a mapping had {} bytes.",
        seen.first_mapped - 1,
        seen.first_mapped,
        seen.freed,
        seen.first_mapped_after,
    );
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" {}>",
        draw::described(&in_words)
    );
    questions(&mut svg);
    axis(&mut svg);
    chapters_row(&mut svg);
    row(&mut svg, TRIED, ["at first", ""], seen.first_mapped, &seen.probes);
    let freed = [Probe { size: seen.freed, is_mapped: false }];
    let once = format!("once {}", thousands(seen.freed));
    row(&mut svg, LEARNT, [&once, "bytes were freed"], seen.first_mapped_after, &freed);
    svg.push_str("</svg>\n");
    Ok(svg)
}

impl Seen {
    fn read(mmap_threshold: &str, dynamic_threshold: &str) -> Option<Self> {
        let after = |text: &str, place: &str| -> Option<usize> {
            text.split_once(place)?.1.split_whitespace().next()?.parse().ok()
        };
        let (_, table) = mmap_threshold.split_once("the break\n")?;
        let probes = table.lines().map(|line| {
            Some(Probe { size: line.split_whitespace().next()?.parse().ok()?, is_mapped: line.contains("a mapping") })
        });
        Some(Seen {
            probes: probes.collect::<Option<_>>()?,
            first_mapped: after(dynamic_threshold, "size that is mapped ")?,
            freed: dynamic_threshold.split_once("malloc(")?.1.split_once(')')?.0.parse().ok()?,
            first_mapped_after: after(dynamic_threshold, "is mapped now")?,
        })
    }
}

fn x(size: usize) -> f64 {
    let (first, last) = (f64::from(*DOUBLINGS.start()), f64::from(*DOUBLINGS.end()));
    LEFT + (RIGHT - LEFT) * ((size as f64).log2() - first) / (last - first)
}

fn text(svg: &mut String, class: &str, anchor: &str, (x, y): (f64, f64), words: &str) {
    let _ = write!(svg, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

/// The questions in a row, with what follows from a yes below each, and what follows from the last no.
fn questions(svg: &mut String) {
    const QUESTIONS: [[&str; 2]; 3] = [
        ["is a free chunk", "large enough?"],
        ["is the top chunk", "large enough?"],
        ["has the chunk", "128 KiB or more?"],
    ];
    const YES: [&str; 3] = ["use it", "cut the chunk off", "make a mapping"];
    const BOX: f64 = 140.0;
    let left = |i: usize| 98.0 + i as f64 * (BOX + 44.0);
    text(svg, "label", "start", (4.0, 33.0), "malloc(n)");
    let arrow = |svg: &mut String, from: (f64, f64), to: (f64, f64)| {
        let is_down = from.0 == to.0;
        let (end, head) =
            if is_down { ((to.0, to.1 - 6.0), "l -5 -9 h 10 z") } else { ((to.0 - 6.0, to.1), "l -9 -5 v 10 z") };
        let _ = write!(
            svg,
            "<path class=\"link\" d=\"M {} {} L {} {}\"/><path class=\"arrow\" d=\"M {} {} {head}\"/>",
            from.0, from.1, end.0, end.1, to.0, to.1
        );
    };
    arrow(svg, (74.0, 28.0), (left(0), 28.0));
    for (i, (question, yes)) in QUESTIONS.iter().zip(YES).enumerate() {
        let (left, middle) = (left(i), left(i) + BOX / 2.0);
        let _ = write!(svg, "<rect class=\"word\" x=\"{left}\" y=\"6\" width=\"{BOX}\" height=\"44\"/>");
        text(svg, "small", "middle", (middle, 24.0), question[0]);
        text(svg, "small", "middle", (middle, 41.0), question[1]);
        arrow(svg, (middle, 50.0), (middle, 88.0));
        text(svg, "small", "start", (middle + 8.0, 70.0), "yes");
        let class = if i == 2 { "free" } else { "used" };
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{left}\" y=\"88\" width=\"{BOX}\" height=\"28\"/>");
        text(svg, "small", "middle", (middle, 107.0), yes);
        if i < 2 {
            arrow(svg, (left + BOX, 28.0), (left + BOX + 44.0, 28.0));
            text(svg, "small", "middle", (left + BOX + 20.0, 21.0), "no");
        }
    }
    // The last no leads to the break.
    let from = left(2) + BOX;
    text(svg, "small", "middle", (from + 16.0, 21.0), "no");
    let _ = write!(svg, "<rect class=\"used\" x=\"{}\" y=\"88\" width=\"102\" height=\"28\"/>", WIDTH - 108.0);
    text(svg, "small", "middle", (WIDTH - 57.0, 107.0), "move the break");
    let _ = write!(svg, "<path class=\"link\" d=\"M {from} 28 H {}\"/>", WIDTH - 57.0);
    arrow(svg, (WIDTH - 57.0, 28.0), (WIDTH - 57.0, 88.0));
}

/// `131,049`
fn thousands(number: usize) -> String {
    let (above, below) = (number / 1000, number % 1000);
    if above == 0 { below.to_string() } else { format!("{above},{below:03}") }
}

fn axis(svg: &mut String) {
    let _ = write!(svg, "<path class=\"axis\" d=\"M {LEFT} {AXIS} H {RIGHT}\"/>");
    for (power, name) in [(6, "64"), (10, "1 KiB"), (14, "16 KiB"), (17, "128 KiB"), (20, "1 MiB"), (24, "16 MiB")] {
        let at = x(1 << power);
        let _ = write!(svg, "<path class=\"axis\" d=\"M {at:.1} {AXIS} v 6\"/>");
        let anchor = if power == *DOUBLINGS.end() { "end" } else { "middle" };
        text(svg, "addr", anchor, (at.min(RIGHT), AXIS + 20.0), name);
    }
}

/// The chapter's three classes.
fn chapters_row(svg: &mut String) {
    text(svg, "small", "start", (4.0, CHAPTER + 15.0), "the chapter");
    let bounds = [LEFT, x(64 << 10), x(512 << 10), RIGHT];
    for (i, words) in ["the break moves", "list, or break", "a mapping"].into_iter().enumerate() {
        let _ = write!(
            svg,
            "<rect class=\"top\" x=\"{:.1}\" y=\"{CHAPTER}\" width=\"{:.1}\" height=\"{BAND}\"/>",
            bounds[i],
            bounds[i + 1] - bounds[i]
        );
        text(svg, "small", "middle", ((bounds[i] + bounds[i + 1]) / 2.0, CHAPTER + 15.0), words);
    }
    text(svg, "addr", "middle", (bounds[1], CHAPTER - 6.0), "64 KB");
    text(svg, "addr", "middle", (bounds[2], CHAPTER - 6.0), "512 KB");
}

/// The two classes that were measured, with the requests that were tried.
fn row(svg: &mut String, y: f64, title: [&str; 2], first_mapped: usize, probes: &[Probe]) {
    let title_y = if title[1].is_empty() { y + 15.0 } else { y + 8.0 };
    text(svg, "small", "start", (4.0, title_y), title[0]);
    text(svg, "small", "start", (4.0, y + 23.0), title[1]);
    let boundary = x(first_mapped);
    let _ = write!(
        svg,
        "<rect class=\"used\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAND}\"/>\
         <rect class=\"free\" x=\"{boundary:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAND}\"/>",
        boundary - LEFT,
        RIGHT - boundary
    );
    text(svg, "small", "start", (LEFT + 60.0, y + 15.0), "the heap");
    text(svg, "small", "end", (RIGHT - 60.0, y + 15.0), "a mapping");
    text(svg, "addr", "middle", (boundary, y - 6.0), &format!("{} bytes or more", thousands(first_mapped)));
    for probe in probes {
        let class = if probe.is_mapped { "mark-b" } else { "mark-a" };
        let _ =
            write!(svg, "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{}\" r=\"5\"/>", x(probe.size), y + BAND / 2.0);
    }
}
