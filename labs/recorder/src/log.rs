//! The log: a file of words, written by the library inside the recorded program and read by `record`.
//!
//! The first word says whether the library was there, the second counts the calls. After them comes one [`Record`] for each, as many as fit: the file has its full size
//! from the start, so that a program that is killed leaves everything up to its last call, and needs no way to grow it.

#![allow(dead_code, reason = "each side uses its half")]

use std::ffi::CStr;

/// The variable that holds the process id of `record`: the library records the children of that process only.
pub const PARENT: &CStr = c"HEAP_RECORDER_PARENT";

/// The variable that holds the path of the log.
pub const PATH: &CStr = c"HEAP_RECORDER_LOG";

/// How many words come before the calls.
pub const HEAD: usize = 2;

/// What the first word says when the library was preloaded into the program.
pub const LOADED: u64 = 1;

/// A call in four words: its kind, the size, the old address or the alignment, the new address.
pub type Record = [u64; 4];

/// A call that succeeded. Addresses are those of the recorded program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `malloc(size)`
    Malloc { size: usize, new: usize },
    /// `calloc` of `size` bytes altogether
    Calloc { size: usize, new: usize },
    /// `aligned_alloc(align, size)` and its relatives
    Aligned { align: usize, size: usize, new: usize },
    /// `realloc(old, size)`; `old` may be 0
    Realloc { old: usize, size: usize, new: usize },
    /// `free(old)`
    Free { old: usize },
}

impl Call {
    /// The call as it stands in the log.
    pub fn record(self) -> Record {
        let words = match self {
            Call::Malloc { size, new } => [0, size, 0, new],
            Call::Calloc { size, new } => [1, size, 0, new],
            Call::Aligned { align, size, new } => [2, size, align, new],
            Call::Realloc { old, size, new } => [3, size, old, new],
            Call::Free { old } => [4, 0, old, 0],
        };
        words.map(|word| word as u64)
    }

    /// The call that stands in the log as this.
    pub fn read(record: Record) -> Option<Self> {
        match record.map(|word| word as usize) {
            [0, size, 0, new] => Some(Call::Malloc { size, new }),
            [1, size, 0, new] => Some(Call::Calloc { size, new }),
            [2, size, align, new] => Some(Call::Aligned { align, size, new }),
            [3, size, old, new] => Some(Call::Realloc { old, size, new }),
            [4, 0, old, 0] => Some(Call::Free { old }),
            _ => None,
        }
    }
}
