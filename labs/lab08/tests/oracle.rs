//! What caches hold, kept as the page says it, and not as a cache would: one list of all that was freed.

use crate::questions::ROOM;

/// Chunks of this size or more are not cached.
pub const LIMIT: usize = 1024;

/// The caches of all threads.
#[derive(Clone, Debug)]
pub struct Caches {
    /// Of each thread, where blocks are and the sizes of their chunks, in the order in which they were freed.
    freed: Vec<Vec<(usize, usize)>>,
    retired: Vec<bool>,
}

impl Caches {
    /// So many, all empty.
    pub fn new(threads: usize) -> Self {
        Caches { freed: vec![Vec::new(); threads + 1], retired: vec![false; threads + 1] }
    }

    /// A thread frees a block. Whether its cache takes it.
    pub fn free(&mut self, thread: usize, payload: usize, size: usize) -> bool {
        let takes = !self.retired[thread] && size < LIMIT && self.room(thread, size) >= size;
        if takes {
            self.freed[thread].push((payload, size));
        }
        takes
    }

    /// A thread asks for so many bytes. The block that its cache has for it, which is then no longer there.
    pub fn take(&mut self, thread: usize, request: usize) -> Option<usize> {
        let size = heapkit::format::chunk_size(request)?;
        let at = self.freed[thread].iter().rposition(|(_, cached)| *cached == size)?;
        Some(self.freed[thread].remove(at).0)
    }

    /// How many more bytes of a size a thread's cache has room for, if it hasn't retired.
    pub fn room(&self, thread: usize, size: usize) -> usize {
        ROOM - self.freed[thread].iter().map(|(_, cached)| *cached).filter(|cached| *cached == size).sum::<usize>()
    }

    /// All blocks of a thread's cache.
    pub fn of(&self, thread: usize) -> &[(usize, usize)] {
        &self.freed[thread]
    }

    /// A thread's cache is emptied, and stays so.
    pub fn retire(&mut self, thread: usize) {
        self.freed[thread].clear();
        self.retired[thread] = true;
    }

    /// The thread in whose cache the block is to which the byte at `at` belongs.
    pub fn owner_of(&self, at: usize, usable: impl Fn(usize) -> usize) -> Option<usize> {
        let is_in = |(payload, _): &(usize, usize)| (*payload..payload + usable(*payload)).contains(&at);
        (1..self.freed.len()).find(|thread| self.freed[*thread].iter().any(is_in))
    }
}
