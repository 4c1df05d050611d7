//! Runs lab 8 and answers questions, on threads whose steps the examiner decides on. It knows no expectation.

mod on_linux;
mod questions;

use candidate::{Answer, AskedFlag, AskedOs, Candidate, Memory, mark, start_threads};
use heapkit::os::Os;
use heapkit::referee::Call;
use lab02::{Chunk, Header, SizeWord, request_to_chunk_size};
use lab08::{
    Arena, ArenaOs, Cache, Cached, Corruption, Errno, Lock, SharedMalloc, arena_of, label, mask, size_word_of,
};
use questions::{CFunction, Question, ROOM};
use std::alloc::Layout;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

candidate::main!(Lab08);

struct Lab08 {
    memory: Memory,
    has_threads: bool,
    os: Option<ArenaOs<AskedOs>>,
    cache: Cache,
    arena: Option<Arena<AskedOs>>,
}

/// What all threads share. What an earlier story has left is leaked: one of its threads may be in the middle of it.
#[derive(Clone, Copy)]
struct Shared {
    lock: Option<&'static Lock<Counter, AskedFlag>>,
    malloc: Option<&'static Malloc>,
    /// How many mallocs there have been.
    number: usize,
}

type Malloc = SharedMalloc<AskedOs, AskedFlag>;

static SHARED: Mutex<Shared> = Mutex::new(Shared { lock: None, malloc: None, number: 0 });

/// What the lock is for.
struct Counter(usize);

