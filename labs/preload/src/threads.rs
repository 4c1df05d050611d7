//! The malloc of this process, and each thread's cache.

use crate::os::Counted;
use crate::report::{self, Counter, Doing};
use lab08::{Cache, Corruption, SharedMalloc, size_word_of};
use libc::{c_int, c_void, pthread_key_t};
use std::cell::{Cell, UnsafeCell};
use std::panic::PanicHookInfo;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub use crate::report::Call;

/// The one malloc of this process.
pub static MALLOC: SharedMalloc<Counted> = SharedMalloc::new(Counted, corrupted);

/// What belongs to a thread.
struct Thread {
    cache: UnsafeCell<Cache>,
    /// What it is doing inside the malloc.
    doing: Cell<Option<Call>>,
    /// With this block.
    block: Cell<*const u8>,
    is_known: Cell<bool>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            cache: UnsafeCell::new(Cache::new()),
            doing: Cell::new(None),
            block: Cell::new(ptr::null()),
            is_known: Cell::new(false),
        }
    };
}

/// Does something with this thread's cache. `None`, and nothing is done, if the thread is inside the malloc already.
pub fn with_cache<R>(call: Call, block: *const u8, use_it: impl FnOnce(&mut Cache) -> R) -> Option<R> {
    THREAD.with(|thread| {
        if thread.doing.get().is_some() {
            return None;
        }
        if !thread.is_known.get() {
            thread.is_known.set(true);
            get_to_know();
        }
        thread.doing.set(Some(call));
        thread.block.set(block);
        // SAFETY: the thread's own cache. A second reference to it would come from a call inside of a call, which was refused.
        let result = use_it(unsafe { &mut *thread.cache.get() });
        thread.doing.set(None);
        Some(result)
    })
}

/// What this thread is doing inside the malloc, and with which block it did the last thing.
pub fn doing() -> (Option<Call>, *const u8) {
    THREAD.with(|thread| (thread.doing.get(), thread.block.get()))
}

/// The key by whose destructor a thread says that it ends, plus 1. 0 while there is none.
static KEY: AtomicU32 = AtomicU32::new(0);

/// A thread asks for something for the first time.
#[cold]
fn get_to_know() {
    report::add(Counter::Threads, 1);
    if !IS_HOOKED.swap(true, Ordering::Relaxed) {
        // Neither box needs memory: there is nothing in them.
        let _ = OTHER_HOOK.set(std::panic::take_hook());
        std::panic::set_hook(Box::new(panicked));
    }
    let key = KEY.load(Ordering::Acquire);
    if key != 0 {
        // SAFETY: a key of ours. Any value but null has the destructor called. What is set may take memory: this thread is known.
        unsafe { libc::pthread_setspecific(key - 1, ptr::from_ref(&KEY).cast()) };
    }
}

extern "C" fn on_thread_exit(_: *mut c_void) {
    with_cache(Call::Free, ptr::null(), |cache| MALLOC.retire(cache));
}

