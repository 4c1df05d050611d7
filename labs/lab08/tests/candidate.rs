//! Runs lab 8 and answers questions, on threads whose steps the examiner decides on. It knows no expectation.

mod questions;

use candidate::{Answer, AskedFlag, AskedOs, Candidate, Memory, mark, start_threads};
use heapkit::referee::Call;
use lab08::{Cache, Corruption, Lock, SharedMalloc, arena_of};
use questions::Question;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

candidate::main!(Lab08);

struct Lab08 {
    memory: Memory,
}

/// What all threads share. What an earlier story has left is leaked: one of its threads may be in the middle of it.
#[derive(Clone, Copy)]
struct Shared {
    lock: Option<&'static Lock<Counter, AskedFlag>>,
    malloc: Option<&'static SharedMalloc<AskedOs, AskedFlag>>,
    /// How many mallocs there have been.
    number: usize,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { lock: None, malloc: None, number: 0 });

/// What the lock is for.
struct Counter(usize);

thread_local! {
    /// This thread's cache, and the number of the malloc that it is for.
    static CACHE: RefCell<(usize, Cache)> = const { RefCell::new((0, Cache::new())) };
}

/// A thread has the value of the lock, and will soon have it no more.
const ENTERS: u64 = 0;
const LEAVES: u64 = 1;

/// What `report` ends a call with.
struct Found(Corruption);

fn report(found: Corruption) -> ! {
    resume_unwind(Box::new(Found(found)))
}

fn shared() -> Shared {
    *SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Candidate for Lab08 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab08 { memory }
    }

    fn answer(&mut self, question: Question) -> Answer {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match question {
            Question::Threads { count } => start_threads(self.memory, count, on_a_thread),
            Question::NewLock { counter } => shared.lock = Some(Box::leak(Box::new(Lock::new(Counter(counter))))),
            Question::NewMalloc => {
                shared.malloc = Some(Box::leak(Box::new(SharedMalloc::new(AskedOs::new(self.memory), report))));
                shared.number += 1;
            }
            _ => {}
        }
        Answer::done()
    }
}

fn on_a_thread(memory: Memory, _: usize, question: Question) -> Answer {
    match question {
        Question::With | Question::AcquireAndRelease => match shared().lock {
            Some(lock) => use_lock(memory, lock, &question),
            None => Answer::done(),
        },
        // SAFETY: the examiner names a block that has not been freed.
        Question::ArenaOf { payload } => Answer::say(unsafe { arena_of(memory.at(payload)) }),
        _ => match shared().malloc {
            Some(malloc) => CACHE.with_borrow_mut(|(number, cache)| {
                if *number != shared().number {
                    (*number, *cache) = (shared().number, Cache::new());
                }
                use_malloc(memory, malloc, cache, question)
            }),
            None => Answer::done(),
        },
    }
}

fn use_lock(memory: Memory, lock: &Lock<Counter, AskedFlag>, question: &Question) -> Answer {
    if *question == Question::With {
        return Answer::say(lock.with(|counter| {
            mark(memory, ENTERS);
            let was = counter.0;
            mark(memory, LEAVES);
            counter.0 = was + 1;
            was
        }));
    }
    lock.acquire();
    mark(memory, ENTERS);
    mark(memory, LEAVES);
    // SAFETY: this thread has taken the lock, and has not used the value.
    unsafe { lock.release() };
    Answer::say(0_usize)
}

/// What comes of a use of the malloc: an answer, or the number of what `report` was told.
fn use_malloc(
    memory: Memory,
    malloc: &SharedMalloc<AskedOs, AskedFlag>,
    cache: &mut Cache,
    question: Question,
) -> Answer {
    let used = catch_unwind(AssertUnwindSafe(|| match question {
        Question::Call { call } => {
            // SAFETY: the examiner names blocks that it was given and has not freed, and uses them no more, or expects a report.
            let payload = memory.carry_out(call, |call, old| unsafe { make(malloc, cache, call, old) });
            vec![usize::from(payload.is_some()), payload.unwrap_or_default()]
        }
        Question::Retire => {
            malloc.retire(cache);
            Vec::new()
        }
        Question::Counts { sizes } => sizes.into_iter().map(|size| cache.count(size)).collect(),
        Question::BeforeFork => {
            malloc.before_fork();
            Vec::new()
        }
        Question::AfterFork => {
            // SAFETY: the examiner has asked this thread for `before_fork`.
            unsafe { malloc.after_fork() };
            Vec::new()
        }
        _ => Vec::new(),
    }));
    match used {
        Ok(words) => Answer::say((None::<String>, words)),
        Err(thrown) => match thrown.downcast::<Found>() {
            Ok(found) => Answer::say((Some(name(found.0)), Vec::<usize>::new())),
            Err(panic) => resume_unwind(panic),
        },
    }
}

fn name(found: Corruption) -> String {
    match found {
        Corruption::InvalidPointer => "InvalidPointer",
        Corruption::InvalidSize => "InvalidSize",
        Corruption::InvalidNextSize => "InvalidNextSize",
        Corruption::DoubleFreeInCache => "DoubleFreeInCache",
        Corruption::DoubleFreeInFastBin => "DoubleFreeInFastBin",
        Corruption::DoubleFree => "DoubleFree",
        Corruption::SizeAgainstPrevSize => "SizeAgainstPrevSize",
        Corruption::UnalignedInCache => "UnalignedInCache",
    }
    .to_owned()
}

/// Makes one call; `old` is the block that it names, if it names one.
///
/// # Safety
/// `old` is a block of this malloc that has not been freed, and nobody uses its old place afterwards; or it isn't, and the malloc finds
/// that out.
unsafe fn make(
    malloc: &SharedMalloc<AskedOs, AskedFlag>,
    cache: &mut Cache,
    call: Call,
    old: Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    match (call, old) {
        (Call::Malloc { request }, _) => malloc.malloc(cache, request),
        (Call::Calloc { count, size }, _) => malloc.calloc(cache, count, size),
        (Call::Aligned { align, request }, _) => malloc.aligned(cache, align, request),
        // SAFETY: a block that has not been freed, as this function's own rule says.
        (Call::Realloc { request, .. }, Some(old)) => unsafe { malloc.realloc(cache, old, request) },
        // SAFETY: the same.
        (Call::Free { .. }, Some(old)) => {
            unsafe { malloc.free(cache, old) };
            None
        }
        (Call::Realloc { .. } | Call::Free { .. }, None) => None,
    }
}
