//! Where values belong, as the page says it: reckoned with offsets, on no memory at all.

use crate::questions::Kind;
use heapkit::memory::PAGE;

/// Two words.
pub const HEADER: usize = 16;
/// A link between two dead slots.
const WORD: usize = 8;

/// What a pool asks for, if that is enough for a slot.
pub const POOL_GROWTH: usize = 65_536;

/// Where the first value after a mapping's header starts.
fn first(align: usize) -> usize {
    HEADER.max(align)
}

/// Slots of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub size: usize,
    pub first: usize,
    /// How long a new mapping is.
    pub growth: usize,
}

impl Slots {
    pub fn of(kind: Kind) -> Self {
        let align = kind.align.max(WORD);
        let size = kind.size.max(WORD).div_ceil(align) * align;
        let first = first(align);
        Slots { size, first, growth: ((first + size).div_ceil(PAGE) * PAGE).max(POOL_GROWTH) }
    }

    /// How many fit into a new mapping.
    pub fn count(self) -> usize {
        (self.growth - self.first) / self.size
    }
}

/// What has to come of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Here, without a word to the system.
    At(usize),
    /// The system is asked for mappings of these lengths, until it grants one; and the value starts so far after its start.
    Grow { lengths: Vec<usize>, first: usize },
}

/// The slots of a pool, as they were used so far.
#[derive(Debug)]
pub struct PoolModel {
    slots: Slots,
    dead: Vec<usize>,
    fresh: Vec<usize>,
}

impl PoolModel {
    pub fn new(kind: Kind) -> Self {
        PoolModel { slots: Slots::of(kind), dead: Vec::new(), fresh: Vec::new() }
    }

    pub fn plan(&self) -> Plan {
        match self.dead.last().or(self.fresh.last()) {
            Some(&at) => Plan::At(at),
            None => Plan::Grow { lengths: vec![self.slots.growth], first: self.slots.first },
        }
    }

    /// A mapping starts here.
    pub fn grown(&mut self, start: usize) {
        self.fresh = (0..self.slots.count()).rev().map(|n| start + self.slots.first + n * self.slots.size).collect();
    }

    pub fn taken(&mut self, at: usize) {
        self.dead.retain(|slot| *slot != at);
        self.fresh.retain(|slot| *slot != at);
    }

    pub fn freed(&mut self, at: usize) {
        self.dead.push(at);
    }

    /// The slot that died before the newest.
    pub fn dead(&self) -> &[usize] {
        &self.dead
    }
}

/// Where a region has come to: how many of the mappings are behind it, and how far it is in the last of these.
#[derive(Clone, Copy, Debug)]
struct Front {
    mappings: usize,
    at: usize,
}

/// A region and those that are open in it.
#[derive(Debug)]
pub struct RegionModel {
    /// Start and length of each.
    mappings: Vec<(usize, usize)>,
    fronts: Vec<Front>,
}

impl RegionModel {
    /// No mapping and no region.
    pub fn new() -> Self {
        RegionModel { mappings: Vec::new(), fronts: Vec::new() }
    }

    pub fn opened(&mut self) {
        self.fronts.push(self.fronts.last().copied().unwrap_or(Front { mappings: 0, at: 0 }));
    }

    pub fn closed(&mut self) {
        self.fronts.pop();
    }

    fn front(&self) -> Front {
        self.fronts.last().copied().unwrap_or(Front { mappings: 0, at: 0 })
    }

    /// A request of more than 0 bytes.
    pub fn plan(&self, size: usize, align: usize) -> Plan {
        let Front { mappings, at } = self.front();
        if let Some(&(start, len)) = mappings.checked_sub(1).and_then(|last| self.mappings.get(last)) {
            let at = at.div_ceil(align) * align;
            if at + size <= len {
                return Plan::At(start + at);
            }
        }
        let needed = first(align) + size;
        if let Some(&(start, _)) = self.mappings.get(mappings).filter(|(_, len)| *len >= needed) {
            return Plan::At(start + first(align));
        }
        let total: usize = self.mappings.iter().map(|(_, len)| len).sum();
        let needed = needed.div_ceil(PAGE) * PAGE;
        let lengths = if total > needed { vec![total, needed] } else { vec![needed] };
        Plan::Grow { lengths, first: first(align) }
    }

    /// A new mapping.
    pub fn grown(&mut self, start: usize, len: usize) {
        let next = self.front().mappings;
        self.mappings.insert(next, (start, len));
    }

    /// So many bytes from `at` on have been taken.
    pub fn taken(&mut self, at: usize, size: usize) {
        let inside = |&(start, len): &(usize, usize)| (start..start + len).contains(&at);
        if let (Some(mapping), Some(front)) = (self.mappings.iter().position(inside), self.fronts.last_mut()) {
            *front = Front { mappings: mapping + 1, at: at + size - self.mappings[mapping].0 };
        }
    }
}
