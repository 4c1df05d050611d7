//! Memory under test, and how whoever watches it reads and writes it.
//!
//! All addresses here are *offsets* from the start of the heap: the same bytes have another address in each process that maps
//! them, and in a picture they should be the same in every run.

#[cfg(unix)]
mod process;

#[cfg(unix)]
pub use process::{PrivateArena, ThisProcess};

use crate::snapshot::Snapshot;
use std::ops::Range;

/// Fresh heap memory holds this byte everywhere, so that code which assumes zeroes is found out.
pub const FRESH: u8 = 0xa5;

/// The smallest unit in which the kernel hands out memory here.
pub const PAGE: usize = 4096;

/// As much as a heap can ever have. Pages that nobody touches cost nothing.
pub const HEAP_ROOM: usize = 32 << 30;

/// Where mappings are made, so far from the heap that no ordinary miss of one hits the other.
pub const MAPPINGS: Range<usize> = (64 << 30)..(192 << 30);

/// All of an arena: the heap, a gap, the mappings.
pub const ARENA: usize = MAPPINGS.end;

/// Memory on both sides of heap and mappings that nobody can touch: a stray write ends at that instruction.
pub const GUARD: usize = 1 << 20;

/// A heap starts so far after a multiple of 1 GiB, and a mapping so far after a multiple of 1 MiB: what depends on the
/// alignment of addresses is the same in each run, and nobody gets more than a page's alignment for nothing.
pub const START: usize = 9 * PAGE;

/// More fresh memory than this is filled at its ends only, and so far; in between it is zero.
const FILLED_WHOLE: usize = 8 << 20;
const FILLED_END: usize = 64 << 10;

/// The memory of one heap and its mappings: [`ARENA`] bytes, of which the open pages can be used.
pub trait Arena {
    /// The address of the heap's first byte, as the code under test sees it.
    fn base(&self) -> usize;

    /// How many bytes it has, open or closed: no offset is larger.
    fn extent(&self) -> usize {
        ARENA
    }

    /// Copies the bytes from offset `at` on. Closed and untouched pages read as what was last in them, or zero.
    fn read(&self, at: usize, into: &mut [u8]);

    /// Writes bytes from offset `at` on.
    fn write(&self, at: usize, bytes: &[u8]);

    /// A copy of a part, as it is now.
    fn snapshot(&self, range: Range<usize>) -> Snapshot;

    /// Lets the code under test use whole pages.
    fn open(&self, pages: Range<usize>);

    /// Ends that: code that touches one of these pages dies at that instruction.
    fn close(&self, pages: Range<usize>);

    /// Makes whole pages zero and untouched.
    fn discard(&self, pages: Range<usize>);

    /// How many of these pages anybody has written to or, in this process, touched.
    fn touched(&self, pages: Range<usize>) -> usize;

    /// Reads the word at offset `at`.
    fn word(&self, at: usize) -> usize {
        let mut bytes = [0; size_of::<usize>()];
        self.read(at, &mut bytes);
        usize::from_ne_bytes(bytes)
    }

    /// Writes the word at offset `at`.
    fn set_word(&self, at: usize, word: usize) {
        self.write(at, &word.to_ne_bytes());
    }

    /// Writes a chunk header: the `prev_size` word and the word with size and flags.
    fn set_header(&self, at: usize, prev_size: usize, size_and_flags: usize) {
        self.set_headers(&[(at, prev_size, size_and_flags)]);
    }

    /// The same for many chunks, in rising order: each is (where it starts, `prev_size`, size and flags). Chunks that lie close
    /// together are written at once.
    fn set_headers(&self, headers: &[(usize, usize, usize)]) {
        const WORD: usize = size_of::<usize>();
        for run in headers.chunk_by(|one, next| next.0 - one.0 <= PAGE) {
            let (start, end) = (run[0].0, run[run.len() - 1].0 + 2 * WORD);
            let mut bytes = vec![0; end - start];
            self.read(start, &mut bytes);
            for (at, prev_size, size_and_flags) in run {
                let header = &mut bytes[at - start..][..2 * WORD];
                header[..WORD].copy_from_slice(&prev_size.to_ne_bytes());
                header[WORD..].copy_from_slice(&size_and_flags.to_ne_bytes());
            }
            self.write(start, &bytes);
        }
    }

    /// Makes a part fresh: every byte is [`FRESH`], or, in the middle of a very long part, zero.
    fn freshen(&self, range: Range<usize>) {
        let fill = |range: Range<usize>| self.write(range.start, &vec![FRESH; range.len()]);
        if range.len() <= FILLED_WHOLE {
            fill(range);
        } else {
            fill(range.start..range.start + FILLED_END);
            fill(range.end - FILLED_END..range.end);
        }
    }
}

impl<A: Arena + ?Sized> Arena for &A {
    fn base(&self) -> usize {
        (**self).base()
    }

    fn extent(&self) -> usize {
        (**self).extent()
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        (**self).read(at, into);
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        (**self).write(at, bytes);
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        (**self).snapshot(range)
    }

    fn open(&self, pages: Range<usize>) {
        (**self).open(pages);
    }

    fn close(&self, pages: Range<usize>) {
        (**self).close(pages);
    }

    fn discard(&self, pages: Range<usize>) {
        (**self).discard(pages);
    }

    fn touched(&self, pages: Range<usize>) -> usize {
        (**self).touched(pages)
    }
}
