//! What the rules of a whole malloc say about one step, read along with the calls that it made.

use super::malloc_rules::TOP_PAD;
use super::rules::{Expected, Spot, StepView, check_no_call_after};
use super::{Call as SomeCall, Kind, NO_SYSTEM_HAS, Violation, cut};
use crate::format::{ALIGNMENT, MIN_CHUNK, PAYLOAD, SIZE_WORD, chunk_size};
use crate::image::{Block, State};
use crate::os::{Call, PAGE, Place};

/// What a rule wants the system to be asked.
#[derive(Clone, Copy)]
pub enum Wanted {
    Sbrk(isize),
    Mmap(usize),
    Munmap { number: usize, len: usize },
    Mremap { number: usize, len: usize, new_len: usize },
}

/// Which of the smallest chunks that are large enough serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Any of them.
    AnySmallest,
    /// The one that bins give: an exact fit in the unsorted bin, the first there; else, when those there are sorted into their bins
    /// one after the other, the one that was sorted in last.
    Bins,
}

/// The calls of one step, read along with the rules. What the system has answered decides how the rules go on.
pub struct Script<'a> {
    pub step: &'a StepView<'a>,
    mmap_threshold: usize,
    pick: Pick,
    /// Whether the system is not to be asked for memory.
    is_shut: bool,
    read: usize,
}

impl<'a> Script<'a> {
    pub fn new(step: &'a StepView<'a>, mmap_threshold: usize, pick: Pick) -> Self {
        Script { step, mmap_threshold, pick, is_shut: false, read: 0 }
    }

    /// The same for a malloc that may not ask the system for memory.
    pub fn shut(self) -> Self {
        Script { is_shut: true, ..self }
    }

    /// How many of the calls are read.
    pub fn read(&self) -> usize {
        self.read
    }

    /// The next call has to be this one; what the system answered.
    pub fn call(&mut self, wanted: Wanted) -> Result<Option<usize>, Violation> {
        let seen = self.step.calls.get(self.read).copied();
        self.read += 1;
        match (wanted, seen) {
            (Wanted::Sbrk(wanted), Some(Call::Sbrk { delta, granted })) if wanted == delta => Ok(granted.then_some(0)),
            (Wanted::Mmap(wanted), Some(Call::Mmap { len, mapping })) if wanted == len => Ok(mapping),
            (Wanted::Munmap { number, len }, Some(Call::Munmap { mapping, len: seen }))
                if (number, len) == (mapping, seen) =>
            {
                Ok(Some(0))
            }
            (Wanted::Mremap { number, len, new_len }, Some(Call::Mremap { mapping, len: old, new_len: new, to }))
                if (number, len, new_len) == (mapping, old, new) =>
            {
                Ok(to)
            }
            (_, seen) => {
                let wanted = match wanted {
                    Wanted::Sbrk(delta) => format!("sbrk({delta:+})"),
                    Wanted::Mmap(len) => format!("mmap({len})"),
                    Wanted::Munmap { number, len } => format!("munmap(M{number}, {len})"),
                    Wanted::Mremap { number, len, new_len } => format!("mremap(M{number}, {len}, {new_len})"),
                };
                let seen = seen.map_or("no call".into(), |call| call.to_string());
                let what = "The system is asked for something else than the rule says.";
                Err(Violation::new(Kind::WrongCall, what).expected(wanted, seen))
            }
        }
    }

    /// No call is left.
    pub fn done(&self) -> Result<(), Violation> {
        check_no_call_after(self.step.calls, self.read)
    }

    /// Where a chunk of `need` bytes comes from.
    pub fn take(&mut self, need: Option<usize>) -> Result<Expected, Violation> {
        let Some(need) = need.filter(|need| *need < NO_SYSTEM_HAS) else {
            // A malloc that asks for that much is refused, and one that doesn't ask knows it.
            self.read += self.step.calls[self.read..].iter().take_while(|call| call.is_refused()).count();
            return Ok(Expected::null("no block can be that large"));
        };
        let candidates = self.step.before.candidates(need);
        if let Some(size) = candidates.iter().map(|block| block.size).min() {
            let smallest: Vec<&Block> = candidates.into_iter().filter(|block| block.size == size).collect();
            let spot = |payload| Spot { place: Place::Heap(payload), chunk: Some(cut(size, need)) };
            let why = format!("the smallest free chunk with at least {need} bytes ({size})");
            let chosen = match self.pick {
                Pick::Bins if smallest.len() > 1 => Some(self.of_equals(&smallest, size == need)),
                _ => None,
            };
            return Ok(match chosen {
                Some(at) => {
                    let which =
                        if size == need { "the first of those" } else { "the last one sorted into its bin of those" };
                    Expected::At { spots: vec![spot(at + PAYLOAD)], why: format!("{why}, {which}") }
                }
                None => Expected::At { spots: smallest.iter().map(|block| spot(block.payload())).collect(), why },
            });
        }
        if let Some(top) = self.step.before.top().filter(|top| top.size >= need + MIN_CHUNK) {
            return Ok(Expected::at(Place::Heap(top.payload()), Some(need), "from the top chunk"));
        }
        if self.is_shut {
            return Ok(Expected::null("the malloc has no memory for it"));
        }
        let is_large = need >= self.mmap_threshold;
        if is_large && let Some(mapped) = self.map(need)? {
            return Ok(mapped);
        }
        if let Some(grown) = self.grow(need)? {
            return Ok(grown);
        }
        if !is_large && let Some(mapped) = self.map(need)? {
            return Ok(mapped);
        }
        Ok(Expected::null("the system has no memory for it"))
    }

