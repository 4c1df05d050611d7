//! Chunks under the microscope: one row for each word, with what the word means there.

use super::svg::{described, escape};
use super::text::size_word_in_words;
use crate::format::{PAYLOAD, SIZE_WORD};
use crate::image::{Image, Link, Offset, Raw, State};
use std::fmt::Write;

/// One word of the heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub at: usize,
    /// Whether a chunk starts here.
    pub starts_chunk: bool,
    /// What the word is to the allocator: the class of its colour.
    pub role: Role,
    /// Its value.
    pub value: usize,
    /// What the value says.
    pub meaning: String,
}

/// What a word is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Bytes of the program.
    Payload,
    /// A word the allocator reads and writes.
    Header,
    /// Bytes nobody uses now.
    Unused,
}

impl Role {
    /// The class of its colour.
    fn class(self) -> &'static str {
        match self {
            Role::Payload => "used",
            Role::Header => "word",
            Role::Unused => "free",
        }
    }
}

/// The words of the chunks that start in `range`, and of the header after them.
pub fn rows(raw: &Raw<'_>, image: &Image, range: std::ops::Range<usize>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut before = State::Used;
    for block in &image.blocks {
        if range.contains(&block.at) || (block.at == range.end) {
            let last = block.at == range.end || matches!(block.state, State::Top | State::Mapped);
            let words = if last { PAYLOAD } else { block.size };
            for at in (block.at..block.at + words).step_by(8) {
                rows.push(row(raw, block, before, at));
            }
        }
        before = block.state;
    }
    rows
}

fn row(raw: &Raw<'_>, block: &crate::image::Block, before: State, at: usize) -> Row {
    let value = raw.word(at).unwrap_or_default();
    let link = |link: Link, null: &str| match link {
        Link::End => null.to_owned(),
        Link::To(to) => Offset(to).to_string(),
        Link::Wild(_) | Link::Payload => "outside the heap".to_owned(),
    };
    let (role, meaning) = match (at - block.at, block.state) {
        (0, _) if before == State::Free => {
            (Role::Header, format!("prev_size: the free chunk before has {value} bytes"))
        }
        (0, State::Mapped) => (Role::Header, format!("prev_size: {value} bytes of the mapping come before")),
        (0, _) if block.at == 0 => (Role::Unused, "prev_size: nothing lies before".to_owned()),
        (0, _) => (Role::Payload, "payload of the chunk before".to_owned()),
        (SIZE_WORD, _) => {
            let words = size_word_in_words(value);
            // The value is beside the meaning.
            let words = words.split_once(": ").map_or(words.as_str(), |(_, words)| words);
            (Role::Header, format!("size | flags: {words}"))
        }
        (16, State::Free) => (Role::Header, format!("fd → {}", link(block.fd, "end"))),
        (24, State::Free) => (Role::Header, format!("bk → {}", link(block.bk, "head"))),
        (_, State::Free) => (Role::Unused, "unused".to_owned()),
        (_, State::Used | State::Mapped) => (Role::Payload, "payload".to_owned()),
        (_, State::Top) => (Role::Unused, "top".to_owned()),
        (_, State::Fence) => (Role::Unused, "fence".to_owned()),
        (_, State::Foreign) => (Role::Unused, "other code".to_owned()),
    };
    Row { at, starts_chunk: at == block.at, role, value, meaning }
}

/// A word's value; pointers into the heap are shown by their meaning, never by their address.
fn value(row: &Row) -> String {
    match row.meaning.split_once(" → ") {
        Some(_) if row.value != 0 => "pointer".into(),
        _ if row.role == Role::Payload || row.role == Role::Unused => String::new(),
        _ => format!("{:#x}", row.value),
    }
}

/// The rows as text.
pub fn rows_text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let edge = if row.starts_chunk { "┌" } else { "│" };
        let line = format!("{}  {edge} {:<8} {}", Offset(row.at), value(row), row.meaning);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// More words in a row than this, all alike, are drawn as one line.
const ALIKE: usize = 4;

/// The rows as a picture. A gap separates the chunks; words that say nothing new are drawn as one.
pub fn rows_svg(rows: &[Row]) -> String {
    picture(rows, &[], &in_words(rows, &[]))
}

