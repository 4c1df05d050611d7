//! What lab 1's candidate can be asked.

use candidate::words;
use heapkit::draw;
use heapkit::image::Offset;
use std::fmt;

words! {
    /// What the `malloc` of a script returns.
    pub enum Block {
        /// Null.
        Null,
        /// A block so far after the start of the arena: below the break, or near it.
        Heap { at: usize },
        /// A block in a mapping, named in the same way.
        Mapping { at: usize },
        /// A block in the candidate's own memory, far from the arena.
        FarAway,
    }
}

words! {
    /// `lab01::Source`, in the exam's own words.
    pub enum Source {
        /// From nowhere.
        Refused,
        /// From the heap, which grew for it.
        Break,
        /// From the heap as it was.
        Heap,
        /// From a mapping of its own.
        Mapping,
        /// From somewhere else.
        Elsewhere,
    }
}

words! {
    /// A request on Linux, where two allocators share the break.
    pub enum Request {
        /// To the bump allocator.
        Bump { bytes: usize },
        /// To the C library.
        Malloc { bytes: usize },
    }
}

words! {
    /// One function of the lab, with its arguments.
    pub enum Question {
        /// `Observer::new`; the answer is the address of the block that is far away.
        NewObserver,
        /// `watch`, of a malloc that moves the break by each of `moves` and puts `word` in front of its block. The answer: the
        /// address of the payload; then `moved`, `inside` and `mapped`.
        Watch { moves: Vec<isize>, block: Block, word: usize },
        /// `mapped_flag`, of a block that starts at `at`.
        MappedFlag { at: usize },
        /// `source`, of a journey with these fields.
        Source { payload: usize, moved: isize, inside: bool, mapped: bool },
        /// `Bump::new`
        NewBump,
        /// `alloc`; the answer is where the block starts.
        Alloc { request: usize },
        /// `alloc`, once for each; the answer is where each block starts.
        AllocAll { requests: Vec<usize> },
        /// `watch` and `source` of the C library's malloc, on Linux. The answer for each: `moved`, and the source.
        WatchGlibc { requests: Vec<usize> },
        /// The same in a second thread.
        WatchThread { requests: Vec<usize> },
        /// Fills a block for each request, and looks at all of them in the end. The answer for each: where the block starts;
        /// whether it ended below the break; whether its bytes are still there.
        BumpOnLinux { requests: Vec<Request> },
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Block::Null => f.write_str("null"),
            Block::Heap { at } => write!(f, "block at {}", Offset(*at)),
            Block::Mapping { .. } => f.write_str("a mapping"),
            Block::FarAway => f.write_str("far away"),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::NewObserver => f.write_str("Observer::new(os)"),
            Question::Watch { moves, block, word } => {
                f.write_str("watch(")?;
                if !moves.is_empty() {
                    let moves: Vec<String> = moves.iter().map(|delta| format!("{delta:+}")).collect();
                    write!(f, "break {}, ", moves.join(" "))?;
                }
                match block {
                    Block::Null => f.write_str("null)"),
                    _ => write!(f, "{block}, word {word:#x})"),
                }
            }
            Question::MappedFlag { at } => write!(f, "mapped_flag({})", Offset(*at)),
            Question::Source { payload, moved, inside, mapped } => {
                let block = if *payload == 0 { "null" } else { "a block" };
                write!(f, "source of {block}, moved {moved:+}, inside {inside}, mapped {mapped}")
            }
            Question::NewBump => f.write_str("Bump::new(os)"),
            Question::Alloc { request } => write!(f, "alloc({})", draw::bytes(*request)),
            Question::AllocAll { requests } => write!(f, "alloc, {} times", requests.len()),
            Question::WatchGlibc { requests } => write!(f, "watch glibc's malloc, {} times", requests.len()),
            Question::WatchThread { requests } => {
                write!(f, "watch glibc's malloc in a second thread, {} times", requests.len())
            }
            Question::BumpOnLinux { requests } => write!(f, "alloc and malloc on Linux, {} times", requests.len()),
        }
    }
}
