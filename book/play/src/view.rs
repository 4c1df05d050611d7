//! One step of a story, as the page shows it.

use crate::script::Mistake;
use crate::story::{Mapped, Moment, Story};
use heapkit::draw::{self, Role, Row, size_word_in_words};
use heapkit::format::PAYLOAD;
use heapkit::image::{Image, Link, Links, Offset, Raw, State, UNSET};
use heapkit::memory::PAGE;
use lab08::CACHE_KEY;
use serde::Serialize;

/// What a story comes to.
#[derive(Serialize)]
pub struct Summary {
    /// Whose malloc plays it.
    malloc: String,
    /// The moments: before the first call, and after each.
    steps: Vec<Step>,
    /// The line from which on it can't be played, and why.
    mistake: Option<Problem>,
}

#[derive(Serialize)]
struct Step {
    line: usize,
    action: String,
    result: String,
}

#[derive(Serialize)]
struct Problem {
    line: usize,
    what: String,
}

impl Summary {
    /// The summary of a story.
    pub fn of(story: &Story) -> Self {
        let steps = story.moments.iter().map(|moment| Step {
            line: moment.line,
            action: moment.action.clone(),
            result: moment.result.clone(),
        });
        let problem = |Mistake { line, what }: &Mistake| Problem { line: *line, what: what.clone() };
        Summary {
            malloc: story.settings.in_words(),
            steps: steps.collect(),
            mistake: story.mistake.as_ref().map(problem),
        }
    }
}

/// A step.
#[derive(Serialize)]
pub struct View {
    /// The heap and its lists; empty as long as there is no heap.
    svg: String,
    /// The same in words, for a test and for those who copy it.
    text: String,
    /// What there is to say about the call.
    note: String,
    /// What the malloc asked of the system.
    calls: Vec<String>,
    /// How the bytes are spread.
    sum: String,
    /// Blocks with a mapping of their own.
    mappings: Vec<String>,
    /// The words of the heap, two in a row.
    rows: Vec<WordRow>,
}

/// Sixteen bytes, or a number of rows that are left out.
#[derive(Serialize)]
struct WordRow {
    at: String,
    words: Vec<Word>,
    /// How many rows are left out here.
    skipped: usize,
    /// Whether one of them has changed.
    changed: bool,
}

#[derive(Serialize)]
struct Word {
    value: String,
    /// The bytes as letters, as a debugger shows them.
    letters: String,
    /// The start of its chunk.
    chunk: usize,
    /// The class of its colour: `used`, `word`, `free`.
    role: &'static str,
    /// What it means there.
    meaning: String,
    /// Whether it has another value than at the moment that it is compared with.
    changed: bool,
}

/// Of a chunk with more rows of words than this, the middle is left out.
const MOST_ROWS: usize = 8;
/// So many rows of it are shown before the middle, and one after it.
const FIRST_ROWS: usize = 5;

/// The moment `now`, compared with the moment `since`.
pub fn view(story: &Story, now: usize, since: Option<usize>) -> View {
    let moment = &story.moments[now];
    let is_empty = moment.image.blocks.is_empty();
    View {
        svg: if is_empty { String::new() } else { story.strip.step(now, since) },
        text: text(moment),
        note: moment.note.clone(),
        calls: moment.calls.clone(),
        sum: sum(&moment.image),
        mappings: moment.mappings.iter().map(mapping).collect(),
        rows: words(moment, since.map(|since| &story.moments[since])),
    }
}

/// The heap and its lists as the labs' screens draw them.
fn text(moment: &Moment) -> String {
    let mut text = draw::heap(&moment.image, &[]);
    for list in moment.image.lists.iter().filter(|list| !list.chunks.is_empty()) {
        text.push_str(&format!("{}: {}\n", list.name, draw::list(list)));
    }
    text
}

