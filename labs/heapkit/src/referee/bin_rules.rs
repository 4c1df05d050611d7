//! What a malloc with bins promises: which of equal chunks serves a request, what is in which bin, and when fast bins are emptied.

use super::malloc_rules::MallocRules;
use super::rules::{Expected, Rules, StepView, check_no_call_after};
use super::script::{Pick, Script};
use super::{Call, Kind, Violation};
use crate::format::{ALIGNMENT, PAYLOAD, chunk_size};
use crate::image::{Block, Image, Link, Links, List, ListHead, Offset, State};
use crate::os::{self, Place};
use std::sync::LazyLock;

/// So many bins there are.
pub const BINS: usize = 128;
/// From this size on a bin has a range of sizes, and a freed chunk no longer goes to a fast bin.
pub const LARGE: usize = 1024;
/// The name of the bin in which chunks wait to be sorted.
pub const UNSORTED: &str = "unsorted";

/// The smallest chunk size of each bin: a bin for each size, then eight for each doubling.
static FIRST_SIZES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let exact = (0..LARGE / ALIGNMENT).map(|bin| bin * ALIGNMENT);
    let doublings = (0..8).map(|doubling| LARGE << doubling);
    exact.chain(doublings.flat_map(|from| (0..8).map(move |eighth| from + eighth * from / 8))).collect()
});

/// The smallest chunk size of each bin.
pub fn first_sizes() -> &'static [usize] {
    &FIRST_SIZES
}

/// The bin for a chunk of this size: the last one that starts at it or below.
pub fn bin_for(size: usize) -> usize {
    first_sizes().partition_point(|first| *first <= size).saturating_sub(1)
}

/// What a bin is called: by its size, or by the sizes in it.
pub fn bin_name(bin: usize) -> String {
    let first = first_sizes();
    match first.get(bin + 1) {
        _ if first[bin] < LARGE => format!("bin {}", first[bin]),
        Some(next) => format!("bin {}-{}", first[bin], next - ALIGNMENT),
        None => format!("bin {}-", first[bin]),
    }
}

/// The lists of a malloc with bins, from pairs of numbers: which list, and the word that leads to its first chunk. Number 0 is the
/// unsorted bin, then come the others, and then the fast bins. A list that isn't named is empty.
pub fn bins(heads: &[usize]) -> Vec<ListHead> {
    let pairs = heads.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let unsorted = pairs.clone().find(|(list, _)| *list == 0).map_or(0, |(_, head)| head);
    let unsorted = ListHead { name: UNSORTED.into(), head: unsorted, links: Links::BothWays };
    let others = pairs.filter(|(list, _)| *list > 0).map(|(list, head)| match list - 1 {
        bin @ 0..BINS => ListHead { name: bin_name(bin), head, links: Links::BothWays },
        list => ListHead { name: format!("fast bin {}", (list - BINS) * ALIGNMENT), head, links: Links::OneWay },
    });
    [unsorted].into_iter().chain(others).collect()
}

/// The lists of a thread's cache that hold something, from the word that leads to the first block of each: the list of a chunk size is
/// at the index `size / ALIGNMENT`.
pub fn cache(heads: &[usize]) -> impl Iterator<Item = ListHead> {
    let filled = heads.iter().enumerate().filter(|(_, head)| **head != 0);
    filled.map(|(bin, &head)| ListHead { name: format!("cache {}", bin * ALIGNMENT), head, links: Links::Masked })
}

/// The rules of a malloc with bins; with fast bins in front of it, or without.
pub struct BinRules {
    malloc: MallocRules,
    has_fast_bins: bool,
    /// What the fast bins may hold after the step.
    fast_after: Vec<Fast>,
}

/// The chunks of each fast bin that holds something, first to last.
type Fast = Vec<Vec<usize>>;

impl BinRules {
    /// For a malloc that has asked the system for nothing yet.
    pub fn new(malloc: MallocRules) -> Self {
        BinRules { malloc, has_fast_bins: false, fast_after: Vec::new() }
    }

    /// The same with fast bins in front of it.
    pub fn with_fast_bins(malloc: MallocRules) -> Self {
        BinRules { has_fast_bins: true, ..Self::new(malloc) }
    }

