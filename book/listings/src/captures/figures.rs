//! The heaps of the figures, each made by the reference labs' own code, and drawn.

use super::{Capture, Content};
use heapkit::draw::{self, Role, Strip};
use heapkit::memory::{Arena, PAGE};
use lab02::request_to_chunk_size;
use lab03::{Fit, ListHeap};

/// A page under the allocator of lab 3.
type Stage = super::stage::Stage<ListHeap>;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let mut captures = Vec::new();
    let mut svg = |name: &str, text| captures.push(Capture::new(format!("figures/{name}.svg"), Content::Fixed(text)));
    svg("side_by_side", side_by_side()?);
    let (in_use, used_and_free) = one_chunk()?;
    svg("chunk_in_use", in_use);
    svg("used_and_free", used_and_free);
    svg("padding", padding()?);
    svg("size_word", draw::size_word(chunk_size(64) | heapkit::format::PREV_INUSE));
    svg("cut_from_top", cut_from_top()?);
    svg("fits", fits()?);
    svg("counter_example", counter_example()?);
    let story = story()?;
    svg("before_and_after", story.before_and_after);
    let mut text = |name: &str, text| captures.push(Capture::new(format!("{name}.txt"), Content::Fixed(text)));
    text("four_in_use", story.four_in_use);
    text("b_and_c_free", story.b_and_c_free);
    text("broken_heap", broken_heap()?);
    for (fit, name, _) in FITS {
        text(&name.replace(' ', "_"), chosen_block(fit)?);
    }
    Ok(captures)
}

fn chunk_size(request: usize) -> usize {
    request_to_chunk_size(request).unwrap_or_default()
}

/// Three blocks and the top chunk.
fn side_by_side() -> Result<String, String> {
    let stage = Stage::with(PAGE, Fit::First, &[40, 64, 100])?;
    let names = [(stage.chunk(0), "malloc(40)"), (stage.chunk(1), "malloc(64)"), (stage.chunk(2), "malloc(100)")];
    Ok(Strip::default().moment("", stage.image(), &names).svg())
}

/// The words of one chunk of 40 bytes in use; and beside each other, in use and free.
fn one_chunk() -> Result<(String, String), String> {
    let mut stage = Stage::with(PAGE, Fit::First, &[24, 40, 24])?;
    let in_use = stage.rows(1, 2);
    stage.free(1);
    let free = stage.rows(1, 2);
    Ok((draw::rows_svg(&in_use), draw::rows_beside(["in use", "free"], &in_use, &free)))
}

/// A chunk for 41 bytes, in which not all is asked for.
fn padding() -> Result<String, String> {
    const REQUEST: usize = 41;
    let mut rows = Stage::with(PAGE, Fit::First, &[REQUEST, 24])?.rows(0, 1);
    let words = rows.iter_mut().filter(|row| row.role == Role::Payload);
    for (i, row) in words.enumerate() {
        let padded = (8 * (i + 1)).saturating_sub(REQUEST).min(8);
        match padded {
            0 => {}
            8 => (row.role, row.meaning) = (Role::Unused, format!("padding ({})", row.meaning)),
            _ => row.meaning = format!("payload: {}, then {padded} bytes of padding", bytes(8 - padded)),
        }
    }
    Ok(draw::rows_svg(&rows))
}

fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

struct Story {
    before_and_after: String,
    four_in_use: String,
    b_and_c_free: String,
}

/// The chapter's A B C D.
fn story() -> Result<Story, String> {
    let mut stage = Stage::with(PAGE, Fit::First, &[64; 4])?;
    let names = stage.names(&["A", "B", "C", "D"]);
    let before = Strip::default().moment("four blocks of 64 bytes", stage.image(), &names);
    let four_in_use = stage.text();
    stage.free(1);
    stage.free(2);
    let b_and_c_free = stage.text();
    let before_and_after = before.moment("after free(B) and free(C)", stage.image(), &names).svg();
    Ok(Story { before_and_after, four_in_use, b_and_c_free })
}

/// A fresh heap, and the first chunk cut from it.
fn cut_from_top() -> Result<String, String> {
    let mut stage = Stage::new(PAGE, Fit::First)?;
    let fresh = stage.image();
    stage.malloc(64);
    Ok(Strip::default().moment("a fresh heap", fresh, &[]).moment("A = malloc(64)", stage.image(), &[(0, "A")]).svg())
}