fn sum(image: &Image) -> String {
    let all = |state: State| image.blocks.iter().filter(move |block| block.state == state).map(|block| block.size);
    let count = |state| {
        let (chunks, bytes) = (all(state).count(), thousands(all(state).sum()));
        format!("{chunks} chunk{} of {bytes} bytes", if chunks == 1 { "" } else { "s, in all" })
            .replace("in all of", "together")
    };
    if image.blocks.is_empty() {
        return "There is no heap yet: the malloc has not asked the system for memory.".into();
    }
    let waiting = |links: Links| -> usize {
        image.lists.iter().filter(|list| list.links == links).map(|list| list.chunks.len()).sum()
    };
    let places = [(waiting(Links::OneWay), "in a fast bin"), (waiting(Links::Masked), "in the cache")];
    let filled = places.iter().filter(|(count, _)| *count > 0);
    let places: Vec<String> = filled.map(|(count, place)| format!("{count} of them {place}")).collect();
    let waiting = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let largest = match all(State::Free).max() {
        Some(largest) if all(State::Free).count() > 1 => format!(", the largest of {} bytes", thousands(largest)),
        _ => String::new(),
    };
    let top = all(State::Top).map(thousands).next().unwrap_or_else(|| "0".into());
    format!("In use: {}{waiting}. Free: {}{largest}. Top: {top} bytes.", count(State::Used), count(State::Free))
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn mapping(mapped: &Mapped) -> String {
    let Mapped { number, len, block, size_word } = mapped;
    format!("M{number}, {} bytes, holds {block}. Its size word is {}.", thousands(*len), size_word_in_words(*size_word))
}

fn words(moment: &Moment, since: Option<&Moment>) -> Vec<WordRow> {
    let (bytes, before) = (moment.bytes(), since.map(Moment::bytes));
    let raw = Raw { bytes: &bytes, foreign: &moment.foreign };
    let has_changed = |at: usize| before.as_ref().is_some_and(|before| before.word(at) != bytes.word(at));
    let rows = draw::rows(&raw, &moment.image, 0..bytes.end());
    let mut all = Vec::new();
    // A chunk's rows; the header after the last one, if it is no top chunk, starts none.
    for chunk in rows.chunk_by(|_, next| !next.starts_chunk) {
        let lines: Vec<&[Row]> = chunk.chunks(2).collect();
        let skipped = if lines.len() > MOST_ROWS { FIRST_ROWS..lines.len() - 1 } else { 0..0 };
        for (i, line) in lines.iter().enumerate() {
            if i == skipped.start && !skipped.is_empty() {
                let left_out = lines[skipped.clone()].iter().flat_map(|line| line.iter());
                let changed = left_out.clone().any(|row| has_changed(row.at));
                all.push(WordRow {
                    at: Offset(line[0].at).to_string(),
                    words: Vec::new(),
                    skipped: skipped.len(),
                    changed,
                });
            }
            if !skipped.contains(&i) {
                let words = line.iter().map(|row| word(moment, &raw, chunk[0].at, row, has_changed(row.at)));
                all.push(WordRow {
                    at: Offset(line[0].at).to_string(),
                    words: words.collect(),
                    skipped: 0,
                    changed: false,
                });
            }
        }
    }
    all
}

fn word(moment: &Moment, raw: &Raw<'_>, chunk: usize, row: &Row, changed: bool) -> Word {
    let bytes = row.value.to_ne_bytes();
    let is_header = row.at - chunk < PAYLOAD && row.role == Role::Header;
    let one_way = moment.image.lists.iter().filter(|list| list.links != Links::BothWays);
    let waits_in = one_way.into_iter().find(|list| list.chunks.contains(&chunk)).map(|list| list.links);
    let is_masked = waits_in == Some(Links::Masked) && row.at == chunk + PAYLOAD;
    let value = if is_masked { row.value ^ ((raw.bytes.base() + row.at) / PAGE) } else { row.value };
    // Addresses differ from run to run, and say less than where they lead.
    let link = match raw.link(value) {
        Link::To(to) if !is_header => Some(Offset(to)),
        _ => None,
    };
    let letter = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '·' };
    let leads_to = || link.map_or("end".into(), |to| to.to_string());
    let name = moment.name(chunk).unwrap_or_default();
    let meaning = match (row.role, row.meaning.as_str(), waits_in) {
        (Role::Payload, "payload", Some(Links::Masked)) if is_masked => {
            format!("the next block of the cache → {}, masked", leads_to())
        }
        (Role::Payload, "payload", Some(Links::Masked)) if row.value == CACHE_KEY => "the key of a cached block".into(),
        (Role::Payload, "payload", Some(Links::Masked)) => "payload of a block that waits in the cache".into(),
        (Role::Payload, "payload", Some(_)) if row.at == chunk + PAYLOAD => format!("fd → {}", leads_to()),
        (Role::Payload, "payload", Some(_)) => "payload of a block that waits in a fast bin".into(),
        (Role::Payload, "payload", _) if row.value == UNSET => {
            format!("payload of {name}, which nobody has written yet")
        }
        (Role::Payload, "payload", _) => format!("payload of {name}"),
        (Role::Payload, "payload of the chunk before", _) => {
            let before = moment.image.blocks.iter().find(|block| block.end() == chunk);
            match before.and_then(|before| moment.name(before.at)) {
                Some(before) => format!("prev_size, lent to the chunk before: payload of {before}"),
                None => "prev_size, lent to the chunk before".into(),
            }
        }
        (Role::Unused, "unused", _) if row.value == UNSET => "free, and never written".into(),
        (Role::Unused, "unused", _) => "free: what was left in it".into(),
        (Role::Unused, "top", _) => "top chunk".into(),
        _ => row.meaning.clone(),
    };
    Word {
        value: match link {
            Some(to) => format!("→ {to}"),
            None if is_masked => "→ end".into(),
            None => format!("{:016x}", row.value),
        },
        letters: if link.is_some() || is_masked { String::new() } else { bytes.iter().map(letter).collect() },
        chunk,
        role: match row.role {
            Role::Payload => "used",
            Role::Header => "word",
            Role::Unused => "free",
        },
        meaning,
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(text: &str) -> Story {
        Story::play("page first split join".parse().unwrap(), text)
    }

    fn meanings(view: &View) -> Vec<&str> {
        view.rows.iter().flat_map(|row| &row.words).map(|word| word.meaning.as_str()).collect()
    }

    #[test]
    fn words_are_decoded_and_changes_marked() {
        let story = story("a = malloc(24); b = malloc(24); free(a)");
        let last = view(&story, 3, Some(2));
        assert_eq!(
            meanings(&last)[..5],
            [
                "prev_size: nothing lies before",
                "size | flags: size 0x20, P = 1 \"the chunk before is in use\"",
                "fd → end",
                "bk → head",
                "prev_size: the free chunk before has 32 bytes",
            ]
        );
        let changed: Vec<bool> = last.rows.iter().flat_map(|row| &row.words).map(|word| word.changed).collect();
        assert_eq!(changed[..8], [false, false, true, true, true, true, false, false]);
        assert_eq!(
            meanings(&last)[6..9],
            ["payload of b", "payload of b", "prev_size, lent to the chunk before: payload of b"]
        );
        assert_eq!(view(&story, 2, None).rows[1].words[0].letters, "aaaaaaaa");
    }

    #[test]
    fn the_middle_of_a_large_chunk_is_left_out() {
        let story = story("a = malloc(400); b = malloc(24)");
        let rows = view(&story, 2, Some(0)).rows;
        let skipped: Vec<usize> = rows.iter().map(|row| row.skipped).filter(|skipped| *skipped > 0).collect();
        assert_eq!(skipped, [416 / 16 - FIRST_ROWS - 1]);
        assert!(rows.iter().any(|row| row.skipped > 0 && row.changed));
        let freed = self::story("a = malloc(400); b = malloc(24); free(a)");
        assert!(meanings(&view(&freed, 3, None)).contains(&"free: what was left in it"));
    }

    #[test]
    fn any_two_steps_can_be_compared() {
        let story = story("a = malloc(24); b = malloc(24); free(a)");
        let marks = |now, since| view(&story, now, since).svg.matches("class=\"changed\"").count();
        assert_eq!([marks(2, Some(2)), marks(3, Some(2)), marks(3, Some(0)), marks(3, None)], [0, 2, 3, 0]);
    }

    #[test]
    fn what_a_cache_writes_is_decoded() {
        let story = Story::play("cache".parse().unwrap(), "a = malloc(24); b = malloc(24); free(a); free(b)");
        let last = view(&story, 4, Some(3));
        let shown: Vec<(&str, &str)> = last
            .rows
            .iter()
            .flat_map(|row| &row.words)
            .map(|word| (word.value.as_str(), word.meaning.as_str()))
            .collect();
        assert_eq!(shown[2], ("→ end", "the next block of the cache → end, masked"));
        assert_eq!(shown[3], ("6b65707420627920", "the key of a cached block"));
        assert_eq!(shown[6], ("→ +0x0010", "the next block of the cache → +0x0010, masked"));
        assert!(last.text.ends_with("cache 32: head → +0x0020 → +0x0000 → end\n"), "{}", last.text);
    }

    #[test]
    fn sums_are_sentences() {
        let story = story("a = malloc(24); b = malloc(24); c = malloc(1); free(a)");
        assert_eq!(
            view(&story, 0, None).sum,
            "In use: 0 chunks, together 0 bytes. Free: 0 chunks, together 0 bytes. Top: 4,096 bytes."
        );
        assert_eq!(
            view(&story, 4, None).sum,
            "In use: 2 chunks, together 64 bytes. Free: 1 chunk of 32 bytes. Top: 4,000 bytes."
        );
    }
}
