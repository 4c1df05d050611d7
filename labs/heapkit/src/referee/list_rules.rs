//! What a heap of fixed size promises: one free list, and a top chunk.

use super::rules::{Expected, Rules, Spot, StepView, check_joined, check_no_call_after};
use super::{Call, Kind, Violation, cut};
use crate::format::{MIN_CHUNK, PAYLOAD, chunk_size};
use crate::image::{Block, Image, Link, List, State};
use crate::os::Place;

/// Which chunk of the list serves a request. Of equals, the one that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The first that is large enough.
    First,
    /// The smallest that is large enough.
    Best,
    /// The largest.
    Worst,
}

impl Fit {
    /// All of them.
    pub const ALL: [Fit; 3] = [Fit::First, Fit::Best, Fit::Worst];

    /// The chunk that serves a request, among those large enough, in list order.
    pub fn choose<'a>(self, candidates: &[&'a Block]) -> Option<&'a Block> {
        let mut candidates = candidates.iter().copied();
        match self {
            Fit::First => candidates.next(),
            Fit::Best => candidates.min_by_key(|block| block.size),
            // `max_by_key` keeps the last of equals, the list the first.
            Fit::Worst => candidates.reduce(|best, block| if block.size > best.size { block } else { best }),
        }
    }
}

/// A request is served by a chunk of the free list, chosen by the fit, or else cut from the top chunk; a freed chunk goes to
/// the head of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRules {
    /// How a chunk is chosen.
    pub fit: Fit,
    /// A chunk from the list is cut to the size of the request, if what is left is a chunk. That goes to the head of the list.
    pub splits: bool,
    /// A freed chunk first joins its free neighbours, and the top chunk swallows what borders on it.
    pub coalesces: bool,
}

impl From<Fit> for ListRules {
    /// Chunks are used whole and stay apart.
    fn from(fit: Fit) -> Self {
        ListRules { fit, splits: false, coalesces: false }
    }
}

impl Rules for ListRules {
    fn expect(&mut self, step: &StepView<'_>) -> Result<Expected, Violation> {
        check_no_call_after(step.calls, 0)?;
        match step.call {
            Call::Malloc { request } => Ok(self.place_of(step.before, request)),
            Call::Free { .. } => Ok(Expected::null("free returns nothing")),
            other => Err(Violation::new(
                Kind::NoSuchOperation,
                format!("The rules of a list heap have no {}.", other.name()),
            )),
        }
    }

    fn after(&mut self, step: &StepView<'_>) -> Result<(), Violation> {
        if self.coalesces {
            check_joined(step.after)?;
        }
        let Some(seen) = step.after.list() else { return Ok(()) };
        let wanted = List { chunks: self.list_after(step), last: Link::End, ..seen.clone() };
        if seen.chunks == wanted.chunks {
            return Ok(());
        }
        Err(Violation::new(Kind::ListOrder, "The free list has another order than the rule says.")
            .expected(crate::draw::list(&wanted), crate::draw::list(seen)))
    }
}

impl ListRules {
    /// The chunk of the list that serves a request.
    fn chosen(self, heap: &Image, need: usize) -> Option<&Block> {
        self.fit.choose(&heap.candidates(need))
    }

    fn place_of(self, heap: &Image, request: usize) -> Expected {
        let none = || Expected::null("nothing is large enough");
        let Some(need) = chunk_size(request) else { return none() };
        if let Some(block) = self.chosen(heap, need) {
            let (place, size) = (Place::Heap(block.payload()), block.size);
            let why = match self.fit {
                Fit::First => format!("the first in the list with at least {need} bytes ({size})"),
                Fit::Best => format!("the smallest with at least {need} bytes ({size})"),
                Fit::Worst => format!("the largest ({size})"),
            };
            return Expected::at(place, Some(if self.splits { cut(size, need) } else { size }), why);
        }
        let Some(top) = heap.top().filter(|top| top.size.checked_sub(need).is_some_and(|rest| rest >= MIN_CHUNK))
        else {
            return none();
        };
        let why = match heap.free().next() {
            Some(_) => format!("from the top chunk: no free chunk has the {need} bytes it takes"),
            None => "from the top chunk: the list is empty".into(),
        };
        Expected::At { spots: vec![Spot { place: Place::Heap(top.payload()), chunk: Some(need) }], why }
    }

    /// What the list should be after a step that was otherwise right.
    fn list_after(self, step: &StepView<'_>) -> Vec<usize> {
        let before = step.before.list_order().iter().copied();
        match (step.call, step.seen, step.old) {
            (Call::Malloc { request }, Some(Place::Heap(at)), _) => {
                let need = chunk_size(request).unwrap_or(0);
                let chosen = self.chosen(step.before, need);
                let rest = chosen.filter(|block| self.splits && block.size - need >= MIN_CHUNK);
                let others = before.filter(|chunk| chunk + PAYLOAD != at);
                rest.map(|block| block.at + need).into_iter().chain(others).collect()
            }
            (Call::Free { .. }, _, Some(Place::Heap(at))) => {
                let (joined, gone) = self.joined(step.before, at - PAYLOAD);
                joined.into_iter().chain(before.filter(|chunk| !gone.contains(chunk))).collect()
            }
            _ => before.collect(),
        }
    }

    /// Where the chunk starts that `freed` becomes a part of (`None`: the top chunk), and which chunks leave the list.
    fn joined(self, before: &Image, freed: usize) -> (Option<usize>, Vec<usize>) {
        let position = before.blocks.binary_search_by_key(&freed, |block| block.at);
        let Some(index) = position.ok().filter(|_| self.coalesces) else { return (Some(freed), Vec::new()) };
        let is_free = |block: &&Block| block.state == State::Free;
        let previous = index.checked_sub(1).map(|index| &before.blocks[index]).filter(is_free);
        let next = before.blocks.get(index + 1);
        let gone = previous.into_iter().chain(next.filter(is_free)).map(|block| block.at).collect();
        let borders_top = next.is_some_and(|block| block.state == State::Top);
        let start = previous.map_or(freed, |block| block.at);
        ((!borders_top).then_some(start), gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(at: usize, size: usize) -> Block {
        Block { at, size, flags: 1, state: State::Free, fd: Link::End, bk: Link::End }
    }

    #[test]
    fn of_equals_each_fit_takes_the_one_that_comes_first() {
        let blocks = [block(0, 64), block(64, 32), block(96, 32), block(128, 64)];
        let all: Vec<&Block> = blocks.iter().collect();
        let chosen = [Fit::First, Fit::Best, Fit::Worst].map(|fit| fit.choose(&all).map(|block| block.at));
        assert_eq!(chosen, [Some(0), Some(64), Some(0)]);
    }
}
