//! Who calls whom in an exam: the two processes, the socket and the memory between them, and the files that do it.

use heapkit::draw;
use std::fmt::Write;
use std::path::Path;

/// A file or two, and what they are there for.
struct Part {
    /// From `labs/`.
    files: &'static [&'static str],
    what: &'static str,
    /// The class of its colour: the course's own, written for each lab, the learner's.
    class: &'static str,
}

const COURSE: &str = "used";
const LAB: &str = "free";
const LEARNER: &str = "word";

const EXAMINER: [Part; 7] = [
    Part {
        files: &["lab03/tests/exam.rs", "lab03/tests/oracle.rs"],
        what: "the tests: draw inputs, know what is right",
        class: LAB,
    },
    Part { files: &["proctor/src/desk.rs"], what: "what a test asks and expects with", class: COURSE },
    Part {
        files: &["proctor/src/play.rs", "heapkit/src/referee.rs"],
        what: "play a story, check each of its steps",
        class: COURSE,
    },
    Part { files: &["proctor/src/process.rs"], what: "starts the candidate, asks, waits", class: COURSE },
    Part { files: &["proctor/src/arena.rs"], what: "reads and writes the memory, by copy", class: COURSE },
    Part { files: &["proctor/src/judge.rs"], what: "says why there is no answer", class: COURSE },
    Part {
        files: &["proctor/src/sitting.rs", "proctor/src/screen.rs"],
        what: "keep the verdicts, show them",
        class: COURSE,
    },
];

const CANDIDATE: [Part; 6] = [
    Part { files: &["lab03/tests/candidate.rs"], what: "a question, one call, an answer", class: LAB },
    Part { files: &["lab03/src/free_list.rs"], what: "the learner's code", class: LEARNER },
    Part { files: &["candidate/src/os.rs"], what: "asks for each call of the system", class: COURSE },
    Part { files: &["candidate/src/connection.rs"], what: "reads questions, sends answers", class: COURSE },
    Part { files: &["candidate/src/memory.rs"], what: "maps the memory, opens its pages", class: COURSE },
    Part { files: &["candidate/src/note.rs"], what: "writes down where it crashed", class: COURSE },
];

/// The rows of both columns in which the processes meet.
const SOCKET: usize = 3;
const MEMORY: usize = 4;
const NOTE: usize = 5;

const WIDTH: usize = 740;
const TOP: usize = 38;
const ROW: usize = 62;
const BOX: usize = 44;
const LEFT: usize = 14;
const LEFT_WIDTH: usize = 286;
const RIGHT: usize = 486;
const RIGHT_WIDTH: usize = 240;
/// How much narrower the boxes below the first one are, for the line that leads to them along the outer side.
const INDENT: usize = 24;

/// The drawing. A file that isn't there is an error.
pub fn drawing() -> Result<String, String> {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs");
    for file in EXAMINER.iter().chain(&CANDIDATE).flat_map(|part| part.files) {
        if !labs.join(file).is_file() {
            return Err(format!("the drawing of the exam names labs/{file}, which isn't there"));
        }
    }
    let height = TOP + EXAMINER.len() * ROW + 8;
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" {}>",
        draw::described(
            "Two programs side by side. At the left the examiner, which judges and never runs your code; at the right the candidate, which runs \
             it and only answers. Questions and answers go through a socket between them, and both see the same piece of memory, which the \
             examiner copies before it judges."
        )
    );
    frame(&mut svg, LEFT, LEFT_WIDTH, EXAMINER.len(), "the examiner: judges, and never runs your code");
    frame(&mut svg, RIGHT, RIGHT_WIDTH, CANDIDATE.len(), "the candidate: only answers");
    column(&mut svg, LEFT, LEFT_WIDTH, &EXAMINER, Direction::Right);
    column(&mut svg, RIGHT, RIGHT_WIDTH, &CANDIDATE, Direction::Left);
    socket(&mut svg);
    memory(&mut svg);
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn y(row: usize) -> usize {
    TOP + row * ROW
}

fn frame(svg: &mut String, x: usize, width: usize, rows: usize, title: &str) {
    let _ = write!(
        svg,
        "<rect class=\"top\" x=\"{}\" y=\"24\" width=\"{}\" height=\"{}\"/>\
         <text class=\"label\" x=\"{}\" y=\"15\">{title}</text>",
        x - 10,
        width + 20,
        TOP - 24 + rows * ROW - (ROW - BOX) + 12,
        x - 10,
    );
}

