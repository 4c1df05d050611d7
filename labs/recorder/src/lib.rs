//! Preloaded into a program (`LD_PRELOAD`), this library writes down what the program asks of `malloc` and its relatives,
//! and passes each request on to the C library. `record` starts the program and turns the log into a trace.
//!
//! What decided its shape:
//!
//! * **No recursion, no bootstrapping.** The usual way to the real `malloc`, `dlsym`, may itself call `calloc`. glibc also
//!   exports its functions as `__libc_malloc` and so on: the linker finds them, nothing has to be looked up. (So the
//!   programs that can be recorded are those that use glibc, dynamically linked.) Nothing in here allocates or panics.
//! * **One order.** Each call is made and written down under one lock. Otherwise a thread could get an address, and write
//!   that down, before the `free` that made the address available is written down by another.
//! * **One process.** Recorded is the process that `record` started, known by its parent. A program that it becomes by
//!   `exec` starts the log anew, so that a shell wrapper does not count. Its children, forked or spawned, are not recorded:
//!   every call compares the process id, which no way to make a process can evade, and leaves the lock alone if it differs
//!   (a thread of the parent may have held it when the child was made).
//! * **Any exit.** The log is a shared mapping of a file. It needs no handler at exit: whatever ends the program, the
//!   calls up to there are in the file.
//!
//! Calls that fail, and `free(NULL)`, change no heap and are left out.

mod log;

use libc::{c_char, c_int, c_void, pid_t};
use log::Call;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(old: *mut c_void);
    /// Null until the C library has been initialised, which is later than the first `malloc`.
    static environ: *const *const c_char;
}

/// The log, and the one process that may write it.
struct Log {
    words: &'static [AtomicU64],
    owner: pid_t,
}

impl Log {
    /// The log, if this process is to be recorded.
    fn get() -> Option<&'static Log> {
        static LOG: OnceLock<Option<Log>> = OnceLock::new();
        // SAFETY: reads one pointer, which changes when the program calls `setenv`: none of that matters here.
        if unsafe { ptr::read_volatile(&raw const environ) }.is_null() {
            return None;
        }
        // SAFETY: `getpid` can do no harm.
        LOG.get_or_init(Log::open).as_ref().filter(|log| log.owner == unsafe { libc::getpid() })
    }

    /// Maps the log, and starts it anew, if `record` is the parent of this process.
    fn open() -> Option<Log> {
        let parent: pid_t = variable(log::PARENT)?.to_str().ok()?.parse().ok()?;
        // SAFETY: `getppid` can do no harm.
        if unsafe { libc::getppid() } != parent {
            return None;
        }
        // SAFETY: `variable` returns a C string.
        let file = unsafe { libc::open(variable(log::PATH)?.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        // SAFETY: asks for the file's length; on what is no file, it fails.
        let len = usize::try_from(unsafe { libc::lseek(file, 0, libc::SEEK_END) }).ok()?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory in use.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, file, 0) };
        // SAFETY: nobody else knows this descriptor; the mapping stays.
        unsafe { libc::close(file) };
        if start == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the mapping has `len` bytes, starts at a page, is never unmapped, and is used through these atomics alone.
        let words = unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), len / size_of::<AtomicU64>()) };
        // What this process was before an `exec` doesn't count.
        words.get(1)?.store(0, Ordering::Relaxed);
        words.first()?.store(log::LOADED, Ordering::Relaxed);
        // SAFETY: `getpid` can do no harm.
        Some(Log { words, owner: unsafe { libc::getpid() } })
    }

    /// Writes a call down, or only counts it where the log is full. Under the lock.
    fn write(&self, call: Call) {
        let [_, calls, records @ ..] = self.words else { return };
        let before = calls.load(Ordering::Relaxed);
        if let Some(place) = records.as_chunks::<{ size_of::<log::Record>() / 8 }>().0.get(before as usize) {
            for (place, word) in place.iter().zip(call.record()) {
                place.store(word, Ordering::Relaxed);
            }
        }
        // Last: a process that is killed between two words has not made the call.
        calls.store(before.wrapping_add(1), Ordering::Release);
    }
}

