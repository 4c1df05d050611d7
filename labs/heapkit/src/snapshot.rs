//! A copy of a part of an arena, as it was at one moment. Long stretches of untouched memory take no space in it.

use std::ops::Range;

/// Bytes and where they were. What the copy doesn't hold, reads as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    base: usize,
    range: Range<usize>,
    /// By offset, in order, without overlap.
    runs: Vec<(usize, Vec<u8>)>,
}

impl Snapshot {
    /// The bytes from offset `at` on, in an arena whose heap starts at the address `base`.
    pub fn new(base: usize, at: usize, bytes: Vec<u8>) -> Self {
        Snapshot { base, range: at..at + bytes.len(), runs: vec![(at, bytes)] }
    }

    /// A part that is zero but for `runs`, which are in order and inside.
    pub fn sparse(base: usize, range: Range<usize>, runs: Vec<(usize, Vec<u8>)>) -> Self {
        Snapshot { base, range, runs }
    }

    /// The address of the heap's first byte, as the code under test sees it.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The offset after the last byte.
    pub fn end(&self) -> usize {
        self.range.end
    }

    /// Whether the byte at `at` is in it.
    pub fn contains(&self, at: usize) -> bool {
        self.range.contains(&at)
    }

    /// The stretches that it holds, by offset.
    pub fn runs(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.runs.iter().map(|(at, bytes)| (*at, bytes.as_slice()))
    }

    /// The word at `at`, if all of it is in the copy.
    pub fn word(&self, at: usize) -> Option<usize> {
        let end = at.checked_add(size_of::<usize>())?;
        if at < self.range.start || end > self.range.end {
            return None;
        }
        let mut word = [0; size_of::<usize>()];
        self.read(at, &mut word);
        Some(usize::from_ne_bytes(word))
    }

    /// A part of the bytes; what lies outside the copy reads as zero.
    pub fn bytes(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = vec![0; range.len()];
        self.read(range.start, &mut bytes);
        bytes
    }

    /// Copies the bytes from offset `at` on; what lies outside the copy reads as zero.
    pub fn read(&self, at: usize, into: &mut [u8]) {
        into.fill(0);
        let end = at + into.len();
        let first = self.runs.partition_point(|(start, bytes)| start + bytes.len() <= at);
        for (start, bytes) in self.runs[first..].iter().take_while(|(start, _)| *start < end) {
            let (from, to) = (at.max(*start), end.min(start + bytes.len()));
            into[from - at..to - at].copy_from_slice(&bytes[from - start..to - start]);
        }
    }

    /// The first byte that isn't the same in `other`, a copy of the same part.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        self.differences(other).next()
    }

    /// All bytes that aren't the same in `other`, a copy of the same part.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        const STEP: usize = 4096;
        let held = self.runs.iter().chain(&other.runs);
        let mut parts: Vec<usize> = held
            .flat_map(|(start, bytes)| (start / STEP..(start + bytes.len()).div_ceil(STEP)).collect::<Vec<_>>())
            .collect();
        parts.sort_unstable();
        parts.dedup();
        parts.into_iter().flat_map(move |part| {
            let part = part * STEP..(part + 1) * STEP;
            let (mine, theirs) = (self.bytes(part.clone()), other.bytes(part.clone()));
            let differ = |i: &usize| mine[*i] != theirs[*i];
            if mine == theirs { Vec::new() } else { (0..STEP).filter(differ).map(|i| part.start + i).collect() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_does_not_hold_is_zero() {
        let sparse = Snapshot::sparse(0x1000, 0..1 << 40, vec![(16, vec![1; 8]), (1 << 39, vec![2; 4])]);
        assert_eq!(sparse.word(16), Some(0x0101_0101_0101_0101));
        assert_eq!(sparse.word(1 << 39), Some(0x0202_0202));
        assert_eq!(sparse.word(20), Some(0x0101_0101));
        assert_eq!((sparse.word(1 << 38), sparse.word((1 << 40) - 4)), (Some(0), None));
    }

    #[test]
    fn differences_are_found_wherever_one_of_both_holds_something() {
        let before = Snapshot::sparse(0, 0..1 << 40, vec![(16, vec![1; 8])]);
        let after = Snapshot::sparse(0, 0..1 << 40, vec![(16, vec![1, 1, 7, 1, 1, 1, 1, 1]), (1 << 39, vec![2])]);
        assert_eq!(before.differences(&after).collect::<Vec<_>>(), [18, 1 << 39]);
        assert_eq!(before.first_difference(&before), None);
    }
}
