//! How many chunks a search looks at: lab 5's list beside lab 6's bins, on the recorded programs.

use super::whole::{Stage, System};
use crate::story::Whole;
use heapkit::draw;
use heapkit::format::SIZE_WORD;
use heapkit::memory::Arena;
use heapkit::trace::Trace;
use heapkit::workload::Op;
use lab02::{MIN_CHUNK_SIZE, request_to_chunk_size};
use lab03::FreeList;
use lab05::Malloc;
use lab06::{FastMalloc, bin_of};
use std::collections::{BTreeMap, HashSet};
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
    // A search by best fit looks at every chunk of the list.
    let (searches, list) = play(list, trace, |stage, op, _| {
        let listed = stage.malloc.free_chunks().iter().count();
        stage.take(op);
        listed
    });
    let (_, bins) = play(bins, trace, in_bins);
    let mean = |looks: usize| looks as f64 / searches.max(1) as f64;
    Ok(Looks { program: program.into(), searches, list: mean(list), bins: mean(bins) })
}

/// Plays a trace; `serve` serves a request, and says how many chunks were looked at. How many requests, and how many looks.
fn play<M: Whole>(
    mut stage: Stage<M>,
    trace: &Trace,
    mut serve: impl FnMut(&mut Stage<M>, Op, usize) -> usize,
) -> (usize, usize) {
    let (mut searches, mut looks) = (0, 0);
    for &op in &trace.ops {
        match op {
            Op::Malloc { size, .. } | Op::Calloc { size, .. } => {
                searches += 1;
                looks += serve(&mut stage, op, request_to_chunk_size(size).unwrap_or(0));
            }
            _ => stage.take(op),
        }
    }
    (searches, looks)
}

/// The chunks that a request looks at, by the rules of the page: the first of its fast bin; or those that leave the unsorted bin,
/// those that they are compared with in their bins, and those that are compared with the request. Where the fast bins are emptied,
/// each of their chunks, and what a second search looks at.
fn in_bins(stage: &mut Stage<FastMalloc<&'static System>>, op: Op, size: usize) -> usize {
    let fast: Vec<usize> =
        stage.malloc.fast_bins().iter().flat_map(|bin| fast_chunks(stage, bin.head().addr())).collect();
    let own_fast_bin = stage.malloc.fast_bins().get(bin_of(size));
    if own_fast_bin.is_some_and(|bin| !bin.head().is_null()) {
        stage.take(op);
        return 1;
    }
    let mut search = Search::new(stage);
    let mut end_of_heap = walk(stage, stage.last_in_use().unwrap_or(0));
    let top = end_of_heap.pop_last().map_or(0, |(_, size)| size);
    if search.finds(size) || fast.is_empty() || size + MIN_CHUNK_SIZE <= top {
        stage.take(op);
        return search.looks;
    }
    let heap = walk(stage, 0);
    stage.take(op);
    if stage.malloc.fast_bins().iter().all(|bin| bin.head().is_null()) {
        search.consolidate(heap, &fast);
        search.finds(size);
    }
    search.looks
}

/// The chunks of a fast bin, first to last, as offsets.
fn fast_chunks(stage: &Stage<FastMalloc<&'static System>>, head: usize) -> impl Iterator<Item = usize> {
    let arena = stage.os.arena();
    let next = |link: usize| link.checked_sub(arena.base());
    std::iter::successors(next(head), move |&at| next(arena.word(at + heapkit::format::PAYLOAD)))
}

/// Where each chunk of the heap begins, from the one at `at` on, and its size. The last one is the top chunk.
fn walk<M>(stage: &Stage<M>, mut at: usize) -> BTreeMap<usize, usize> {
    let mut heap = BTreeMap::new();
    while at < stage.os.end() {
        let size = stage.os.arena().word(at + SIZE_WORD) & !heapkit::format::FLAGS;
        heap.insert(at, size);
        at += size;
    }
    heap
}

/// A search in bins, step by step, on a copy of the lists.
struct Search {
    unsorted: Vec<(usize, usize)>,
    /// The bins, each with the places and sizes of its chunks.
    sorted: Vec<Vec<(usize, usize)>>,
    looks: usize,
}

impl Search {
    fn new(stage: &Stage<FastMalloc<&'static System>>) -> Self {
        let arena = stage.os.arena();
        let chunks = |list: &FreeList| {
            list.iter().map(|chunk| (arena.offset_of(chunk.header().as_ptr()), chunk.size())).collect::<Vec<_>>()
        };
        let bins = stage.malloc.bins();
        Search { unsorted: chunks(bins.unsorted()), sorted: bins.sorted().iter().map(chunks).collect(), looks: 0 }
    }

    /// Whether a chunk serves.
    fn finds(&mut self, size: usize) -> bool {
        for chunk in std::mem::take(&mut self.unsorted) {
            self.looks += 1;
            if chunk.1 == size {
                return true;
            }
            let bin = &mut self.sorted[bin_of(chunk.1)];
            let smaller = bin.iter().take_while(|listed| listed.1 < chunk.1).count();
            self.looks += (smaller + 1).min(bin.len());
            bin.insert(smaller, chunk);
        }
        for bin in &self.sorted[bin_of(size)..] {
            match bin.iter().position(|listed| listed.1 >= size) {
                Some(smaller) => {
                    self.looks += smaller + 1;
                    return true;
                }
                None => self.looks += bin.len(),
            }
        }
        false
    }

    /// Frees the chunks of the fast bins: each joins its neighbours, and what becomes no part of the top chunk is unsorted.
    fn consolidate(&mut self, mut heap: BTreeMap<usize, usize>, fast: &[usize]) {
        let mut free: HashSet<usize> = self.sorted.iter().flatten().map(|chunk| chunk.0).collect();
        for &chunk in fast {
            self.looks += 1;
            let (mut at, mut size) = (chunk, heap[&chunk]);
            if let Some((&before, &length)) = heap.range(..at).next_back().filter(|(before, _)| free.contains(before)) {
                heap.remove(&at);
                self.leaves(before, length);
                (at, size) = (before, length + size);
            }
            let after = at + size;
            let is_top = heap.range(after..).nth(1).is_none();
            if let Some(length) = heap.get(&after).copied().filter(|_| is_top || free.contains(&after)) {
                heap.remove(&after);
                free.remove(&after);
                self.leaves(after, length);
                size += length;
            }
            heap.insert(at, size);
            if is_top {
                free.remove(&at);
            } else {
                free.insert(at);
                self.unsorted.insert(0, (at, size));
            }
        }
    }

    /// A chunk leaves the list that it is in.
    fn leaves(&mut self, at: usize, size: usize) {
        self.sorted[bin_of(size)].retain(|chunk| chunk.0 != at);
        self.unsorted.retain(|chunk| chunk.0 != at);
    }
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
    let programs = all.iter().map(|looks| format!("{} {:.1} and {:.1}", looks.program, looks.list, looks.bins));
    let in_words = format!(
        "How many chunks are looked at for each malloc, with lab 5's one list and with lab 6's bins: {}.",
        programs.collect::<Vec<_>>().join("; ")
    );
    let label = draw::described(&in_words);
    let mut svg = format!(
        "<svg class=\"heap\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" {label}>\
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
