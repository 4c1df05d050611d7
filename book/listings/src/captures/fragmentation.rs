//! The heaps and the numbers of the page on fragmentation, from the reference of lab 4.

use super::plot::{self, Curve};
use super::stage::{Reference, Stage};
use super::{Capture, Content, holes};
use heapkit::draw::Strip;
use heapkit::memory::PAGE;
use heapkit::workload::{self, Op, Rng};
use lab02::request_to_chunk_size;
use lab03::{Fit, ListHeap};
use lab04::{CoalescingHeap, Fragmentation};

type Joined = Stage<CoalescingHeap>;

/// A heap for all messages of the chat server.
const LARGE: usize = 256 * PAGE;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let mut captures = Vec::new();
    let mut svg = |name: &str, text| captures.push(Capture::new(format!("figures/{name}.svg"), Content::Fixed(text)));
    svg("splitting", splitting()?);
    let (beginning, sizes) = chat_holes()?;
    svg("chat_beginning", beginning);
    svg("chat_holes", sizes);
    svg("fits_compared", fits_compared()?);
    Ok(captures)
}

/// A large free chunk serves a small request; a chunk that is nearly right is used whole.
fn splitting() -> Result<String, String> {
    let mut stage = Joined::with(PAGE, Fit::Best, &[200, 56, 88, 56])?;
    stage.free(0);
    stage.free(2);
    let names = |stage: &Joined| [(stage.chunk(1), "B"), (stage.chunk(3), "D")];
    let mut strip = Strip::default().moment("two free chunks", stage.image(), &names(&stage));
    for (request, name) in [(100, "malloc(100)"), (72, "malloc(72)")] {
        let at = stage.malloc(request).ok_or("the figure's heap has room")?;
        let mut named = names(&stage).to_vec();
        named.push((at, name));
        strip = strip.moment(name, stage.image(), &named);
    }
    Ok(strip.svg())
}

/// The chat server's messages, and the sum of the requests.
fn chat_server<A: Reference>() -> Result<(Stage<A>, usize), String> {
    let mut rng = Rng::new(1);
    let sizes: Vec<usize> = (0..1000).map(|_| rng.within(&(10..=1000))).collect();
    Ok((Stage::with(LARGE, Fit::Best, &sizes)?, sizes.iter().sum()))
}

/// The large message that no hole can hold.
const LARGE_MESSAGE: usize = 5000;

/// The chat server's heap when every second message is freed: its beginning, and how large its holes are.
fn chat_holes() -> Result<(String, String), String> {
    let (mut stage, _) = chat_server::<CoalescingHeap>()?;
    for block in (1..1000).step_by(2) {
        stage.free(block);
    }
    let image = stage.image();
    let sizes: Vec<usize> = image.free().map(|block| block.size).collect();
    let asked_for = request_to_chunk_size(LARGE_MESSAGE).ok_or("5000 bytes fit into a chunk")?;
    Ok((holes::beginning(&image, asked_for, LARGE_MESSAGE), holes::histogram(&sizes, asked_for, LARGE_MESSAGE)))
}

/// The numbers of the chat server, by the names of the facts.
pub fn facts() -> Result<Vec<(&'static str, usize)>, String> {
    let (mut stage, requested) = chat_server::<CoalescingHeap>()?;
    let full = stage.allocator.fragmentation();
    let mut facts = vec![
        ("chat_requested", requested),
        ("chat_in_chunks", full.in_use),
        ("chat_internal_permille", permille(full.internal(requested))),
    ];
    for block in (1..1000).step_by(2) {
        stage.free(block);
    }
    let Fragmentation { free, holes, largest, .. } = stage.allocator.fragmentation();
    let last = stage.chunk(998);
    let external = stage.allocator.fragmentation().external();
    stage.malloc(LARGE_MESSAGE).ok_or("the top chunk serves 5000 bytes")?;
    let top_before_small = stage.allocator.fragmentation().top;
    let small = (0..500).filter(|_| stage.malloc(100).is_some_and(|at| at < last)).count();
    let after = stage.allocator.fragmentation();
    facts.extend([
        ("chat_free", free),
        ("chat_holes", holes),
        ("chat_largest", largest),
        ("chat_not_in_one", free - largest),
        ("chat_external_permille", permille(external)),
        ("chat_small_in_holes", small),
        ("chat_top_used_by_small", top_before_small - after.top),
    ]);
    // Everything freed: one piece again, or a thousand.
    let (mut joined, _) = chat_server::<CoalescingHeap>()?;
    let (mut apart, _) = chat_server::<ListHeap>()?;
    for block in 0..1000 {
        joined.free(block);
        apart.free(block);
    }
    facts.extend([
        ("chat_all_freed_holes", joined.allocator.fragmentation().holes),
        ("chat_all_freed_in_lab3", apart.image().free().count()),
        ("chat_largest_in_lab3", apart.image().free().map(|block| block.size).max().unwrap_or(0)),
    ]);
    for (fit, name) in FITS {
        let extents = extents(fit)?;
        facts.push((name, extents.into_iter().max().unwrap_or(0)));
    }
    let live = live_bytes()?;
    facts.push(("fits_live_most", live.into_iter().max().unwrap_or(0)));
    Ok(facts)
}

fn permille(part: f64) -> usize {
    (part * 1000.0).round() as usize
}

/// The fits, and the fact for the most bytes that each takes from the heap.
const FITS: [(Fit, &str); 3] =
    [(Fit::Worst, "worst_fit_extent"), (Fit::First, "first_fit_extent"), (Fit::Best, "best_fit_extent")];

/// The workload on which the fits are compared.
fn workload() -> Vec<Op> {
    workload::random(4, 6000, 10..=1000, 300)
}

/// Plays the workload, and measures after every step.
fn measure(fit: Fit, mut what: impl FnMut(&CoalescingHeap) -> usize) -> Result<Vec<usize>, String> {
    let mut stage = Joined::new(LARGE, fit)?;
    let mut block_of = std::collections::BTreeMap::new();
    let mut next = 0;
    let mut values = Vec::new();
    for op in workload() {
        match op {
            Op::Malloc { id, size } => {
                stage.malloc(size).ok_or("the heap is large enough for the comparison")?;
                block_of.insert(id, next);
                next += 1;
            }
            Op::Free { id } => stage.free(block_of.remove(&id).ok_or("a workload frees what is alive")?),
            other => return Err(format!("lab 4's allocator has no operation `{other}`")),
        }
        values.push(what(&stage.allocator));
    }
    Ok(values)
}

/// How far the heap reaches after every step: everything but the top chunk.
fn extents(fit: Fit) -> Result<Vec<usize>, String> {
    measure(fit, |allocator| LARGE - allocator.fragmentation().top)
}

/// The bytes in chunks in use after every step. Nearly the same for all fits.
fn live_bytes() -> Result<Vec<usize>, String> {
    measure(Fit::Best, |allocator| allocator.fragmentation().in_use)
}

fn fits_compared() -> Result<String, String> {
    /// One step in so many is drawn.
    const EVERY: usize = 30;
    let thin = |values: Vec<usize>| values.into_iter().step_by(EVERY).map(|bytes| bytes / 1024).collect();
    let mut curves = Vec::new();
    for (fit, name) in [(Fit::Worst, "worst fit"), (Fit::First, "first fit"), (Fit::Best, "best fit")] {
        curves.push(Curve { name, values: thin(extents(fit)?) });
    }
    curves.push(Curve { name: "in use (best fit)", values: thin(live_bytes()?) });
    Ok(plot::svg(&curves, workload().len(), "KiB"))
}
