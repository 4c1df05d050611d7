//! Where glibc keeps a block that was freed, told by the words in the heap alone.

use crate::block::{chunk_size, size_word, usable_size, word};
use crate::process::program_break;
use std::ffi::CStr;
use std::fmt;

/// What fills a block before it is freed: a word that `free` has left alone still holds it.
const LEFT_ALONE: usize = usize::from_ne_bytes([0x41; 8]);

/// The bytes from one bin's head to the next: two links.
const BETWEEN_HEADS: usize = 16;

/// Fills a block, so that [`Heap::place`] can tell later what `free` has written.
///
/// # Safety
/// `block` is a live block of glibc's malloc that nobody else uses.
pub unsafe fn fill(block: *mut u8) {
    // SAFETY: the program may use these bytes of a live block (see `# Safety`).
    unsafe { block.write_bytes(0x41, usable_size(block)) }
}

/// Where a freed block waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the thread's cache: its chunk looks as if it were in use, and its second word is a key.
    Cache,
    /// In a fast bin: its chunk looks as if it were in use, and its second word is as the program left it.
    FastBin,
    /// In another bin: the next chunk's P says that it is free.
    Bin {
        /// The address that the bin's links come from and lead back to.
        head: usize,
        /// The size of the chunk that the block is in now.
        size: usize,
    },
    /// In the top chunk.
    Top,
    /// In none of them: it is in use, or no block of this heap.
    Elsewhere,
}

/// glibc's heap, as the program's first block and the break have it between them.
#[derive(Clone, Copy)]
pub struct Heap {
    first: *mut u8,
}

impl Heap {
    /// # Safety
    /// `first` is a block of glibc's malloc in this program's only thread, and the break was moved by nobody but glibc.
    pub const unsafe fn from(first: *mut u8) -> Self {
        Heap { first }
    }

    /// Where `block` waits, which was filled and freed.
    pub fn place(self, block: *mut u8) -> Place {
        let Some((chunk, next)) = self.chunk_around(block) else { return Place::Elsewhere };
        if !self.contains(next) {
            return Place::Top;
        }
        // SAFETY: both are headers of this heap, as the walk has found, and a chunk has two words at least.
        let (is_free, second) = unsafe { (size_word(next) & 1 == 0, word(chunk, 8)) };
        match (is_free, second == LEFT_ALONE) {
            // SAFETY: as above.
            (true, _) => Place::Bin { head: self.head(chunk), size: unsafe { chunk_size(chunk) } },
            (false, true) => Place::FastBin,
            (false, false) => Place::Cache,
        }
    }

    /// Where the next block would begin that is cut from the top chunk.
    pub fn top(self) -> *mut u8 {
        let mut chunk = self.first;
        // SAFETY: the walk goes from header to header, up to the break.
        while let next = unsafe { chunk.wrapping_add(chunk_size(chunk)) }
            && self.contains(next)
        {
            chunk = next;
        }
        chunk
    }

    /// The sizes of the chunks in a bin, first to last.
    pub fn sizes(self, head: usize) -> impl Iterator<Item = usize> {
        // The head looks like a chunk: its links lie where a chunk has them.
        let mut next = self.first.with_addr(head);
        std::iter::from_fn(move || {
            // SAFETY: glibc's own bin, which leads from chunk to chunk and back to its head.
            next = unsafe { self.first.with_addr(word(next, 16)) };
            // SAFETY: a header of this heap, 16 bytes before the chunk's payload.
            self.contains(next).then(|| unsafe { chunk_size(next.wrapping_add(16)) })
        })
    }

    /// The place that the links of a free chunk lead to, when they leave the heap.
    fn head(self, chunk: *mut u8) -> usize {
        let mut link = chunk.wrapping_sub(16);
        while self.contains(link) {
            // SAFETY: a free chunk of this heap: its forward link is its third word.
            link = unsafe { self.first.with_addr(word(link, 16)) };
        }
        link.addr()
    }

    /// The payloads of the chunk that has `block` in it, and of the one after it.
    fn chunk_around(self, block: *mut u8) -> Option<(*mut u8, *mut u8)> {
        let mut chunk = self.first;
        while self.contains(chunk) {
            // SAFETY: the walk goes from header to header, up to the break.
            let next = unsafe { chunk.wrapping_add(chunk_size(chunk)) };
            if (chunk.addr()..next.addr()).contains(&block.addr()) {
                return Some((chunk, next));
            }
            chunk = next;
        }
        None
    }

    fn contains(self, place: *mut u8) -> bool {
        (self.first.addr() - 16..program_break().addr()).contains(&place.addr())
    }
}

/// A bin by its number. glibc numbers its bins from 1, the unsorted bin, and keeps their heads in that order.
#[derive(Clone, Copy)]
pub struct Bin(usize);

impl Bin {
    /// The bin with this head, where the unsorted bin's is known.
    pub fn with_head(head: usize, unsorted: usize) -> Self {
        Bin(1 + head.wrapping_sub(unsorted) / BETWEEN_HEADS)
    }

    /// Its number.
    pub fn number(self) -> usize {
        self.0
    }
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.pad("the unsorted bin"),
            2..64 => f.pad(&format!("small bin {}", self.0)),
            _ => f.pad(&format!("large bin {}", self.0)),
        }
    }
}

/// The name of the file whose code or data is at this address: a library, or the program.
pub fn file_at(address: usize) -> Option<String> {
    // SAFETY: all zeroes is a value of this plain struct.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr takes any address, and writes to `info` alone.
    let known = unsafe { libc::dladdr(std::ptr::without_provenance(address), &raw mut info) };
    // SAFETY: where dladdr knows the address, it gives the file's name, a string that stays.
    let path = (known != 0).then(|| unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned())?;
    path.rsplit('/').next().map(str::to_owned)
}