/// The chapter's list.
const LIST: [usize; 4] = [100, 50, 200, 80];

/// A heap whose list holds the chunks of `LIST`, in that order, with a chunk in use behind each.
fn chapters_list(fit: Fit) -> Result<Stage, String> {
    let requests: Vec<usize> = LIST.iter().flat_map(|&size| [size, 8]).collect();
    let mut stage = Stage::with(PAGE, fit, &requests)?;
    for block in [6, 4, 2, 0] {
        stage.free(block);
    }
    Ok(stage)
}

/// Names for the chunks of `LIST`, and for those that were given out again.
fn list_names(stage: &Stage, again: &[(usize, &'static str)]) -> Vec<(usize, &'static str)> {
    let names = ["100", "50", "200", "80"].iter().enumerate().map(|(i, name)| (stage.chunk(2 * i), *name));
    names.map(|(at, name)| (at, again.iter().find(|(new, _)| *new == at).map_or(name, |(_, new)| *new))).collect()
}

/// A strategy, its name, and the names of two facts: the chunk it takes for 60 bytes, and then for 150.
const FITS: [(Fit, &str, [&str; 2]); 3] = [
    (Fit::First, "first fit", ["first_fit_for_60", "first_fit_for_150"]),
    (Fit::Best, "best fit", ["best_fit_for_60", "best_fit_for_150"]),
    (Fit::Worst, "worst fit", ["worst_fit_for_60", "worst_fit_for_150"]),
];

fn fits() -> Result<String, String> {
    let stage = chapters_list(Fit::First)?;
    let mut strip = Strip::default().moment("the list: 100, 50, 200, 80", stage.image(), &list_names(&stage, &[]));
    for (fit, name, _) in FITS {
        let mut stage = chapters_list(fit)?;
        let at = stage.malloc(60).ok_or("the list serves 60 bytes")?;
        strip = strip.moment(&format!("malloc(60), {name}"), stage.image(), &list_names(&stage, &[(at, "60")]));
    }
    Ok(strip.svg())
}

/// What each strategy takes from the chapter's list for 60 bytes, in the chapter's notation.
fn chosen_block(fit: Fit) -> Result<String, String> {
    let mut stage = chapters_list(fit)?;
    let at = stage.malloc(60).ok_or("the list serves 60 bytes")?;
    let block = LIST.iter().enumerate().find(|(i, _)| stage.chunk(2 * i) == at);
    Ok(block.map_or("none".into(), |(_, size)| format!("[{size}B]\n")))
}

/// 60 bytes, then 150, from the chapter's list and a top chunk that is used up: the heap, and the two chunks.
fn sixty_then_150(fit: Fit) -> Result<(Stage, [Option<usize>; 2]), String> {
    let mut stage = chapters_list(fit)?;
    let top = stage.image().top().map_or(0, |top| top.size);
    stage.malloc(top - heapkit::format::MIN_CHUNK - heapkit::format::COST).ok_or("the top chunk can be used up")?;
    let chunks = [60, 150].map(|request| stage.malloc(request));
    Ok((stage, chunks))
}

/// The sizes of the chunks that each strategy takes for 60 bytes and then for 150, by the names of the facts.
pub fn choices() -> Result<Vec<(&'static str, Option<usize>)>, String> {
    let mut choices = Vec::new();
    for (fit, _, names) in FITS {
        let (stage, chunks) = sixty_then_150(fit)?;
        let image = stage.image();
        choices.extend(names.into_iter().zip(chunks.map(|at| Some(image.block(at?)?.size))));
    }
    Ok(choices)
}

fn counter_example() -> Result<String, String> {
    let mut strip = Strip::default();
    for (fit, name, _) in FITS {
        let (stage, chunks) = sixty_then_150(fit)?;
        let named: Vec<(usize, &str)> =
            chunks.into_iter().zip(["60", "150"]).filter_map(|(at, name)| Some((at?, name))).collect();
        strip = strip.moment(name, stage.image(), &list_names(&stage, &named));
    }
    Ok(strip.svg())
}

/// A string that was written past the end of its block.
fn broken_heap() -> Result<String, String> {
    let stage = Stage::with(PAGE, Fit::First, &[40, 64, 48])?;
    let second = stage.chunk(1);
    for at in (second + 16..second + 16 + 80).step_by(8) {
        stage.arena.set_word(at, 0x4141_4141_4141_4141);
    }
    Ok(stage.look(|_, image| draw::heap(&image, &[])))
}
