//! What the rules of a whole malloc say about one step, read along with the calls that it made.

use super::Violation;
use crate::format::{ALIGNMENT, MIN_CHUNK, PAYLOAD, SIZE_WORD, chunk_size};
use crate::image::{Image, State};
use crate::os::{Call, PAGE, Place, SimOs};

/// How far the break moves beyond what is needed, and what trimming leaves.
pub const TOP_PAD: usize = 128 << 10;
/// The thresholds, as long as no mapping has been freed.
pub const THRESHOLD: usize = 128 << 10;
/// No larger mapping raises them.
pub const THRESHOLD_MAX: usize = 32 << 20;
/// Where a block may be, by the rules.
pub struct Expected {
    /// The places, each with the size of the chunk there, which is 0 for a mapping.
    pub places: Vec<(Place, usize)>,
    pub why: String,
}

impl Expected {
    pub fn nowhere(why: impl Into<String>) -> Self {
        Expected { places: Vec::new(), why: why.into() }
    }

    pub fn at(place: Place, chunk: usize, why: impl Into<String>) -> Self {
        Expected { places: vec![(place, chunk)], why: why.into() }
    }
}

/// What is known from before a step.
pub struct Step {
    pub image: Image,
    /// Where the break stood.
    pub end: usize,
    pub first_call: usize,
    pub mmap_threshold: usize,
}

/// What a rule wants the system to be asked.
#[derive(Clone, Copy)]
pub enum Wanted {
    Sbrk(isize),
    Mmap(usize),
    Munmap { number: usize, len: usize },
    Mremap { number: usize, len: usize, new_len: usize },
}

/// The calls of one step, read along with the rules.
pub struct Script<'a> {
    os: &'a SimOs,
    step: &'a Step,
    calls: Vec<Call>,
    read: usize,
}

/// Where a realloc leads.
pub struct Realloced {
    pub to: Expected,
    /// Whether the block gets a new place and the old one is freed.
    pub moves: bool,
}

impl<'a> Script<'a> {
    pub fn new(os: &'a SimOs, step: &'a Step) -> Self {
        Script { os, step, calls: os.calls().split_off(step.first_call), read: 0 }
    }