    /// What comes of a step with fast bins.
    fn expect_fast(&mut self, step: &StepView<'_>) -> Result<Expected, Violation> {
        let fast = fast_bins(step.before);
        if let Call::Free { .. } = step.call {
            let block = in_heap(step.old).and_then(|at| step.before.block(at - PAYLOAD));
            if let Some(block) = block.filter(|block| block.size < LARGE) {
                self.fast_after = vec![pushed(step.before, &fast, block)];
                check_no_call_after(step.calls, 0)?;
                return Ok(Expected::null("free returns nothing"));
            }
            self.fast_after = vec![fast];
            return self.judge(step, Pick::Bins);
        }
        if let Call::Malloc { .. } | Call::Calloc { .. } = step.call
            && let Some(need) = step.call.request().and_then(chunk_size)
            && let Some(first) = first_fast(step.before, need)
        {
            self.fast_after = vec![without(&fast, first)];
            check_no_call_after(step.calls, 0)?;
            let why = format!("the first chunk of the fast bin for {need} bytes");
            return Ok(Expected::at(Place::Heap(first + PAYLOAD), Some(need), why));
        }
        // From the memory that the malloc has, if that can serve it.
        let mut script = Script::new(step, self.malloc.mmap_threshold(), Pick::Bins).shut();
        let mut malloc = self.malloc;
        let expected = malloc.judge(&mut script)?;
        let read = script.read();
        if !matches!(expected, Expected::Null { .. }) {
            script.done()?;
            self.malloc = malloc;
            self.fast_after = vec![fast];
            return Ok(expected);
        }
        // Else everything in fast bins is joined; what that leaves of the top chunk may be trimmed.
        let calls = step.calls.get(read..).unwrap_or_default();
        let trims = if fast.is_empty() { 0 } else { calls.iter().take_while(|call| is_trim(call)).count() };
        let (trimmed, calls) = calls.split_at(trims);
        let given: usize = trimmed.iter().map(given_back).sum();
        let joined = consolidated(step.before, given);
        let end = step.end.saturating_sub(given);
        let later = StepView { before: &joined, end, calls, ..*step };
        let expected = self.judge(&later, if fast.is_empty() { Pick::Bins } else { Pick::AnySmallest })?;
        // A request that nothing can ever serve need not empty them.
        let may_stay = matches!(expected, Expected::Null { .. }) && step.calls.is_empty();
        self.fast_after = if may_stay { vec![Vec::new(), fast] } else { vec![Vec::new()] };
        Ok(expected)
    }

    fn judge(&mut self, step: &StepView<'_>, pick: Pick) -> Result<Expected, Violation> {
        let mut script = Script::new(step, self.malloc.mmap_threshold(), pick);
        let expected = self.malloc.judge(&mut script)?;
        script.done()?;
        Ok(expected)
    }

    fn check_fast_bins(&self, step: &StepView<'_>) -> Result<(), Violation> {
        let seen = fast_bins(step.after);
        if self.fast_after.is_empty() || self.fast_after.contains(&seen) {
            return Ok(());
        }
        let say = |fast: &Fast| match fast.len() {
            0 => "all are empty".into(),
            _ => fast.iter().map(|chunks| in_words(chunks)).collect::<Vec<_>>().join("; "),
        };
        let what = "The fast bins hold other chunks than the rule says, or in another order.";
        Err(Violation::new(Kind::ListOrder, what).expected(say(&self.fast_after[0]), say(&seen)))
    }
}

impl Rules for BinRules {
    fn expect(&mut self, step: &StepView<'_>) -> Result<Expected, Violation> {
        if self.has_fast_bins { self.expect_fast(step) } else { self.judge(step, Pick::Bins) }
    }

    fn after(&mut self, step: &StepView<'_>) -> Result<(), Violation> {
        self.malloc.after(step)?;
        check_bins(step.after)?;
        self.check_fast_bins(step)
    }
}

/// Each chunk of a bin is of one of its sizes, and no chunk is smaller than the one before it.
///
/// # Errors
/// One that is.
pub fn check_bins(image: &Image) -> Result<(), Violation> {
    let sorted = image.lists.iter().filter(|list| list.links == Links::BothWays && list.name != UNSORTED);
    for list in sorted {
        let blocks: Vec<&Block> = list.chunks.iter().filter_map(|&at| image.block(at)).collect();
        if let Some(block) = blocks.iter().find(|block| bin_name(bin_for(block.size)) != list.name) {
            let what = "A chunk is in a bin for other sizes.";
            return Err(Violation::new(Kind::WrongBin, what)
                .expected(format!("{} in {}", Offset(block.at), bin_name(bin_for(block.size))), list.name.clone())
                .mark(block.at, format!("{} bytes, in {}", block.size, list.name)));
        }
        if let Some(pair) = blocks.windows(2).find(|pair| pair[0].size > pair[1].size) {
            let what = format!("{} is not sorted: a chunk comes after a larger one.", list.name);
            return Err(Violation::new(Kind::ListOrder, what)
                .mark(pair[1].at, format!("{} bytes, after one of {}", pair[1].size, pair[0].size)));
        }
    }
    let fast = image.lists.iter().filter(|list| list.links == Links::OneWay);
    for list in fast {
        let wrong = |at: &&usize| image.block(**at).is_none_or(|block| format!("fast bin {}", block.size) != list.name);
        if let Some(&at) = list.chunks.iter().find(wrong) {
            let what = format!("A chunk of another size is in {}.", list.name);
            return Err(Violation::new(Kind::WrongBin, what).mark(at, "this one"));
        }
        if list.last != Link::End {
            let what = format!("{} has no proper end.", list.name);
            return Err(Violation::new(Kind::ListBroken, what));
        }
    }
    Ok(())
}

