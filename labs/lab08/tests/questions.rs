//! What lab 8's candidate can be asked.

use candidate::words;
use heapkit::image::Offset;
use heapkit::referee::Call;
use std::fmt;

/// How many bytes of each size the exam's caches have room for: they fill soon, exactly so with chunks of 64 bytes.
pub const ROOM: usize = 1024;

words! {
    /// One function of the lab, with its arguments. Blocks are named by where their payload is, chunks by where their header is.
    ///
    /// For the main thread, up to `Linux`. The others are for the threads that it has started.
    pub enum Question {
        /// So many threads are started, unless they are there already.
        Threads { count: usize },
        /// `Lock::new`, for a counter that starts at this number.
        NewLock { counter: usize },
        /// `SharedMalloc::new`, on the examiner's system. Each thread has a new `Cache` with [`ROOM`] then.
        NewMalloc,
        /// `ArenaOs::new`, on the examiner's system.
        NewArenaOs { arena: usize },
        /// `ArenaOs::enter_new_region`. The answer is whether there is one.
        Enter,
        /// `Os::program_break` of the `ArenaOs`, as an address.
        Break,
        /// `Os::sbrk` of the `ArenaOs`.
        Sbrk { delta: isize },
        /// `size_word_of`: the size, and whether M and A are set.
        SizeWordOf { payload: usize },
        /// `arena_of`
        ArenaOf { payload: usize },
        /// `label`
        Label { at: usize, arena: usize },
        /// `mask`, of addresses.
        Mask { place: usize, link: usize },
        /// `Cache::with_room`, with [`ROOM`].
        NewCache,
        /// `Cache::push`
        Push { payload: usize, size: usize },
        /// `Cache::pop`
        Pop { size: usize },
        /// `Cache::holds`
        Holds { payload: usize, size: usize },
        /// `Cache::heads`, as addresses, and `Cache::room`.
        Cache,
        /// `Arena::new`, on the examiner's system.
        NewArena { number: usize },
        /// `Arena::take`, or `Arena::realloc`, or `Arena::free`.
        OfArena { call: Call },
        /// `Arena::check`
        Check { at: usize },
        /// `Arena::has`
        Has { at: usize },
        /// Several threads of a `SharedMalloc` on Linux, with the processor's own flags, and so many operations of every kind on each,
        /// drawn from the seed; the answer is what a program notices.
        Linux { seed: u64, threads: usize, steps: usize },
        /// `Lock::with`, which counts one further. The answer is what the counter was.
        With,
        /// `Lock::acquire`, and then `Lock::release`.
        AcquireAndRelease,
        /// One call of the malloc, with the thread's own cache.
        Call { call: Call },
        /// `SharedMalloc::retire`
        Retire,
        /// `Cache::heads`, `Cache::room` and `Cache::arena` of the thread's own.
        OwnCache,
        /// `SharedMalloc::before_fork`
        BeforeFork,
        /// `SharedMalloc::after_fork`
        AfterFork,
        /// `SharedMalloc::allocate`, or `SharedMalloc::allocate_zeroed`
        Allocate { align: usize, size: usize, zeroed: bool },
        /// `SharedMalloc::reallocate`
        Reallocate { payload: usize, align: usize, size: usize, new_size: usize },
        /// One of C's functions.
        C { function: CFunction },
    }
}

words! {
    /// One of C's functions, with its arguments.
    pub enum CFunction {
        /// `SharedMalloc::posix_memalign`
        PosixMemalign { align: usize, request: usize },
        /// `SharedMalloc::aligned_alloc`
        AlignedAlloc { align: usize, request: usize },
        /// `SharedMalloc::memalign`
        Memalign { align: usize, request: usize },
        /// `SharedMalloc::pvalloc`
        Pvalloc { request: usize },
        /// `SharedMalloc::reallocarray`
        Reallocarray { block: Option<usize>, count: usize, size: usize },
    }
}

impl fmt::Display for CFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CFunction::PosixMemalign { align, request } => write!(f, "posix_memalign({align}, {request})"),
            CFunction::AlignedAlloc { align, request } => write!(f, "aligned_alloc({align}, {request})"),
            CFunction::Memalign { align, request } => write!(f, "memalign({align}, {request})"),
            CFunction::Pvalloc { request } => write!(f, "pvalloc({request})"),
            CFunction::Reallocarray { block: Some(block), count, size } => {
                write!(f, "reallocarray({}, {count}, {size})", place(*block))
            }
            CFunction::Reallocarray { block: None, count, size } => write!(f, "reallocarray(None, {count}, {size})"),
        }
    }
}

/// A place in the heap as pictures show it, or one in a mapping.
fn place(at: usize) -> String {
    if at < heapkit::memory::HEAP_ROOM { Offset(at).to_string() } else { format!("{at:#x}") }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Threads { count } => write!(f, "{count} threads start"),
            Question::NewLock { counter } => write!(f, "Lock::new({counter})"),
            Question::NewMalloc => f.write_str("SharedMalloc::new"),
            Question::NewArenaOs { arena } => write!(f, "ArenaOs::new(os, {arena})"),
            Question::Enter => f.write_str("enter_new_region()"),
            Question::Break => f.write_str("program_break()"),
            Question::Sbrk { delta } => write!(f, "sbrk({delta:+})"),
            Question::SizeWordOf { payload } => write!(f, "size_word_of({})", place(*payload)),
            Question::ArenaOf { payload } => write!(f, "arena_of({})", place(*payload)),
            Question::Label { at, arena } => write!(f, "label({}, {arena})", place(*at)),
            Question::Mask { place, link } => write!(f, "mask({place:#x}, {link:#x})"),
            Question::NewCache => write!(f, "Cache::with_room({ROOM})"),
            Question::Push { payload, size } => write!(f, "push({}, {size})", place(*payload)),
            Question::Pop { size } => write!(f, "pop({size})"),
            Question::Holds { payload, size } => write!(f, "holds({}, {size})", place(*payload)),
            Question::Cache | Question::OwnCache => f.write_str("heads() and room()"),
            Question::NewArena { number } => write!(f, "Arena::new(os, {number})"),
            Question::OfArena { call: Call::Malloc { request } } => write!(f, "take a block of {request} bytes"),
            Question::Check { at } => write!(f, "check({})", place(*at)),
            Question::Has { at } => write!(f, "has({})", place(*at)),
            Question::Linux { threads, steps, .. } => {
                write!(f, "{steps} operations on each of {threads} threads, on Linux")
            }
            Question::With => f.write_str("with(|counter| …)"),
            Question::AcquireAndRelease => f.write_str("acquire(), and then release()"),
            Question::Call { call } | Question::OfArena { call } => call.fmt(f),
            Question::Retire => f.write_str("retire(cache)"),
            Question::BeforeFork => f.write_str("before_fork()"),
            Question::AfterFork => f.write_str("after_fork()"),
            Question::Allocate { align, size, zeroed } => {
                let name = if *zeroed { "allocate_zeroed" } else { "allocate" };
                write!(f, "{name}({size} bytes, aligned to {align})")
            }
            Question::Reallocate { payload, align, size, new_size } => {
                write!(f, "reallocate({}, {size} bytes, aligned to {align}, {new_size})", place(*payload))
            }
            Question::C { function } => function.fmt(f),
        }
    }
}