    /// Which of these chunks, all of one size, comes out of bins.
    fn of_equals(&self, equals: &[&Block], is_exact: bool) -> usize {
        let is_one = |at: &&usize| equals.iter().any(|block| block.at == **at);
        let (unsorted, sorted): (Vec<_>, Vec<_>) =
            self.step.before.lists.iter().partition(|list| list.name == super::bin_rules::UNSORTED);
        let mut waiting = unsorted.iter().flat_map(|list| &list.chunks).filter(is_one);
        let waiting = if is_exact { waiting.next() } else { waiting.next_back() };
        let first = waiting.or_else(|| sorted.iter().flat_map(|list| &list.chunks).find(is_one));
        first.map_or(equals[0].at, |at| *at)
    }

    fn map(&mut self, need: usize) -> Result<Option<Expected>, Violation> {
        let mapping = self.call(Wanted::Mmap((need + SIZE_WORD).next_multiple_of(PAGE)))?;
        Ok(mapping.map(|number| Expected::at(Place::Mapping { number, at: PAYLOAD }, None, "in a mapping of its own")))
    }

    fn grow(&mut self, need: usize) -> Result<Option<Expected>, Violation> {
        let end = self.step.end;
        let top = self.step.before.top().filter(|top| top.end() == end);
        let missing = (need + MIN_CHUNK + TOP_PAD).saturating_sub(top.map_or(0, |top| top.size));
        let delta = (end + missing).next_multiple_of(PAGE) - end;
        let granted = self.call(Wanted::Sbrk(delta.cast_signed()))?;
        let start = top.map_or(end.next_multiple_of(ALIGNMENT), |top| top.at);
        let why = "from the top chunk, after the break has moved";
        Ok(granted.map(|_| Expected::at(Place::Heap(start + PAYLOAD), Some(need), why)))
    }

    pub fn aligned(&mut self, align: usize, request: usize) -> Result<Expected, Violation> {
        let need = chunk_size(request);
        if !align.is_power_of_two() {
            return Ok(Expected::null("the alignment is no power of two"));
        }
        if align <= ALIGNMENT {
            return self.take(need);
        }
        let padded = need.and_then(|need| need.checked_add(align)?.checked_add(MIN_CHUNK));
        let mut expected = self.take(padded)?;
        if let (Expected::At { spots, why }, Some(need)) = (&mut expected, need) {
            spots.iter_mut().for_each(|spot| self.align(spot, align, need));
            why.push_str(&format!(", at the first multiple of {align} that leaves nothing or a chunk in front"));
        }
        Ok(expected)
    }

    /// Moves on to the first place in a chunk where an aligned block may be.
    fn align(&self, spot: &mut Spot, align: usize, need: usize) {
        let (start, at) = match &mut spot.place {
            Place::Heap(at) => (0, at),
            Place::Mapping { number, at } => (self.step.layout.mappings[*number - 1].start, at),
            Place::Elsewhere => return,
        };
        let lead = (self.step.base + start + *at).wrapping_neg() % align;
        let lead = if (1..MIN_CHUNK).contains(&lead) { lead + align } else { lead };
        *at += lead;
        spot.chunk = spot.chunk.map(|size| cut(size.saturating_sub(lead), need));
    }

    /// Where a realloc leads, and whether the block gets a new place, so that the old one is freed.
    pub fn realloc(&mut self, old: Place, request: usize) -> Result<(Expected, bool), Violation> {
        let need = chunk_size(request);
        let in_place = match need.filter(|need| *need < NO_SYSTEM_HAS) {
            None => None,
            Some(need) => match old {
                Place::Mapping { number, at } => self.remap(number, at, need)?,
                Place::Heap(at) => self.widen(at, need),
                Place::Elsewhere => None,
            },
        };
        match in_place {
            Some(expected) => Ok((expected, false)),
            None => Ok((self.take(need)?, true)),
        }
    }