fn in_heap(place: Option<Place>) -> Option<usize> {
    match place {
        Some(Place::Heap(at)) => Some(at),
        _ => None,
    }
}

fn is_trim(call: &os::Call) -> bool {
    matches!(call, os::Call::Sbrk { delta: ..0, .. })
}

fn given_back(call: &os::Call) -> usize {
    match call {
        os::Call::Sbrk { delta, granted: true } if *delta < 0 => delta.unsigned_abs(),
        _ => 0,
    }
}

fn fast_lists(image: &Image) -> impl Iterator<Item = &List> {
    image.lists.iter().filter(|list| list.links == Links::OneWay && !list.chunks.is_empty())
}

fn fast_bins(image: &Image) -> Fast {
    fast_lists(image).map(|list| list.chunks.clone()).collect()
}

/// The first chunk of the fast bin for this size.
fn first_fast(image: &Image, size: usize) -> Option<usize> {
    let name = format!("fast bin {size}");
    fast_lists(image).find(|list| list.name == name).and_then(|list| list.chunks.first().copied())
}

fn without(fast: &Fast, chunk: usize) -> Fast {
    let rest = fast.iter().map(|chunks| chunks.iter().copied().filter(|at| *at != chunk).collect::<Vec<_>>());
    rest.filter(|chunks| !chunks.is_empty()).collect()
}

/// The fast bins with one chunk more; they are in the order of their sizes.
fn pushed(image: &Image, fast: &Fast, block: &Block) -> Fast {
    let mut fast = fast.clone();
    let size = |chunks: &Vec<usize>| chunks.first().and_then(|&at| image.block(at)).map_or(0, |block| block.size);
    match fast.iter().position(|chunks| size(chunks) >= block.size) {
        Some(bin) if size(&fast[bin]) == block.size => fast[bin].insert(0, block.at),
        Some(bin) => fast.insert(bin, vec![block.at]),
        None => fast.push(vec![block.at]),
    }
    fast
}

/// The heap when everything in fast bins is free and joined, and so many bytes of the top chunk are given back.
fn consolidated(image: &Image, given: usize) -> Image {
    let waiting: Vec<usize> = fast_lists(image).flat_map(|list| list.chunks.clone()).collect();
    let mut blocks: Vec<Block> = Vec::with_capacity(image.blocks.len());
    for block in &image.blocks {
        let mut block = block.clone();
        if waiting.contains(&block.at) {
            block.state = State::Free;
        }
        match blocks.last_mut() {
            Some(last) if last.state == State::Free && matches!(block.state, State::Free | State::Top) => {
                last.size += block.size;
                last.state = block.state;
            }
            _ => blocks.push(block),
        }
    }
    if let Some(top) = blocks.iter_mut().rfind(|block| block.state == State::Top) {
        top.size = top.size.saturating_sub(given);
    }
    let chunks = blocks.iter().filter(|block| block.state == State::Free).map(|block| block.at).collect();
    let all = List { name: UNSORTED.into(), links: Links::BothWays, chunks, last: Link::End };
    Image { blocks, defects: Vec::new(), lists: vec![all] }
}

fn in_words(chunks: &[usize]) -> String {
    chunks.iter().map(|&at| Offset(at).to_string()).collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_start_where_the_page_says() {
        let first = first_sizes();
        assert_eq!(first.len(), BINS);
        assert_eq!([first[2], first[63], first[64], first[65], first[72]], [32, 1008, 1024, 1152, 2048]);
        assert!(first.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn joining_reaches_the_top_chunk() {
        let block = |at, size, state| Block { at, size, flags: 1, state, fd: Link::End, bk: Link::End };
        let fast = List { name: "fast bin 32".into(), links: Links::OneWay, chunks: vec![64, 0], last: Link::End };
        let blocks = vec![
            block(0, 32, State::Used),
            block(32, 32, State::Free),
            block(64, 32, State::Used),
            block(96, 4096, State::Top),
        ];
        let image = Image { blocks, defects: Vec::new(), lists: vec![fast] };
        let joined = consolidated(&image, 96);
        assert_eq!(joined.blocks, vec![Block { size: 4096, ..block(0, 0, State::Top) }]);
    }
}