/// Two states of the same words beside each other, with a title each. Words that the second one has changed are marked.
pub fn rows_beside(titles: [&str; 2], before: &[Row], after: &[Row]) -> String {
    const ROW: usize = 26;
    const TOP: usize = 26;
    const LEFT: usize = 74;
    const COLUMN: usize = 330;
    const GAP: usize = 10;
    let (width, height) = (LEFT + 2 * COLUMN + GAP + 4, TOP + before.len() * ROW + 4);
    let is_new = |old: &Row, new: &Row| old.value != new.value;
    let pairs = || before.iter().zip(after);
    let changed: Vec<String> =
        pairs().filter(|(old, new)| is_new(old, new)).map(|(old, _)| Offset(old.at).to_string()).collect();
    let in_words =
        format!("The same words twice, {} and {}. The words at {} differ.", titles[0], titles[1], changed.join(", "));
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" {}>",
        described(&in_words)
    );
    let columns = [LEFT, LEFT + COLUMN + GAP];
    for (x, title) in columns.iter().zip(titles) {
        let _ = write!(svg, "<text class=\"label\" x=\"{x}\" y=\"16\">{}</text>", escape(title));
    }
    for (i, (old, new)) in pairs().enumerate() {
        let y = TOP + i * ROW;
        let _ = write!(svg, "<text class=\"addr\" x=\"4\" y=\"{}\">{}</text>", y + 18, Offset(old.at));
        for (x, row) in columns.into_iter().zip([old, new]) {
            let class = row.role.class();
            // Two columns have no room for what each flag means.
            let meaning = row.meaning.split(" \"").next().unwrap_or_default();
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{COLUMN}\" height=\"{ROW}\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{}\">{}</text>",
                x + 10,
                y + 18,
                escape(meaning),
            );
        }
        if is_new(old, new) {
            let _ = write!(
                svg,
                "<rect class=\"changed\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                columns[1] + 2,
                y + 2,
                COLUMN - 4,
                ROW - 4
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A picture for each step, with the words marked that have changed since the step before, and described.
pub fn rows_steps(steps: &[Vec<Row>]) -> Vec<String> {
    let before = std::iter::once(None).chain(steps.iter().map(Some));
    let pictures = steps.iter().zip(before).map(|(rows, before)| {
        let changed: Vec<usize> = match before {
            Some(before) => {
                let same = |row: &Row| before.iter().any(|old| (old.at, old.value) == (row.at, row.value));
                rows.iter().filter(|row| !same(row)).map(|row| row.at).collect()
            }
            None => Vec::new(),
        };
        picture(rows, &changed, &in_words(rows, &changed))
    });
    pictures.collect()
}

/// What a picture of these rows shows: the allocator's own words.
fn in_words(rows: &[Row], changed: &[usize]) -> String {
    let header = rows.iter().filter(|row| row.role == Role::Header).map(|row| {
        let new = if changed.contains(&row.at) { " (changed)" } else { "" };
        format!("{}: {}{new}", Offset(row.at), row.meaning)
    });
    described(&format!("The allocator's words: {}.", header.collect::<Vec<_>>().join("; ")))
}

fn picture(rows: &[Row], changed: &[usize], label: &str) -> String {
    const ROW: usize = 26;
    const GAP: usize = 8;
    const LEFT: usize = 74;
    const WIDTH: usize = 720;
    let mut body = String::new();
    let mut y = 4;
    let alike =
        |a: &Row, b: &Row| a.role == b.role && a.meaning == b.meaning && !b.starts_chunk && a.role != Role::Header;
    for (i, run) in rows.chunk_by(alike).enumerate() {
        let lines = if run.len() > ALIKE { 1 } else { run.len() };
        for (line, row) in run[..lines].iter().enumerate() {
            if row.starts_chunk && (i, line) != (0, 0) {
                y += GAP;
            }
            let class = row.role.class();
            let count = if lines < run.len() { format!(", {} words", run.len()) } else { String::new() };
            let _ = write!(
                body,
                "<text class=\"addr\" x=\"4\" y=\"{text_y}\">{at}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width}\" height=\"{ROW}\"/>\
                 <text class=\"addr\" x=\"{value_x}\" y=\"{text_y}\">{value}</text>\
                 <text class=\"small\" x=\"{meaning_x}\" y=\"{text_y}\">{meaning}{count}</text>",
                at = Offset(row.at),
                text_y = y + 18,
                width = WIDTH - LEFT - 4,
                value_x = LEFT + 10,
                value = value(row),
                meaning_x = LEFT + 84,
                meaning = escape(&row.meaning),
            );
            if run.iter().any(|row| changed.contains(&row.at)) && (lines < run.len() || changed.contains(&row.at)) {
                let _ = write!(
                    body,
                    "<rect class=\"changed\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                    LEFT + 2,
                    y + 2,
                    WIDTH - LEFT - 8,
                    ROW - 4
                );
            }
            y += ROW;
        }
    }
    let height = y + 4;
    format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" {label}>{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(at: usize, value: usize) -> Row {
        Row { at, starts_chunk: at == 0, role: Role::Header, value, meaning: "a \"word\"".into() }
    }

    #[test]
    fn a_step_marks_the_words_that_have_another_value() {
        let steps = rows_steps(&[vec![word(0, 1), word(8, 2)], vec![word(0, 1), word(8, 3)]]);
        let marks: Vec<usize> = steps.iter().map(|svg| svg.matches("class=\"changed\"").count()).collect();
        assert_eq!(marks, [0, 1]);
    }

    #[test]
    fn two_states_lie_beside_each_other_and_what_differs_is_marked() {
        let svg = rows_beside(["in use", "free"], &[word(0, 1), word(8, 2)], &[word(0, 1), word(8, 3)]);
        assert_eq!(svg.matches("class=\"changed\"").count(), 1);
        assert!(svg.contains("The same words twice, in use and free. The words at +0x0008 differ."), "{svg}");
        assert_eq!(svg.matches("class=\"word\"").count(), 4);
    }

    #[test]
    fn the_description_is_an_attribute_whatever_the_words_say() {
        let steps = rows_steps(&[vec![word(8, 2)]]);
        assert!(
            steps[0].contains("aria-label=\"The allocator's words: +0x0008: a &quot;word&quot;.\""),
            "{}",
            steps[0]
        );
    }
}