    /// A mapping stays a mapping. `None` if it is too small and can't grow.
    fn remap(&mut self, number: usize, at: usize, need: usize) -> Result<Option<Expected>, Violation> {
        let stays = |why: &str| Some(Expected::at(Place::Mapping { number, at }, None, why));
        let len = self.step.mapping_len(number);
        let new_len = (at - PAYLOAD + need + SIZE_WORD).next_multiple_of(PAGE);
        if new_len == len {
            return Ok(stays("in place: it needs as many pages as it has"));
        }
        if let Some(number) = self.call(Wanted::Mremap { number, len, new_len })? {
            let place = Place::Mapping { number, at };
            return Ok(Some(Expected::at(place, None, "where the system has put its mapping")));
        }
        let is_enough = new_len < len;
        Ok(if is_enough { stays("in place: the system refuses, and the mapping is large enough") } else { None })
    }

    /// A chunk stays in place if it is large enough, or is with what follows it.
    fn widen(&self, at: usize, need: usize) -> Option<Expected> {
        let stays = |chunk, why: &str| Some(Expected::at(Place::Heap(at), Some(chunk), why));
        let block = self.step.before.block(at - PAYLOAD)?;
        if block.size >= need {
            return stays(cut(block.size, need), "in place: its chunk is large enough");
        }
        let next = self.step.before.block(block.end())?;
        let both = block.size + next.size;
        match next.state {
            State::Top if both >= need + MIN_CHUNK => {
                stays(need, "in place: the top chunk follows, and is large enough")
            }
            State::Free if both >= need => {
                stays(cut(both, need), "in place: a free chunk follows, and is large enough")
            }
            _ => None,
        }
    }

    /// The next call may move the break down.
    pub fn may_trim(&mut self) {
        self.read += usize::from(matches!(self.step.calls.get(self.read), Some(Call::Sbrk { delta: ..0, .. })));
    }

    /// What goes back to the system from the end of the top chunk, when the block at `freed` has been given back.
    pub fn trim(&mut self, freed: Place, threshold: usize) -> Result<(), Violation> {
        let next_call = self.step.calls.get(self.read).copied();
        if let Some(call @ Call::Sbrk { delta: 1.., .. }) = next_call {
            let what = "free moves the break up: it has no use for more memory.";
            return Err(Violation::new(Kind::WrongCall, what)
                .expected("no call, or one that moves the break down", call.to_string()));
        }
        let top = match (self.step.call, freed) {
            (SomeCall::Free { .. }, Place::Heap(at)) => self.top_joined_by(at - PAYLOAD),
            // A block that has moved: what was taken for it before is seen afterwards only.
            _ if self.step.after.defects.is_empty() => self.top_before(next_call),
            _ => {
                // Nobody can say what should have gone back, and the heap is the next thing to be looked at.
                self.read = self.step.calls.len();
                return Ok(());
            }
        };
        let Some((size, end)) = top else { return Ok(()) };
        let extra = size.saturating_sub(TOP_PAD + MIN_CHUNK) / PAGE * PAGE;
        if size >= threshold && extra > 0 && self.break_now() == Some(end) {
            self.call(Wanted::Sbrk(-extra.cast_signed()))?;
        }
        Ok(())
    }

    /// Size and end of the top chunk, after the chunk at `freed` has been joined to what is free around it.
    fn top_joined_by(&self, freed: usize) -> Option<(usize, usize)> {
        let blocks = &self.step.before.blocks;
        let top = self.step.before.top()?;
        let index = blocks.binary_search_by_key(&freed, |block| block.at).ok()?;
        if blocks[index].end() != top.at {
            return Some((top.size, top.end()));
        }
        let previous = index.checked_sub(1).map(|index| &blocks[index]).filter(|block| block.state == State::Free);
        Some((top.end() - previous.map_or(freed, |block| block.at), top.end()))
    }

    /// Size and end of the top chunk, before `call` took something from it.
    fn top_before(&self, call: Option<Call>) -> Option<(usize, usize)> {
        let given = match call {
            Some(Call::Sbrk { delta, granted: true }) => delta.unsigned_abs(),
            _ => 0,
        };
        self.step.after.top().map(|top| (top.size + given, top.end() + given))
    }

    /// Where the break is after the calls that were read.
    fn break_now(&self) -> Option<usize> {
        let read = self.step.calls.get(..self.read)?;
        let granted = read.iter().map(|call| match call {
            Call::Sbrk { delta, granted: true } => *delta,
            _ => 0,
        });
        self.step.end.checked_add_signed(granted.sum())
    }
}
