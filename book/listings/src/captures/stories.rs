//! Stories: a heap after each step of a run of the reference labs.

use super::stage::{Reference, Stage};
use super::{Capture, Content, bins, ship, whole};
use heapkit::draw::{self, Strip};
use heapkit::image::State;
use heapkit::memory::PAGE;
use lab02::request_to_chunk_size;
use lab03::{Fit, FreeList, ListHeap};
use lab04::CoalescingHeap;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let stories = [
        ("reuse", reuse()?),
        ("request", request()?),
        ("links", links()?),
        ("unlink_the_middle", unlink_the_middle()?),
        ("checkerboard", checkerboard()?),
        ("four_cases", four_cases()?),
        ("fences", whole::fences()?),
        ("one_chance", bins::one_chance()?),
        ("consolidated", bins::consolidated()?),
        ("cache_spills", ship::cache_spills()?),
    ];
    let pictures = stories.into_iter().flat_map(|(name, steps)| {
        let named = move |(step, svg)| Capture::new(format!("figures/{name}-{step}.svg"), Content::Fixed(svg));
        (1..).zip(steps).map(named)
    });
    Ok(pictures.collect())
}

/// A step of a story.
enum Step {
    /// The block of this number is freed.
    Free(usize),
    /// A request, and the name of its block.
    Malloc(usize, &'static str),
}

/// A heap with blocks of these names and sizes, and the heap after each step.
fn tell<A: Reference>(fit: Fit, blocks: &[(&'static str, usize)], steps: &[Step]) -> Result<Strip, String> {
    let sizes: Vec<usize> = blocks.iter().map(|(_, size)| *size).collect();
    let mut stage = Stage::<A>::with(PAGE, fit, &sizes)?;
    let mut names: Vec<(usize, &str)> =
        blocks.iter().enumerate().map(|(i, (name, _))| (stage.chunk(i), *name)).collect();
    let mut strip = Strip::default().moment("", stage.image(), &names);
    for step in steps {
        match *step {
            Step::Free(block) => stage.free(block),
            Step::Malloc(size, name) => {
                let at = stage.malloc(size).ok_or("the story has room for every request")?;
                names.retain(|(old, _)| *old != at);
                names.push((at, name));
            }
        }
        strip = strip.moment("", stage.image(), &names);
    }
    Ok(strip)
}

/// The chapter's A B C D: freed, and used again.
fn reuse() -> Result<Vec<String>, String> {
    let blocks = ["A", "B", "C", "D"].map(|name| (name, 64));
    let steps = [Step::Free(1), Step::Free(2), Step::Malloc(64, "E"), Step::Malloc(32, "F")];
    Ok(tell::<ListHeap>(Fit::First, &blocks, &steps)?.steps())
}

/// What a request does with the list, in five steps: B and C wait, and 64 bytes are asked for.
fn request() -> Result<Vec<String>, String> {
    let stage = Stage::<ListHeap>::with(PAGE, Fit::First, &[64; 4])?;
    let names = ["A", "B", "C", "D"];
    let looked_at = ["A", "B", "C?", "D"];
    let given = ["A", "B", "E", "D"];
    let mut list = FreeList::new();
    for block in [1, 2] {
        let mut chunk = stage.lend(block);
        // SAFETY: a chunk in use that has a next one, is in no list, and that nobody uses from now on.
        unsafe {
            chunk.mark_free();
            list.push(chunk);
        }
    }
    let asked = stage.image_with(list.head().addr());
    let size = request_to_chunk_size(64).ok_or("64 bytes have a chunk size")?;
    let mut chunk = list.take(Fit::First, size).ok_or("C is large enough")?;
    let taken = stage.image_with(list.head().addr());
    // SAFETY: the chunk has a next one.
    unsafe { chunk.mark_in_use() };
    let in_use = stage.image_with(list.head().addr());
    let strip = Strip::default()
        .moment("", asked.clone(), &stage.names(&names))
        .moment("", asked.clone(), &stage.names(&looked_at))
        .moment("", asked, &stage.names(&names))
        .moment("", taken, &stage.names(&names))
        .moment("", in_use, &stage.names(&given));
    Ok(strip.steps())
}

/// The words of B and C in the same story.
fn links() -> Result<Vec<String>, String> {
    let mut stage = Stage::<ListHeap>::with(PAGE, Fit::First, &[64; 4])?;
    let mut steps = vec![stage.rows(1, 3)];
    for block in [1, 2] {
        stage.free(block);
        steps.push(stage.rows(1, 3));
    }
    stage.malloc(64);
    steps.push(stage.rows(1, 3));
    Ok(draw::rows_steps(&steps))
}

/// Best fit takes the chunk in the middle of the list.
fn unlink_the_middle() -> Result<Vec<String>, String> {
    let blocks = [("X", 100), ("", 24), ("Y", 50), ("", 24), ("Z", 200), ("", 24)];
    let steps = [Step::Free(0), Step::Free(2), Step::Free(4), Step::Malloc(50, "new")];
    Ok(tell::<ListHeap>(Fit::Best, &blocks, &steps)?.steps())
}

/// Seven messages, every second one freed, and a request that is too large for each of the holes.
fn checkerboard() -> Result<Vec<String>, String> {
    let sizes = [300, 50, 120, 120, 200, 80, 64];
    let blocks: Vec<(&str, usize)> = ["1", "2", "3", "4", "5", "6", "7"].into_iter().zip(sizes).collect();
    let steps = [Step::Free(1), Step::Free(3), Step::Free(5), Step::Malloc(200, "8")];
    Ok(tell::<CoalescingHeap>(Fit::Best, &blocks, &steps)?.steps())
}

/// The blocks that are freed before B, in each of the four cases.
const CASES: [&[usize]; 4] = [&[], &[2], &[0], &[0, 2]];

fn before_b(freed_before: &[usize]) -> Result<Stage<CoalescingHeap>, String> {
    let mut stage = Stage::with(PAGE, Fit::First, &[64; 4])?;
    freed_before.iter().for_each(|&block| stage.free(block));
    Ok(stage)
}

/// How many chunks are in the list when B has been freed between two free ones.
pub fn listed_after_case_4() -> Result<usize, String> {
    let mut stage = before_b(CASES[3])?;
    stage.free(1);
    Ok(stage.image().list().map_or(0, |list| list.chunks.len()))
}

/// Four blocks, of which B is freed last: what its neighbours were decides what it becomes. Each case before and after.
fn four_cases() -> Result<Vec<String>, String> {
    let mut strip = Strip::default();
    for (number, freed_before) in (1..).zip(CASES) {
        let mut stage = before_b(freed_before)?;
        let names = stage.names(&["A", "B", "C", "D"]);
        strip = strip.moment(&format!("case {number}"), stage.image(), &names);
        stage.free(1);
        // What has been joined is no longer one block's.
        let image = stage.image();
        let in_use = |at: usize| image.block(at).is_some_and(|block| block.state == State::Used);
        let alone = freed_before.is_empty();
        let names: Vec<(usize, &str)> = names.into_iter().filter(|(at, _)| alone || in_use(*at)).collect();
        strip = strip.moment("", image, &names);
    }
    Ok(strip.steps())
}