/// Runs when the library is loaded, before the program: a program that never calls `malloc` is known by an empty log that is open.
extern "C" fn open_log() {
    let _ = Log::get();
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = open_log;

/// A variable of the environment, if it is set. (`std::env::var` would allocate.)
fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: `name` is a C string; the log is opened by the first call of all, before the program can change a variable.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: a variable's value is a C string, and stays where it is (see above).
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })
}

/// Makes a call and writes it down, before anyone else can make one.
fn watched(make: impl FnOnce() -> (*mut c_void, Option<Call>)) -> *mut c_void {
    static TURN: Mutex<()> = Mutex::new(());
    // SAFETY: the C library's own variable, one for each thread.
    let before = unsafe { *libc::__errno_location() };
    let log = Log::get();
    let turn = log.map(|_| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    // A program may look at `errno` after a `free`: opening the log or waiting for the lock must leave no trace in it.
    set_errno(before);
    let (result, call) = make();
    if let (Some(log), Some(call)) = (log, call) {
        log.write(call);
    }
    drop(turn);
    result
}

/// The block that a call made, if it did.
fn made(new: *mut c_void, call: impl FnOnce(usize) -> Call) -> (*mut c_void, Option<Call>) {
    (new, (!new.is_null()).then(|| call(new.addr())))
}

fn set_errno(value: c_int) {
    // SAFETY: the C library's own variable, one for each thread.
    unsafe { *libc::__errno_location() = value };
}

/// An aligned block; what the callers in the C library's interface share.
fn aligned(align: usize, size: usize) -> *mut c_void {
    // glibc takes what is no power of two for the next one.
    let call = |new| Call::Aligned { align: align.checked_next_power_of_two().unwrap_or(align), size, new };
    // SAFETY: any request may be made.
    watched(|| made(unsafe { __libc_memalign(align, size) }, call))
}

fn page() -> usize {
    // SAFETY: `sysconf` can do no harm.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any request may be made.
    watched(|| made(unsafe { __libc_malloc(size) }, |new| Call::Malloc { size, new }))
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // The call that succeeds has not overflowed.
    let call = |new| Call::Calloc { size: count.wrapping_mul(size), new };
    // SAFETY: any request may be made.
    watched(|| made(unsafe { __libc_calloc(count, size) }, call))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    watched(|| {
        // SAFETY: C asks the same of whoever calls realloc: `old` is null or a live block.
        let new = unsafe { __libc_realloc(old, size) };
        // glibc takes `realloc(old, 0)` for `free(old)`. Any other null means that the old block stays as it was.
        let freed = new.is_null() && size == 0 && !old.is_null();
        if freed {
            (new, Some(Call::Free { old: old.addr() }))
        } else {
            made(new, |new| Call::Realloc { old: old.addr(), size, new })
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn reallocarray(old: *mut c_void, count: usize, size: usize) -> *mut c_void {
    // glibc's own would come back to `realloc` above, and wait for a lock it holds.
    let Some(size) = count.checked_mul(size) else {
        set_errno(libc::ENOMEM);
        return ptr::null_mut();
    };
    // SAFETY: `old` is null or a live block, as C asks of whoever calls reallocarray.
    unsafe { realloc(old, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(old: *mut c_void) {
    if old.is_null() {
        return;
    }
    watched(|| {
        // SAFETY: `old` is a live block, as C asks of whoever calls free.
        unsafe { __libc_free(old) };
        (ptr::null_mut(), Some(Call::Free { old: old.addr() }))
    });
}

#[unsafe(no_mangle)]
extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    aligned(align, size)
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    aligned(align, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let new = aligned(align, size);
    if new.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: POSIX asks of whoever calls posix_memalign that a pointer can be written to `out`.
    unsafe { *out = new };
    0
}

#[unsafe(no_mangle)]
extern "C" fn valloc(size: usize) -> *mut c_void {
    aligned(page(), size)
}

#[unsafe(no_mangle)]
extern "C" fn pvalloc(size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page()) {
        Some(size) => aligned(page(), size),
        None => {
            set_errno(libc::ENOMEM);
            ptr::null_mut()
        }
    }
}
