//! The reference of lab 6: its bins.

use super::whole::{Stage, System};
use super::{Capture, Content};
use heapkit::draw::Strip;
use heapkit::image::{Image, ListHead};
use heapkit::os::Os;
use heapkit::referee::bin_rules;
use lab02::ALIGNMENT;
use lab06::{BIN_COUNT, BinMap, FIRST_LARGE_BIN, FastMalloc, sizes_of};
use std::fmt::Write;

type Bins = Stage<FastMalloc<&'static System>>;
/// Chunks, and what they are called.
type Names = Vec<(usize, &'static str)>;

pub fn draw_all() -> Result<Vec<Capture>, String> {
    let mut captures = Vec::new();
    let mut svg = |name: &str, text| captures.push(Capture::new(format!("figures/{name}.svg"), Content::Fixed(text)));
    let (stage, names) = every_kind()?;
    svg("bins", Strip::default().moment("", image(&stage), &names).svg());
    captures.push(Capture::new("bin_map.txt", Content::Fixed(bin_map())));
    captures.push(Capture::new("bitmap.txt", Content::Fixed(bitmap(&stage)?)));
    Ok(captures)
}

fn stage() -> Result<Bins, String> {
    Bins::of(FastMalloc::new, 1024, 32)
}

/// The heap, with its lists.
fn image(stage: &Bins) -> Image {
    stage.image_with(&lists(&stage.malloc))
}

/// The lists of a malloc, as the exam calls them.
pub fn lists<O: Os>(malloc: &FastMalloc<O>) -> Vec<ListHead> {
    let bins = malloc.bins();
    let sorted = bins.sorted().iter().map(|list| list.head());
    let fast = malloc.fast_bins().iter().map(|bin| bin.head());
    let heads = [bins.unsorted().head()].into_iter().chain(sorted).chain(fast);
    let words: Vec<usize> = heads.enumerate().flat_map(|(list, head)| [list, head.addr()]).collect();
    bin_rules::bins(&words)
}

/// The chunk sizes of a bin: the only one, or the first and the last.
fn sizes_in_words(bin: usize) -> String {
    let sizes = sizes_of(bin);
    match sizes.len() {
        _ if bin == BIN_COUNT - 1 => format!("{} and more", sizes.start),
        ..=ALIGNMENT => sizes.start.to_string(),
        _ => format!("{} to {}", sizes.start, sizes.end - ALIGNMENT),
    }
}

/// Blocks of these sizes, each with one after it that stays in use, and their chunks with the names A, B, …
fn apart(requests: &[usize]) -> Result<(Bins, Names), String> {
    const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let story: Vec<String> =
        requests.iter().enumerate().map(|(i, size)| format!("m{i}:{size} m{}:8", i + 16)).collect();
    let stage = stage()?.play(&story.join(" "))?;
    let names = stage.names(&NAMES[..requests.len()]);
    Ok((stage, names))
}

/// Something in every kind of bin, and names. The smallest blocks keep the others apart, also when they wait in their fast bin.
fn every_kind() -> Result<(Bins, Names), String> {
    let stage = stage()?.play("m0:200 m1:32 m2:2700 m3:32 m4:2600 m5:32 m6:1500 m7:8")?;
    let names = stage.names(&["A", "B", "C", "D", "E", "F", "G"]);
    let mut stage = stage.play("f0 f2 f4")?;
    stage.malloc.consolidate();
    // The request for 4000 bytes sorts what waits. Its own block goes back to the top chunk.
    Ok((stage.play("m8:4000 f8 f1 f3 f5 f6")?, names))
}

/// A chunk that fits exactly is taken out of the unsorted bin; those before it are sorted.
pub fn one_chance() -> Result<Vec<String>, String> {
    let (mut stage, names) = apart(&[1500, 2000, 3000])?;
    let mut strip = Strip::default().moment("", image(&stage), &names);
    for step in ["f0", "f1", "f2", "m8:2000"] {
        stage = stage.play(step)?;
        strip = strip.moment("", image(&stage), &names);
    }
    Ok(strip.steps())
}

/// Neighbours in fast bins are joined when these are emptied.
pub fn consolidated() -> Result<Vec<String>, String> {
    let mut stage = stage()?.play("m0:100 m1:150 m2:8")?;
    let names = stage.names(&["A", "B"]);
    let mut strip = Strip::default().moment("", image(&stage), &names);
    for step in ["f0", "f1"] {
        stage = stage.play(step)?;
        strip = strip.moment("", image(&stage), &names);
    }
    stage.malloc.consolidate();
    let names = [(names[0].0, "A and B")];
    Ok(strip.moment("", image(&stage), &names).steps())
}

/// The bits from the last bin that holds something down to the first one, and how the next one is found from the first on.
fn bitmap(stage: &Bins) -> Result<String, String> {
    let mut map = BinMap::new();
    let filled = (0..BIN_COUNT).filter(|&bin| !stage.malloc.bins().sorted()[bin].head().is_null());
    filled.for_each(|bin| map.set(bin));
    let first = map.first_from(0).ok_or("the bins of the figure are empty")?;
    let next = map.first_from(first + 1).ok_or("the figure has one bin alone")?;
    let bits: String =
        (first..=next).rev().map(|bin| if map.first_from(bin) == Some(bin) { '1' } else { '0' }).collect();
    let (left, right) = (format!("bin {next}"), format!("bin {first}"));
    let zeros = next - first - 1;
    Ok(format!(
        "{left}{right:>width$}\n{bits}\nshifted right by {}: {zeros} zeros at the end, and {} + {zeros} = {next}\n",
        first + 1,
        first + 1,
        width = bits.len() - left.len(),
    ))
}

/// Some bins, and their sizes.
fn bin_map() -> String {
    let mut text = String::from("  bin   chunk sizes\n");
    let shown = [0..5, FIRST_LARGE_BIN - 2..FIRST_LARGE_BIN + 6, BIN_COUNT - 2..BIN_COUNT];
    for (index, bins) in shown.into_iter().enumerate() {
        if index > 0 {
            text.push_str("    …\n");
        }
        for bin in bins {
            let _ = writeln!(text, "{bin:>5}   {}", if bin < 2 { "none".into() } else { sizes_in_words(bin) });
        }
    }
    text
}
