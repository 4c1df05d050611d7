//! How many chunks a search looks at: lab 5's list beside lab 6's bins, on the recorded programs.

use super::whole::{Stage, System};
use heapkit::trace::Trace;
use heapkit::workload::Op;
use lab02::{ALIGNMENT, request_to_chunk_size};
use lab03::FreeList;
use lab05::Malloc;
use lab06::{BIN_COUNT, FastMalloc, bin_of};
use std::collections::HashMap;
use std::fmt::Write;

/// The mean of each over the searches of one program.
pub struct Looks {
    pub program: String,
    /// How many there are.
    pub searches: usize,
    /// Lab 5's.
    pub list: f64,
    /// Lab 6's.
    pub bins: f64,
}

/// Plays a program's trace on both.
pub fn count(program: &str, trace: &Trace) -> Result<Looks, String> {
    let list = Stage::of(Malloc::new, 16_384, trace.ids)?;
    let bins = Stage::of(FastMalloc::new, 16_384, trace.ids)?;
    let is_search = |op: &&Op| matches!(op, Op::Malloc { .. } | Op::Calloc { .. } | Op::Aligned { .. });
    Ok(Looks {
        program: program.into(),
        searches: trace.ops.iter().filter(is_search).count(),
        // A search by best fit looks at every chunk of the list.
        list: mean(list, trace, |malloc, _| malloc.free_chunks().iter().count()),
        bins: mean(bins, trace, in_bins),
    })
}

/// What `looks` finds before each request, on average.
fn mean<M: crate::story::Whole>(mut stage: Stage<M>, trace: &Trace, looks: impl Fn(&M, usize) -> usize) -> f64 {
    let (mut searches, mut looked_at) = (0_usize, 0);
    for &op in &trace.ops {
        if let Op::Malloc { size, .. } | Op::Calloc { size, .. } | Op::Aligned { size, .. } = op {
            searches += 1;
            looked_at += looks(&stage.malloc, size);
        }
        stage.take(op);
    }
    looked_at as f64 / searches.max(1) as f64
}

/// The chunks that a request looks at, by the rules of the page: the first of its fast bin; or those that leave the unsorted bin,
/// those that they are compared with in their bins, and those that are compared with the request.
fn in_bins(malloc: &FastMalloc<&'static System>, request: usize) -> usize {
    let size = request_to_chunk_size(request).unwrap_or(0);
    if malloc.fast_bins().get(size / ALIGNMENT).is_some_and(|bin| !bin.head().is_null()) {
        return 1;
    }
    let bins = malloc.bins();
    let sizes = |list: &FreeList| list.iter().map(|chunk| chunk.size()).collect::<Vec<_>>();
    let mut sorted: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut looks = 0;
    for waiting in sizes(bins.unsorted()) {
        looks += 1;
        if waiting == size {
            return looks;
        }
        let bin = bin_of(waiting);
        let list = sorted.entry(bin).or_insert_with(|| sizes(&bins.sorted()[bin]));
        let smaller = list.iter().take_while(|&&listed| listed < waiting).count();
        looks += (smaller + 1).min(list.len());
        list.insert(smaller, waiting);
    }
    let own = bin_of(size);
    for bin in own..BIN_COUNT {
        let list = sorted.remove(&bin).unwrap_or_else(|| sizes(&bins.sorted()[bin]));
        // All chunks of the bins after its own are large enough, so that the first one is taken.
        match list.iter().position(|&listed| listed >= size) {
            Some(before) => return looks + before + 1,
            None => looks += list.len(),
        }
    }
    looks
}

const LEFT: f64 = 96.0;
const RIGHT: f64 = 660.0;
const ROW: f64 = 24.0;
const TOP: f64 = 34.0;
/// The scale: from so many chunks to so many, each step ten times the one before.
const SCALE: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];

/// A row for each program, with a mark for each of the two, and a line between them. What is under the scale's start is drawn there.
pub fn plot(all: &[&Looks]) -> String {
    let x = |value: f64| {
        let steps = (value.max(SCALE[0]) / SCALE[0]).log10();
        LEFT + (RIGHT - LEFT) * steps / (SCALE.len() - 1) as f64
    };
    let bottom = TOP + ROW * all.len() as f64;
    let (width, height) = (RIGHT + 60.0, bottom + 48.0);
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\
         <circle class=\"mark-a\" cx=\"{LEFT}\" cy=\"12\" r=\"5\"/><text class=\"small\" x=\"{0}\" y=\"16\">lab 5, one list</text>\
         <circle class=\"mark-b\" cx=\"{1}\" cy=\"12\" r=\"5\"/><text class=\"small\" x=\"{2}\" y=\"16\">lab 6, bins</text>",
        LEFT + 10.0,
        LEFT + 130.0,
        LEFT + 140.0,
    );
    for value in SCALE {
        let at = x(value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M {at:.1} {TOP} V {bottom}\"/>\
             <text class=\"addr\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{value}</text>",
            bottom + 18.0
        );
    }
    let _ = write!(
        svg,
        "<text class=\"small\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">chunks looked at, for each malloc</text>",
        f64::midpoint(LEFT, RIGHT),
        bottom + 38.0
    );
    for (row, looks) in all.iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        let (list, bins) = (x(looks.list), x(looks.bins));
        let rightmost = list.max(bins) + 10.0;
        let _ = write!(
            svg,
            "<text class=\"label\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <path class=\"span\" d=\"M {list:.1} {y:.1} H {bins:.1}\"/>\
             <circle class=\"mark-a\" cx=\"{list:.1}\" cy=\"{y:.1}\" r=\"5\"/><circle class=\"mark-b\" cx=\"{bins:.1}\" cy=\"{y:.1}\" r=\"5\"/>\
             <text class=\"addr\" x=\"{rightmost:.1}\" y=\"{:.1}\">{:.1} → {:.1}</text>",
            LEFT - 12.0,
            y + 5.0,
            looks.program,
            y + 4.0,
            looks.list,
            looks.bins,
        );
    }
    svg.push_str("</svg>\n");
    svg
}
