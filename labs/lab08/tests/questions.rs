//! What lab 8's candidate can be asked.

use candidate::words;
use heapkit::image::Offset;
use heapkit::referee::Call;
use std::fmt;

words! {
    /// One function of the lab, with its arguments. The first few are for the main thread, the others for the threads that it has
    /// started. Blocks are named by where their payload is.
    pub enum Question {
        /// So many threads are started.
        Threads { count: usize },
        /// `Lock::new`, for a counter that starts at this number.
        NewLock { counter: usize },
        /// `SharedMalloc::new`, on the examiner's system. Each thread has a new `Cache` then.
        NewMalloc,
        /// `Lock::with`, which counts one further. The answer is what the counter was.
        With,
        /// `Lock::acquire`, and then `Lock::release`.
        AcquireAndRelease,
        /// One call of the malloc, with the thread's own cache.
        Call { call: Call },
        /// `SharedMalloc::retire`
        Retire,
        /// `Cache::count` for these sizes.
        Counts { sizes: Vec<usize> },
        /// `arena_of`
        ArenaOf { payload: usize },
        /// `SharedMalloc::before_fork`
        BeforeFork,
        /// `SharedMalloc::after_fork`
        AfterFork,
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Threads { count } => write!(f, "{count} threads start"),
            Question::NewLock { counter } => write!(f, "Lock::new({counter})"),
            Question::NewMalloc => f.write_str("SharedMalloc::new"),
            Question::With => f.write_str("with(|counter| …)"),
            Question::AcquireAndRelease => f.write_str("acquire(), and then release()"),
            Question::Call { call: Call::Malloc { request } } => write!(f, "malloc({request})"),
            Question::Call { call: Call::Calloc { count, size } } => write!(f, "calloc({count}, {size})"),
            Question::Call { call: Call::Aligned { align, request } } => write!(f, "aligned({align}, {request})"),
            Question::Call { call: Call::Realloc { payload, request } } => {
                write!(f, "realloc({}, {request})", Offset(*payload))
            }
            Question::Call { call: Call::Free { payload } } => write!(f, "free({})", Offset(*payload)),
            Question::Retire => f.write_str("retire(cache)"),
            Question::Counts { sizes } => write!(f, "count for {} sizes", sizes.len()),
            Question::ArenaOf { payload } => write!(f, "arena_of({})", Offset(*payload)),
            Question::BeforeFork => f.write_str("before_fork()"),
            Question::AfterFork => f.write_str("after_fork()"),
        }
    }
}
