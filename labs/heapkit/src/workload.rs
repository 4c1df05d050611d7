//! Sequences of `malloc` and `free`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One operation. `id` names a block, from its `malloc` to its `free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Ask for `size` bytes and call the block `id`.
    Malloc {
        /// The block.
        id: usize,
        /// The request, in bytes.
        size: usize,
    },
    /// Give the block `id` back. Nothing, if there is no such block.
    Free {
        /// The block.
        id: usize,
    },
}

impl Op {
    /// The block it is about.
    pub fn id(self) -> usize {
        match self {
            Op::Malloc { id, .. } | Op::Free { id } => id,
        }
    }
}

/// The name of a block in a story: a, b, … z, a1, b1, …
pub fn name(id: usize) -> String {
    let letter = char::from(b'a' + (id % 26) as u8);
    match id / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// `m0:64` or `f0`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Malloc { id, size } => write!(f, "m{id}:{size}"),
            Op::Free { id } => write!(f, "f{id}"),
        }
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || match text.split_at_checked(1)? {
            ("m", rest) => {
                let (id, size) = rest.split_once(':')?;
                Some(Op::Malloc { id: id.parse().ok()?, size: size.parse().ok()? })
            }
            ("f", id) => Some(Op::Free { id: id.parse().ok()? }),
            _ => None,
        };
        parse().ok_or_else(|| format!("`{text}` is no operation: `m0:64` and `f0` are"))
    }
}

/// Writes operations in one line, to be read with [`parse`].
pub fn format(ops: &[Op]) -> String {
    ops.iter().map(Op::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads operations written by [`format`].
///
/// # Errors
/// The first word that is no operation.
pub fn parse(text: &str) -> Result<Vec<Op>, String> {
    text.split_whitespace().map(str::parse).collect()
}

/// A generator of numbers that are the same on every machine: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub struct Rng(u64);

impl Rng {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`. The bias is far below anything a heap could notice.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    /// A number in `range`.
    pub fn within(&mut self, range: &RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }
}

/// `steps` operations with requests in `sizes` and at most `live` blocks alive at once.
pub fn random(seed: u64, steps: usize, sizes: RangeInclusive<usize>, live: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let mut alive: Vec<usize> = Vec::new();
    let mut next_id = 0;
    (0..steps)
        .map(|_| {
            // Three mallocs for two frees, so that the heap fills up and the list does not run dry.
            if alive.is_empty() || (alive.len() < live && rng.below(5) < 3) {
                let op = Op::Malloc { id: next_id, size: rng.within(&sizes) };
                alive.push(next_id);
                next_id += 1;
                op
            } else {
                Op::Free { id: alive.swap_remove(rng.below(alive.len())) }
            }
        })
        .collect()
}

/// The shortest part of `ops` found that `still_fails`: blocks are left out one by one, with their frees, then single
/// frees, until nothing more can go. Blocks are then named anew, in order.
///
/// `still_fails` is asked about at most `tries` candidates.
pub fn shrink(ops: &[Op], tries: usize, mut still_fails: impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let mut best = ops.to_vec();
    let mut left = tries;
    let mut try_without = |best: &mut Vec<Op>, candidate: Vec<Op>| {
        if left == 0 || candidate.len() == best.len() {
            return false;
        }
        left -= 1;
        let fails = still_fails(&candidate);
        if fails {
            *best = candidate;
        }
        fails
    };
    // Whole stretches first: halves, quarters, …
    let mut stretch = best.len() / 2;
    while stretch > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut candidate = best.clone();
            let gone: Vec<Op> = candidate.drain(at..(at + stretch).min(best.len())).collect();
            candidate.retain(|op| !gone.iter().any(|g| matches!(g, Op::Malloc { id, .. } if *id == op.id())));
            if !try_without(&mut best, candidate) {
                at += stretch;
            }
        }
        stretch /= 2;
    }
    renamed(&best)
}

/// The same operations, with the blocks numbered in the order in which they appear.
fn renamed(ops: &[Op]) -> Vec<Op> {
    let mut ids: Vec<usize> = Vec::new();
    let mut rename = |id| {
        ids.iter().position(|&known| known == id).unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        })
    };
    ops.iter()
        .map(|&op| match op {
            Op::Malloc { id, size } => Op::Malloc { id: rename(id), size },
            Op::Free { id } => Op::Free { id: rename(id) },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_workload() {
        assert_eq!(random(7, 50, 1..=100, 8), random(7, 50, 1..=100, 8));
        assert_ne!(random(7, 50, 1..=100, 8), random(8, 50, 1..=100, 8));
    }

    #[test]
    fn a_workload_frees_only_what_is_alive() {
        let mut alive = std::collections::BTreeSet::new();
        for op in random(1, 500, 1..=100, 8) {
            match op {
                Op::Malloc { id, .. } => assert!(alive.insert(id)),
                Op::Free { id } => assert!(alive.remove(&id)),
            }
            assert!(alive.len() <= 8);
        }
    }

    #[test]
    fn operations_survive_being_written_and_read() {
        let ops = random(3, 100, 1..=100, 8);
        assert_eq!(parse(&format(&ops)), Ok(ops));
        assert!(parse("m0:64 x1").unwrap_err().contains("`x1`"));
    }

    #[test]
    fn shrinking_keeps_only_what_the_failure_needs() {
        // It fails as soon as two blocks of more than 90 bytes have been freed.
        let fails = |ops: &[Op]| {
            let big = |id| ops.iter().any(|op| matches!(op, Op::Malloc { id: i, size } if *i == id && *size > 90));
            ops.iter().filter(|op| matches!(op, Op::Free { id } if big(*id))).count() >= 2
        };
        let ops = random(5, 400, 1..=100, 20);
        assert!(fails(&ops));
        let shortest = shrink(&ops, 1000, fails);
        assert_eq!(shortest.len(), 4, "{shortest:?}");
        assert!(fails(&shortest));
    }
}