    /// The next call has to be this one; what the system answered.
    pub fn call(&mut self, wanted: Wanted) -> Result<Option<usize>, Violation> {
        let seen = self.calls.get(self.read).copied();
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
            (_, seen) => Err(Violation::new("The system is asked for something else than the rule says.").expected(
                match wanted {
                    Wanted::Sbrk(delta) => format!("sbrk({delta:+})"),
                    Wanted::Mmap(len) => format!("mmap({len})"),
                    Wanted::Munmap { number, len } => format!("munmap(M{number}, {len})"),
                    Wanted::Mremap { number, len, new_len } => format!("mremap(M{number}, {len}, {new_len})"),
                },
                seen.map_or("no call".into(), |call| call.to_string()),
            )),
        }
    }

    /// No call is left.
    pub fn done(&self) -> Result<(), Violation> {
        match self.calls.get(self.read) {
            Some(call) => {
                Err(Violation::new("The system is asked for something, but the rule asks for nothing (more).")
                    .expected("no call", call.to_string()))
            }
            None => Ok(()),
        }
    }

    pub fn mapping_len(&self, number: usize) -> usize {
        self.os.layout().mappings[number - 1].len
    }

    /// Where a chunk of `need` bytes comes from.
    pub fn take(&mut self, need: Option<usize>) -> Result<Expected, Violation> {
        // More than this no system of ours has: whoever asks for it is refused, and who doesn't ask knows it.
        let Some(need) = need.filter(|need| *need < 1 << 40) else {
            let refused = self.calls[self.read..].iter().take_while(|call| call.is_refused()).count();
            self.read += refused;
            return Ok(Expected::nowhere("no block can be that large"));
        };
        let candidates = self.step.image.candidates(need);
        if let Some(size) = candidates.iter().map(|block| block.size).min() {
            let smallest = candidates.iter().filter(|block| block.size == size);
            let places = smallest.map(|block| (Place::Heap(block.payload()), cut(size, need))).collect();
            return Ok(Expected {
                places,
                why: format!("the smallest free chunk with at least {need} bytes ({size})"),
            });
        }
        if let Some(top) = self.step.image.top().filter(|top| top.size >= need + MIN_CHUNK) {
            return Ok(Expected::at(Place::Heap(top.payload()), need, "from the top chunk"));
        }
        let is_large = need >= self.step.mmap_threshold;
        if is_large && let Some(mapped) = self.map(need)? {
            return Ok(mapped);
        }
        if let Some(grown) = self.grow(need)? {
            return Ok(grown);
        }
        if !is_large && let Some(mapped) = self.map(need)? {
            return Ok(mapped);
        }
        Ok(Expected::nowhere("the system has no memory for it"))
    }

    fn map(&mut self, need: usize) -> Result<Option<Expected>, Violation> {
        let mapping = self.call(Wanted::Mmap((need + SIZE_WORD).next_multiple_of(PAGE)))?;
        Ok(mapping.map(|number| Expected::at(Place::Mapping { number, at: PAYLOAD }, 0, "in a mapping of its own")))
    }

    fn grow(&mut self, need: usize) -> Result<Option<Expected>, Violation> {
        let end = self.step.end;
        let top = self.step.image.top().filter(|top| top.end() == end);
        let missing = need + MIN_CHUNK + TOP_PAD - top.map_or(0, |top| top.size);
        let delta = (end + missing).next_multiple_of(PAGE) - end;
        let granted = self.call(Wanted::Sbrk(delta.cast_signed()))?;
        let start = top.map_or(end.next_multiple_of(ALIGNMENT), |top| top.at);
        let why = "from the top chunk, after the break has moved";
        Ok(granted.map(|_| Expected::at(Place::Heap(start + PAYLOAD), need, why)))
    }

    pub fn aligned(&mut self, align: usize, request: usize) -> Result<Expected, Violation> {
        let need = chunk_size(request);
        if align <= ALIGNMENT {
            return self.take(need);
        }
        let padded = need.and_then(|need| need.checked_add(align)?.checked_add(MIN_CHUNK));
        let mut expected = self.take(padded)?;
        for (place, chunk) in &mut expected.places {
            let (start, at) = match place {
                Place::Heap(at) => (self.os.start().addr().get(), at),
                Place::Mapping { number, at } => (self.os.layout().mappings[*number - 1].start, at),
                Place::Elsewhere => continue,
            };
            let lead = (start + *at).wrapping_neg() % align;
            let lead = if (1..MIN_CHUNK).contains(&lead) { lead + align } else { lead };
            *at += lead;
            *chunk = cut(chunk.saturating_sub(lead), need.unwrap_or(0));
        }
        expected.why.push_str(&format!(", at the first multiple of {align} that leaves nothing or a chunk in front"));
        Ok(expected)
    }

    pub fn realloc(&mut self, old: Place, request: usize) -> Result<Realloced, Violation> {
        let stays = |chunk: usize, why: &str| Ok(Realloced { to: Expected::at(old, chunk, why), moves: false });
        let need = chunk_size(request);
        if let Some(need) = need.filter(|need| *need < 1 << 40) {
            match old {
                Place::Mapping { number, at } => {
                    let len = self.mapping_len(number);
                    let new_len = (at - PAYLOAD + need + SIZE_WORD).next_multiple_of(PAGE);
                    if new_len == len {
                        return stays(0, "in place: it needs as many pages as it has");
                    }
                    if let Some(number) = self.call(Wanted::Mremap { number, len, new_len })? {
                        let to = Expected::at(Place::Mapping { number, at }, 0, "where the system has put its mapping");
                        return Ok(Realloced { to, moves: false });
                    }
                    if new_len < len {
                        return stays(0, "in place: the system refuses, and the mapping is large enough");
                    }
                }
                Place::Heap(at) => {
                    let blocks = &self.step.image.blocks;
                    let index = blocks.iter().position(|block| block.at + PAYLOAD == at);
                    let (size, next) = index.map_or((0, None), |index| (blocks[index].size, blocks.get(index + 1)));
                    if size >= need {
                        return stays(cut(size, need), "in place: its chunk is large enough");
                    }
                    match next {
                        Some(top) if top.state == State::Top && size + top.size >= need + MIN_CHUNK => {
                            return stays(need, "in place: the top chunk follows, and is large enough");
                        }
                        Some(next) if next.state == State::Free && size + next.size >= need => {
                            return stays(
                                cut(size + next.size, need),
                                "in place: a free chunk follows, and is large enough",
                            );
                        }
                        _ => {}
                    }
                }
                Place::Elsewhere => {}
            }
        }
        Ok(Realloced { to: self.take(need)?, moves: true })
    }

    /// What a `free` gives back from the end of the top chunk.
    pub fn trim(&mut self, after: &Image, threshold: usize) -> Result<(), Violation> {
        let given = match self.calls.get(self.read) {
            Some(Call::Sbrk { delta, .. }) if *delta > 0 => {
                return Err(Violation::new("free moves the break up: it has no use for more memory.")
                    .expected("no call, or one that moves the break down", format!("sbrk({delta:+})")));
            }
            Some(Call::Sbrk { delta, granted: true }) if *delta < 0 => delta.unsigned_abs(),
            _ => 0,
        };
        let Some(top) = after.top() else { return Ok(()) };
        let (size, end) = (top.size + given, top.end() + given);
        let extra = size.saturating_sub(TOP_PAD + MIN_CHUNK) / PAGE * PAGE;
        let break_before: isize = self.calls[..self.read]
            .iter()
            .map(|call| match call {
                Call::Sbrk { delta, granted: true } => *delta,
                _ => 0,
            })
            .sum();
        let is_ours = self.step.end.checked_add_signed(break_before) == Some(end);
        if size >= threshold && extra > 0 && is_ours {
            self.call(Wanted::Sbrk(-extra.cast_signed()))?;
        }
        Ok(())
    }
}

/// The size of a chunk that is cut from one of `size` bytes, for `need`: a rest that is no chunk stays with it.
fn cut(size: usize, need: usize) -> usize {
    if size >= need + MIN_CHUNK { need } else { size }
}