/// Boxes below each other, and a line from the first to each of the others.
fn column(svg: &mut String, x: usize, width: usize, parts: &[Part], towards: Direction) {
    let is_left = towards == Direction::Right;
    let line = if is_left { x + 10 } else { x + width - 10 };
    for (row, part) in parts.iter().enumerate() {
        let narrower = if row == 0 { 0 } else { INDENT };
        let indent = if is_left { narrower } else { 0 };
        let names: Vec<&str> = part.files.iter().map(|file| file.rsplit('/').next().unwrap_or(file)).collect();
        let folder = part.files[0].strip_suffix(names[0]).unwrap_or_default();
        // Only the first one with its folder: the others would run out of the box. Where they are elsewhere, the page says so.
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX}\"/>\
             <text class=\"addr\" x=\"{text_x}\" y=\"{file_y}\">{folder}{files}</text>\
             <text class=\"small\" x=\"{text_x}\" y=\"{what_y}\">{what}</text>",
            class = part.class,
            x = x + indent,
            y = y(row),
            width = width - narrower,
            text_x = x + indent + 10,
            file_y = y(row) + 18,
            files = names.join(", "),
            what_y = y(row) + 35,
            what = part.what,
        );
        if row > 0 {
            let edge = if is_left { x + INDENT } else { x + width - INDENT };
            across(svg, line, edge, y(row) + BOX / 2, "");
        }
    }
    let _ = write!(svg, "<path class=\"link\" d=\"M {line} {} V {}\"/>", y(0) + BOX, y(parts.len() - 1) + BOX / 2);
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Left,
    Right,
}

/// The head of an arrow, its point at `x`, `y`.
fn arrow(svg: &mut String, x: usize, y: usize, direction: Direction) {
    let back = if direction == Direction::Right { -9 } else { 9 };
    let _ = write!(svg, "<path class=\"arrow\" d=\"M {x} {y} l {back} -5 v 10 z\"/>");
}

/// A line with a head on one end, and words above it, if there are any.
fn across(svg: &mut String, from: usize, to: usize, y: usize, words: &str) {
    let direction = if from < to { Direction::Right } else { Direction::Left };
    let end = if from < to { to - 6 } else { to + 6 };
    let _ = write!(svg, "<path class=\"link\" d=\"M {from} {y} H {end}\"/>");
    if !words.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{words}</text>",
            usize::midpoint(from, to),
            y - 5,
        );
    }
    arrow(svg, to, y, direction);
}

/// Where the left column ends, and the right one begins.
const GAP: (usize, usize) = (LEFT + LEFT_WIDTH, RIGHT);

fn socket(svg: &mut String) {
    let (from, to) = GAP;
    let middle = usize::midpoint(LEFT + LEFT_WIDTH + 10, RIGHT - 10);
    let _ = write!(
        svg,
        "<text class=\"label\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">a socket</text>",
        y(SOCKET) - 24
    );
    across(svg, from, to, y(SOCKET) + 8, "a question");
    across(svg, to, from, y(SOCKET) + 38, "an answer, or sbrk(…)");
}

/// The memory that both have, in three parts.
fn memory(svg: &mut String) {
    let (from, to) = GAP;
    let (x, width) = (usize::midpoint(from, to) - 44, 88);
    let top = y(MEMORY) + 6;
    let height = y(NOTE) + BOX - top;
    let third = height / 3;
    let _ = write!(
        svg,
        "<text class=\"label\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">one memory</text>",
        x + width / 2,
        y(NOTE) + BOX + 20
    );
    for (i, (name, class)) in [("heap", "used"), ("mappings", "used"), ("note", "foreign")].into_iter().enumerate() {
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{third}\"/>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{name}</text>",
            top + i * third,
            x + width / 2,
            top + i * third + third / 2 + 4,
        );
    }
    let heap = y(MEMORY) + BOX / 2;
    let note = y(NOTE) + BOX / 2;
    // The examiner copies, in both directions; the candidate has it mapped.
    across(svg, from, x, heap - 6, "");
    across(svg, x, from, heap + 8, "");
    across(svg, to, x + width, heap, "");
    across(svg, x, from, note, "");
    across(svg, to, x + width, note, "");
}