/// Runs when the library is loaded: before the program, but after the first calls of `malloc`.
extern "C" fn on_load() {
    // SAFETY: the destructor and the handlers are functions that stay. They are registered once, and may allocate meanwhile.
    unsafe {
        let mut key: pthread_key_t = 0;
        if libc::pthread_key_create(&raw mut key, Some(on_thread_exit)) == 0 {
            KEY.store(key + 1, Ordering::Release);
        }
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
    }
    report::open();
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

unsafe extern "C" fn before_fork() {
    MALLOC.before_fork();
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: `before_fork` was called first, on this thread.
    unsafe { MALLOC.after_fork() };
}

unsafe extern "C" fn after_fork_in_child() {
    report::close();
    // SAFETY: `before_fork` was called first, on the thread of which this one is the copy.
    unsafe { MALLOC.after_fork() };
}

fn corrupted(found: Corruption) -> ! {
    let (call, block) = doing();
    report::break_with(format_args!("{}: {found}", Doing(call.unwrap_or(Call::Free), block)))
}

static IS_HOOKED: AtomicBool = AtomicBool::new(false);

/// What a Rust program does at a panic that is its own.
static OTHER_HOOK: OnceLock<Hook> = OnceLock::new();

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// A panic inside the malloc ends the process.
fn panicked(info: &PanicHookInfo<'_>) {
    let (Some(call), block) = doing() else { return OTHER_HOOK.get().into_iter().for_each(|hook| hook(info)) };
    let why = info.payload_as_str().unwrap_or("a panic");
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    report::break_with(format_args!("{}: {why} ({file}:{line})", Doing(call, block)))
}

/// How many bytes a block has that its program may use.
///
/// # Safety
/// A block of the malloc, or of the reserve, that has not been freed.
pub unsafe fn usable_size(payload: NonNull<u8>) -> usize {
    if let Some(size) = reserve::len_of(payload) {
        return size;
    }
    // SAFETY: a block of the malloc that has not been freed.
    let word = unsafe { size_word_of(payload) };
    // A mapping has no next chunk that would lend it a word.
    word.size().saturating_sub(if word.has(heapkit::format::IS_MMAPPED) { 16 } else { 8 })
}

/// C's variable for what went wrong.
pub fn errno() -> c_int {
    // SAFETY: the C library's own variable, one for each thread.
    unsafe { *libc::__errno_location() }
}

/// See [`errno`].
pub fn set_errno(value: c_int) {
    // SAFETY: the C library's own variable, one for each thread.
    unsafe { *libc::__errno_location() = value };
}

/// A little memory for calls that come from inside the malloc. It is never taken back.
pub mod reserve {
    use std::alloc::Layout;
    use std::cell::UnsafeCell;
    use std::ptr::{self, NonNull};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SIZE: usize = 64 << 10;

    #[repr(align(4096))]
    struct Bytes(UnsafeCell<[u8; SIZE]>);

    // SAFETY: each byte is handed out once.
    unsafe impl Sync for Bytes {}

    static BYTES: Bytes = Bytes(UnsafeCell::new([0; SIZE]));
    static USED: AtomicUsize = AtomicUsize::new(0);

    /// The word before a block says how many bytes it has.
    const BEFORE: usize = size_of::<usize>();

    /// A block of zeroes, if there is room.
    pub fn take(layout: Layout) -> Option<NonNull<u8>> {
        let mut at = 0;
        let place = |used: usize| {
            at = used.checked_add(BEFORE)?.checked_next_multiple_of(layout.align().max(16))?;
            at.checked_add(layout.size()).filter(|end| *end <= SIZE && layout.align() <= 4096)
        };
        USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place).ok()?;
        let start = NonNull::new(BYTES.0.get().cast::<u8>())?;
        // SAFETY: inside the reserve, and these bytes are handed out here alone.
        unsafe {
            let payload = start.byte_add(at);
            payload.byte_sub(BEFORE).cast::<usize>().write(layout.size());
            Some(payload)
        }
    }

    /// Whether a block is in the reserve.
    pub fn has(payload: NonNull<u8>) -> bool {
        payload.addr().get().wrapping_sub(BYTES.0.get().addr()) < SIZE
    }

    /// How many bytes a block has, if it is in the reserve.
    pub fn len_of(payload: NonNull<u8>) -> Option<usize> {
        // SAFETY: `take` has written the word before a block.
        has(payload).then(|| unsafe { payload.byte_sub(BEFORE).cast::<usize>().read() })
    }

    /// A new block with the bytes of an old one. Null if there is no room.
    ///
    /// # Safety
    /// The old block has as many bytes as its layout says, or is null.
    pub unsafe fn grow(old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align()).ok().and_then(take);
        let Some(new) = new else { return ptr::null_mut() };
        if !old.is_null() {
            // SAFETY: both have so many bytes, and the new block is another one.
            unsafe { new.as_ptr().copy_from_nonoverlapping(old, layout.size().min(new_size)) };
        }
        new.as_ptr()
    }
}