thread_local! {
    /// This thread's cache, and the number of the malloc that it is for.
    static CACHE: RefCell<(usize, Cache)> = const { RefCell::new((0, Cache::with_room(ROOM))) };
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

/// What was found, or where a block is.
type Outcome = Result<Option<NonNull<u8>>, Corruption>;

/// The name of what was found, if anything was, and where the block is, if there is one.
fn say(memory: Memory, outcome: Outcome) -> Answer {
    match outcome {
        Ok(at) => Answer::say((String::new(), at.map(|at| memory.offset_of(at.as_ptr())))),
        Err(found) => Answer::say((format!("{found:?}"), None::<usize>)),
    }
}

/// Each list's first block, as an address, and its room.
fn lists(cache: &Cache) -> (Vec<usize>, Vec<usize>) {
    (cache.heads().iter().map(|head| head.addr()).collect(), cache.room().to_vec())
}

impl Candidate for Lab08 {
    type Question = Question;

    fn new(memory: Memory) -> Self {
        Lab08 { memory, has_threads: false, os: None, cache: Cache::with_room(ROOM), arena: None }
    }

    fn answer(&mut self, question: Question) -> Answer {
        let (memory, os) = (self.memory, AskedOs::new(self.memory));
        match question {
            Question::Threads { count } => {
                let count = if std::mem::replace(&mut self.has_threads, true) { 0 } else { count };
                start_threads(memory, count, on_a_thread);
            }
            Question::NewLock { counter } => {
                SHARED.lock().unwrap_or_else(PoisonError::into_inner).lock =
                    Some(Box::leak(Box::new(Lock::new(Counter(counter)))));
            }
            Question::NewMalloc => {
                let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
                shared.malloc = Some(Box::leak(Box::new(SharedMalloc::new(os, report))));
                shared.number += 1;
            }
            Question::NewArenaOs { arena } => self.os = Some(ArenaOs::new(os, arena)),
            Question::Enter | Question::Break | Question::Sbrk { .. } => {
                if let Some(os) = &self.os {
                    return use_os(memory, os, &question);
                }
            }
            Question::SizeWordOf { payload } => {
                // SAFETY: the examiner has written a size word before it.
                let word = unsafe { size_word_of(memory.at(payload)) };
                return Answer::say((word.size(), word.has(SizeWord::IS_MMAPPED), word.has(SizeWord::NON_MAIN_ARENA)));
            }
            Question::ArenaOf { payload } => {
                // SAFETY: the same, and at the start of its region if it has one.
                return Answer::say(unsafe { arena_of(memory.at(payload)) });
            }
            Question::Label { at, arena } => {
                // SAFETY: the examiner has written a chunk there that is in use.
                unsafe { label(&mut Chunk::from_header(memory.at(at).cast::<Header>()), arena) };
            }
            Question::Mask { place, link } => {
                let pointer = |address| ptr::without_provenance_mut::<Cached>(address);
                return Answer::say(mask(pointer(place), pointer(link)).addr());
            }
            Question::NewCache => self.cache = Cache::with_room(ROOM),
            Question::Push { payload, size } => {
                // SAFETY: the examiner names blocks of this size that nobody uses and that are in no list.
                return Answer::say(unsafe { self.cache.push(memory.at(payload), size) });
            }
            Question::Pop { size } => return say(memory, self.cache.pop(size)),
            Question::Holds { payload, size } => {
                // SAFETY: the same, but they may be in the cache.
                let holds = unsafe { self.cache.holds(memory.at(payload), size) };
                return say(memory, holds.map(|holds| holds.then_some(memory.at(payload))));
            }
            Question::Cache => return Answer::say(lists(&self.cache)),
            Question::NewArena { number } => self.arena = Some(Arena::new(os, number)),
            Question::OfArena { call } => {
                if let Some(arena) = &mut self.arena {
                    let mut found = None;
                    let at = memory.carry_out(call, |call, old| {
                        // SAFETY: the examiner names blocks that it was given and has not freed, or expects that a check finds it.
                        unsafe { use_arena(arena, call, old) }.unwrap_or_else(|corruption| {
                            found = Some(corruption);
                            None
                        })
                    });
                    return say(memory, found.map_or(Ok(at.map(|at| memory.at(at))), Err));
                }
            }
            Question::Check { at } => {
                if let Some(arena) = &self.arena {
                    // SAFETY: the examiner has written a header there, and what is around it can be read.
                    let chunk = unsafe { Chunk::from_header(memory.at(at).cast::<Header>()) };
                    // SAFETY: as before.
                    return say(memory, unsafe { arena.check(&chunk) }.map(|()| None));
                }
            }
            Question::Has { at } => {
                if let Some(arena) = &self.arena {
                    // SAFETY: the same.
                    let chunk = unsafe { Chunk::from_header(memory.at(at).cast::<Header>()) };
                    return Answer::say(arena.has(&chunk));
                }
            }
            Question::Linux { seed, threads, steps } => return Answer::say(on_linux::play(seed, threads, steps)),
            _ => {}
        }
        Answer::done()
    }
}

fn use_os(memory: Memory, os: &ArenaOs<AskedOs>, question: &Question) -> Answer {
    match *question {
        Question::Enter => Answer::say(os.enter_new_region().is_some()),
        Question::Sbrk { delta } => {
            // SAFETY: the examiner gives back what nobody uses.
            let old = unsafe { os.sbrk(delta) };
            Answer::say(old.map(|at| memory.offset_of(at.as_ptr())))
        }
        _ => Answer::say(os.program_break().addr().get()),
    }
}

/// Makes one call of an arena.
///
/// # Safety
/// As for [`make`].
unsafe fn use_arena(arena: &mut Arena<AskedOs>, call: Call, old: Option<NonNull<u8>>) -> Outcome {
    let size = call.request().and_then(request_to_chunk_size).unwrap_or(usize::MAX);
    match (call, old) {
        (Call::Malloc { request }, _) => arena.take(size, |malloc| malloc.malloc(request)),
        (Call::Calloc { count, size: each }, _) => arena.take(size, |malloc| malloc.calloc(count, each)),
        (Call::Aligned { align, request }, _) => arena.take(size, |malloc| malloc.aligned(align, request)),
        // SAFETY: as this function's own rule says.
        (Call::Realloc { request, .. }, Some(old)) => unsafe { arena.realloc(old, request) },
        // SAFETY: the same.
        (Call::Free { .. }, Some(old)) => unsafe { arena.free(old) }.map(|()| None),
        (Call::Realloc { .. } | Call::Free { .. }, None) => Ok(None),
    }
}

fn on_a_thread(memory: Memory, _: usize, question: Question) -> Answer {
    let Shared { lock, malloc, number } = shared();
    match (&question, lock, malloc) {
        (Question::With | Question::AcquireAndRelease, Some(lock), _) => use_lock(memory, lock, &question),
        (_, _, Some(malloc)) => CACHE.with_borrow_mut(|(of, cache)| {
            if *of != number {
                (*of, *cache) = (number, Cache::with_room(ROOM));
            }
            use_malloc(memory, malloc, cache, question)
        }),
        _ => Answer::done(),
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
    Answer::done()
}

fn use_malloc(memory: Memory, malloc: &Malloc, cache: &mut Cache, question: Question) -> Answer {
    if question == Question::OwnCache {
        let (heads, room) = lists(cache);
        return Answer::say((heads, room, cache.arena()));
    }
    let done = catch_unwind(AssertUnwindSafe(|| match question {
        // SAFETY: the examiner names blocks that it was given and has not freed, and uses them no more, or expects a report.
        Question::Call { call } => Ok(memory
            .carry_out(call, |call, old| unsafe { make(malloc, cache, call, old) })
            .map(|payload| memory.at(payload))),
        Question::Retire => {
            malloc.retire(cache);
            Ok(None)
        }
        Question::BeforeFork => {
            malloc.before_fork();
            Ok(None)
        }
        Question::AfterFork => {
            // SAFETY: the examiner has asked this thread for `before_fork`.
            unsafe { malloc.after_fork() };
            Ok(None)
        }
        Question::Allocate { align, size, zeroed } => {
            Ok(Layout::from_size_align(size, align).ok().and_then(|layout| {
                if zeroed { malloc.allocate_zeroed(cache, layout) } else { malloc.allocate(cache, layout) }
            }))
        }
        Question::Reallocate { payload, align, size, new_size } => {
            Ok(Layout::from_size_align(size, align).ok().and_then(|layout| {
                // SAFETY: a block of this layout that has not been freed.
                unsafe { malloc.reallocate(cache, memory.at(payload), layout, new_size) }
            }))
        }
        Question::C { function } => match function {
            CFunction::PosixMemalign { align, request } => malloc.posix_memalign(cache, align, request).map(Some),
            CFunction::AlignedAlloc { align, request } => malloc.aligned_alloc(cache, align, request).map(Some),
            CFunction::Memalign { align, request } => malloc.memalign(cache, align, request).map(Some),
            CFunction::Pvalloc { request } => malloc.pvalloc(cache, request).map(Some),
            CFunction::Reallocarray { block, count, size } => {
                // SAFETY: a block that has not been freed.
                unsafe { malloc.reallocarray(cache, block.map(|block| memory.at(block)), count, size) }
            }
        },
        _ => Ok(None),
    }));
    match done {
        Ok(Ok(at)) => say(memory, Ok(at)),
        Ok(Err(errno)) => Answer::say((
            match errno {
                Errno::InvalidArgument => "InvalidArgument",
                Errno::OutOfMemory => "OutOfMemory",
            }
            .to_owned(),
            None::<usize>,
        )),
        Err(thrown) => match thrown.downcast::<Found>() {
            Ok(found) => say(memory, Err(found.0)),
            Err(panic) => resume_unwind(panic),
        },
    }
}

/// Makes one call; `old` is the block that it names, if it names one.
///
/// # Safety
/// `old` is a block of this malloc that has not been freed, and nobody uses its old place afterwards; or it isn't, and the malloc finds
/// that out.
unsafe fn make(malloc: &Malloc, cache: &mut Cache, call: Call, old: Option<NonNull<u8>>) -> Option<NonNull<u8>> {
    match (call, old) {
        (Call::Malloc { request }, _) => malloc.malloc(cache, request),
        (Call::Calloc { count, size }, _) => malloc.calloc(cache, count, size),
        (Call::Aligned { align, request }, _) => malloc.aligned(cache, align, request),
        // SAFETY: a block that has not been freed, as this function's own rule says.
        (Call::Realloc { request, .. }, Some(old)) => unsafe { malloc.realloc(cache, old, request) },
        (Call::Free { .. }, Some(old)) => {
            // SAFETY: the same.
            unsafe { malloc.free(cache, old) };
            None
        }
        (Call::Realloc { .. } | Call::Free { .. }, None) => None,
    }
}
