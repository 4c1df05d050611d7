//! Two threads and a lock that looks first and sets in a second step: which thread goes on, step by step.

use heapkit::draw;
use std::fmt::Write;

/// A step: the thread, what it does to the flag, and what it then is.
const STEPS: [(usize, &str, &str); 4] = [
    (1, "load → clear", "will set it next"),
    (2, "load → clear", "will set it next"),
    (2, "store(true)", "inside"),
    (1, "store(true)", "inside as well"),
];

const WIDTH: usize = 740;
const TOP: usize = 44;
const ROW: usize = 52;
const BOX: usize = 34;
const BOX_WIDTH: usize = 170;
const LEFT: usize = 14;
const RIGHT: usize = WIDTH - 14 - BOX_WIDTH;
const FLAG: usize = WIDTH / 2;
const FLAG_WIDTH: usize = 96;

/// The drawing.
pub fn drawing() -> String {
    let height = TOP + STEPS.len() * ROW + 6;
    let steps = STEPS.map(|(thread, does, is)| format!("thread {thread} does {does} and is then: {is}"));
    let label = draw::described(&format!("Which thread goes on, step by step. {}.", steps.join("; ")));
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" {label}>"
    );
    for (x, title) in
        [(LEFT + BOX_WIDTH / 2, "thread 1"), (FLAG, "the flag, and who goes on"), (RIGHT + BOX_WIDTH / 2, "thread 2")]
    {
        let _ = write!(svg, "<text class=\"label\" text-anchor=\"middle\" x=\"{x}\" y=\"20\">{title}</text>");
    }
    let mut before = 0;
    for (row, (thread, does, is)) in STEPS.into_iter().enumerate() {
        let y = TOP + row * ROW;
        let middle = y + BOX / 2;
        let is_inside = is.starts_with("inside");
        let x = if thread == 1 { LEFT } else { RIGHT };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX}\"/>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{text_x}\" y=\"{text_y}\">{is}</text>",
            class = if is_inside { "word" } else { "free" },
            text_x = x + BOX_WIDTH / 2,
            text_y = middle + 4,
        );
        let is_set = STEPS[..=row].iter().any(|step| step.1.starts_with("store"));
        let _ = write!(
            svg,
            "<rect class=\"used\" x=\"{flag_x}\" y=\"{y}\" width=\"{FLAG_WIDTH}\" height=\"{BOX}\"/>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{FLAG}\" y=\"{text_y}\">{flag}{switch}</text>",
            flag_x = FLAG - FLAG_WIDTH / 2,
            text_y = middle + 4,
            flag = if is_set { "set" } else { "clear" },
            switch = if before != 0 && before != thread { ", a switch" } else { "" },
        );
        before = thread;
        // To the one that goes on.
        let (from, to, back) =
            if thread == 1 { (FLAG - FLAG_WIDTH / 2, LEFT + BOX_WIDTH, 9) } else { (FLAG + FLAG_WIDTH / 2, RIGHT, -9) };
        let end = if thread == 1 { to + 6 } else { to - 6 };
        let _ = write!(
            svg,
            "<path class=\"link\" d=\"M {from} {middle} H {end}\"/>\
             <path class=\"arrow\" d=\"M {to} {middle} l {back} -5 v 10 z\"/>\
             <text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{does}</text>",
            usize::midpoint(from, to),
            middle - 6,
        );
    }
    svg.push_str("</svg>\n");
    svg
}
