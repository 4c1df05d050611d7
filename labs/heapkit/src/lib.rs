//! The workbench of the heap lab book.
//!
//! * [`memory`]: the bytes a lab's code may touch, with guard pages on both sides; [`snapshot`], a copy of them.
//! * [`sync`]: what threads share.
//! * [`os`]: what an allocator asks the operating system for; a simulated system, and Linux.
//! * [`image`]: decodes raw heap bytes into blocks, on its own, never through a learner's code.
//! * [`draw`]: the heap picture, as text and as SVG.
//! * [`journal`]: the steps of a story.
//! * [`workload`]: sequences of `malloc` and `free`, seeded, and shrunk to the shortest that still fails.
//! * `trace`, a feature: the files in which `malloc` courses keep what real programs asked for.
//! * [`referee`]: plays a workload on an allocator and checks it after every step.

pub mod draw;
pub mod image;
pub mod journal;
pub mod memory;
pub mod os;
pub mod referee;
pub mod snapshot;
pub mod sync;
#[cfg(feature = "trace")]
pub mod trace;
pub mod workload;

/// The chunk format that every lab shares: glibc's, on a 64-bit machine.
///
/// Written down here once more, and on purpose not shared with the labs: the judge keeps its own law book.
pub mod format {
    /// Every chunk starts at a multiple of this, and every size is one.
    pub const ALIGNMENT: usize = 16;
    /// Two words of header, two words of links.
    pub const MIN_CHUNK: usize = 32;
    /// From the start of a chunk to the bytes the program gets.
    pub const PAYLOAD: usize = 16;
    /// The offset of the word that holds size and flags.
    pub const SIZE_WORD: usize = 8;
    /// What a chunk costs beyond the payload: its size word. The `prev_size` word of the next chunk pays for the other.
    pub const COST: usize = 8;
    /// The chunk before this one is in use.
    pub const PREV_INUSE: usize = 0b001;
    /// The chunk is a mapping of its own.
    pub const IS_MMAPPED: usize = 0b010;
    /// The chunk belongs to an arena of another thread.
    pub const NON_MAIN_ARENA: usize = 0b100;
    /// All flags.
    pub const FLAGS: usize = 0b111;

    /// The size of the chunk that serves a request, or `None` where there is no such size.
    pub fn chunk_size(request: usize) -> Option<usize> {
        let size = request.checked_add(COST)?.checked_next_multiple_of(ALIGNMENT)?;
        (size <= isize::MAX as usize).then(|| size.max(MIN_CHUNK))
    }
}
