//! What bins should hold, by other means than the lab's own.

use heapkit::referee::bin_rules::{BINS, bin_for};

/// Where a chunk starts, and its size.
pub type Chunk = (usize, usize);

/// The unsorted bin and the others, each first to last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bins {
    pub unsorted: Vec<Chunk>,
    pub sorted: Vec<Chunk>,
}

impl Bins {
    pub fn put(&mut self, chunk: Chunk) {
        self.unsorted.insert(0, chunk);
    }

    /// All bins in one row: they are in the order of their sizes, so that is sorted by size.
    pub fn sort(&mut self, chunk: Chunk) {
        let place = self.sorted.iter().position(|(_, size)| *size >= chunk.1);
        self.sorted.insert(place.unwrap_or(self.sorted.len()), chunk);
    }

    pub fn take_sorted(&mut self, size: usize) -> Option<Chunk> {
        let first = self.sorted.iter().position(|chunk| chunk.1 >= size)?;
        Some(self.sorted.remove(first))
    }

    pub fn take_unsorted(&mut self, size: usize) -> Option<Chunk> {
        let exact = self.unsorted.iter().position(|chunk| chunk.1 == size);
        let passed: Vec<Chunk> = self.unsorted.drain(..exact.unwrap_or(self.unsorted.len())).collect();
        passed.into_iter().for_each(|chunk| self.sort(chunk));
        exact.map(|_| self.unsorted.remove(0))
    }

    pub fn take(&mut self, size: usize) -> Option<Chunk> {
        self.take_unsorted(size).or_else(|| self.take_sorted(size))
    }

    pub fn remove(&mut self, at: usize) {
        self.unsorted.retain(|chunk| chunk.0 != at);
        self.sorted.retain(|chunk| chunk.0 != at);
    }

    /// The chunks of each bin.
    pub fn by_bin(&self) -> Vec<Vec<usize>> {
        let mut bins = vec![Vec::new(); BINS];
        for (at, size) in &self.sorted {
            bins[bin_for(*size)].push(*at);
        }
        bins
    }
}
