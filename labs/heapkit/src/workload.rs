//! Sequences of `malloc`, `free` and their relatives.

use crate::memory::PAGE;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One operation. `id` names a block, from the operation that makes it to its `free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Ask for `size` bytes and call the block `id`.
    Malloc {
        /// The block.
        id: usize,
        /// The request, in bytes.
        size: usize,
    },
    /// The same for bytes that are zero.
    Calloc {
        /// The block.
        id: usize,
        /// The request, in bytes.
        size: usize,
    },
    /// The same for an address that is a multiple of `align`, a power of two.
    Aligned {
        /// The block.
        id: usize,
        /// What the address is a multiple of.
        align: usize,
        /// The request, in bytes.
        size: usize,
    },
    /// Make the block `id` hold `size` bytes, wherever it then stands. If there is no such block, this makes one.
    Realloc {
        /// The block.
        id: usize,
        /// The new request, in bytes.
        size: usize,
    },
    /// Give the block `id` back. Nothing, if there is no such block.
    Free {
        /// The block.
        id: usize,
    },
    /// Some other code of the process moves the break. Nothing, if it can't move that far.
    Foreign {
        /// How far: down, if it is negative.
        delta: isize,
    },
}

impl Op {
    /// The block it is about, if it is about one.
    pub fn id(self) -> Option<usize> {
        match self {
            Op::Malloc { id, .. }
            | Op::Calloc { id, .. }
            | Op::Aligned { id, .. }
            | Op::Realloc { id, .. }
            | Op::Free { id } => Some(id),
            Op::Foreign { .. } => None,
        }
    }

    /// What a story says: `a = malloc(64)`.
    pub fn in_words(self) -> String {
        let bytes = crate::draw::bytes;
        match self {
            Op::Malloc { id, size } => format!("{} = malloc({})", name(id), bytes(size)),
            Op::Calloc { id, size } => {
                let (count, each) = elements(size);
                format!("{} = calloc({}, {each})", name(id), bytes(count))
            }
            Op::Aligned { id, align, size } => format!("{} = aligned({align}, {})", name(id), bytes(size)),
            Op::Realloc { id, size } => format!("{0} = realloc({0}, {1})", name(id), bytes(size)),
            Op::Free { id } => format!("free({})", name(id)),
            Op::Foreign { delta } => format!("other code moves the break by {delta:+}"),
        }
    }

    /// The block that it makes, if it makes one.
    fn makes(self) -> Option<usize> {
        self.id().filter(|_| matches!(self, Op::Malloc { .. } | Op::Calloc { .. } | Op::Aligned { .. }))
    }

    /// The same operation on the block `id`.
    fn with_id(self, id: usize) -> Self {
        match self {
            Op::Malloc { size, .. } => Op::Malloc { id, size },
            Op::Calloc { size, .. } => Op::Calloc { id, size },
            Op::Aligned { align, size, .. } => Op::Aligned { id, align, size },
            Op::Realloc { size, .. } => Op::Realloc { id, size },
            Op::Free { .. } => Op::Free { id },
            Op::Foreign { delta } => Op::Foreign { delta },
        }
    }
}

/// The two arguments with which `calloc` is called for `size` bytes.
pub fn elements(size: usize) -> (usize, usize) {
    if size.is_multiple_of(8) { (size / 8, 8) } else { (size, 1) }
}

/// The name of a block in a story: a, b, … z, a1, b1, …
pub fn name(id: usize) -> String {
    let letter = char::from(b'a' + (id % 26) as u8);
    match id / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// `m0:64`, `c0:64`, `a0:256:64` (alignment, size), `r0:128`, `f0`, `b:4096`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Malloc { id, size } => write!(f, "m{id}:{size}"),
            Op::Calloc { id, size } => write!(f, "c{id}:{size}"),
            Op::Aligned { id, align, size } => write!(f, "a{id}:{align}:{size}"),
            Op::Realloc { id, size } => write!(f, "r{id}:{size}"),
            Op::Free { id } => write!(f, "f{id}"),
            Op::Foreign { delta } => write!(f, "b:{delta}"),
        }
    }
}

/// A word that is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoOperation(pub String);

impl fmt::Display for NoOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no operation: `m0:64` and `f0` are", self.0)
    }
}

impl std::error::Error for NoOperation {}

impl FromStr for Op {
    type Err = NoOperation;

    fn from_str(text: &str) -> Result<Self, NoOperation> {
        let parse = || {
            let (kind, rest) = text.split_at_checked(1)?;
            let mut numbers = rest.split(':');
            let mut number = || numbers.next()?.parse().ok();
            let op = match kind {
                "m" => Op::Malloc { id: number()?, size: number()? },
                "c" => Op::Calloc { id: number()?, size: number()? },
                "a" => Op::Aligned { id: number()?, align: number()?, size: number()? },
                "r" => Op::Realloc { id: number()?, size: number()? },
                "f" => Op::Free { id: number()? },
                "b" => Op::Foreign { delta: rest.strip_prefix(':')?.parse().ok()? },
                _ => return None,
            };
            (op.to_string() == text).then_some(op)
        };
        parse().ok_or_else(|| NoOperation(text.to_owned()))
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
pub fn parse(text: &str) -> Result<Vec<Op>, NoOperation> {
    text.split_whitespace().map(str::parse).collect()
}

/// Reads operations that the program's own author wrote.
///
/// # Panics
/// If a word is no operation.
pub fn ops(text: &str) -> Vec<Op> {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
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

/// `steps` operations of every kind, with requests in `sizes` and at most `live` blocks alive at once.
pub fn random_of_all_kinds(seed: u64, steps: usize, sizes: RangeInclusive<usize>, live: usize) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let mut alive: Vec<usize> = Vec::new();
    let mut next_id = 0;
    (0..steps)
        .map(|_| {
            let dice = rng.below(20);
            if alive.is_empty() || (alive.len() < live && dice < 11) {
                let (id, size) = (next_id, rng.within(&sizes));
                alive.push(id);
                next_id += 1;
                match dice {
                    0 | 1 => Op::Calloc { id, size },
                    2 => Op::Aligned { id, align: 16 << rng.below(6), size },
                    _ => Op::Malloc { id, size },
                }
            } else if dice < 15 && alive.len() < live {
                Op::Realloc { id: alive[rng.below(alive.len())], size: rng.within(&sizes) }
            } else {
                Op::Free { id: alive.swap_remove(rng.below(alive.len())) }
            }
        })
        .collect()
}

/// The same, with other code that moves the break up and down in between.
pub fn random_with_other_code(rng: &mut Rng, steps: usize, most: usize, live: usize) -> Vec<Op> {
    let mut ops = random_of_all_kinds(rng.bits(), steps, 1..=most, live);
    for part in 1..6 {
        let up = 1 + rng.below(2 * PAGE).cast_signed();
        // All of it, or a part.
        let down = if rng.below(2) == 0 { up } else { 1 + rng.below(up.unsigned_abs()).cast_signed() };
        let at = steps * part / 6;
        ops.insert(at, Op::Foreign { delta: up });
        ops.insert((at + 1 + rng.below(steps / 6)).min(ops.len()), Op::Foreign { delta: -down });
    }
    ops
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
            candidate.retain(|op| !gone.iter().any(|gone| gone.makes().is_some_and(|made| op.id() == Some(made))));
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
    ops.iter().map(|&op| op.id().map_or(op, |id| op.with_id(rename(id)))).collect()
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
                other => panic!("{other}"),
            }
            assert!(alive.len() <= 8);
        }
    }

    #[test]
    fn operations_survive_being_written_and_read() {
        let ops = random(3, 100, 1..=100, 8);
        assert_eq!(parse(&format(&ops)), Ok(ops));
        let ops = random_of_all_kinds(3, 100, 1..=100, 8);
        assert_eq!(parse(&format(&ops)), Ok(ops));
        assert_eq!(parse("b:4096"), Ok(vec![Op::Foreign { delta: 4096 }]));
        assert!(parse("m0:64 x1").unwrap_err().to_string().contains("`x1`"));
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
