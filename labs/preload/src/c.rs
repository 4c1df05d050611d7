//! C's functions.

use crate::report;
use crate::threads::{Call, MALLOC, errno, reserve, set_errno, usable_size, with_cache};
use heapkit::os::PAGE;
use lab08::{Cache, Errno};
use libc::{c_int, c_void};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

/// What C calls it.
fn code(why: Errno) -> c_int {
    match why {
        Errno::InvalidArgument => libc::EINVAL,
        Errno::OutOfMemory => libc::ENOMEM,
    }
}

/// A new block, or why there is none.
type Answer = Result<NonNull<u8>, Errno>;

/// Asks the malloc for a new block. From inside the malloc, the reserve serves the call.
fn ask(call: Call, align: usize, request: usize, ask: impl FnOnce(&mut Cache) -> Answer) -> Answer {
    let new = with_cache(call, ptr::null(), ask).unwrap_or_else(|| {
        Layout::from_size_align(request, align).ok().and_then(reserve::take).ok_or(Errno::OutOfMemory)
    });
    if report::is_wanted() {
        // SAFETY: a new block.
        report::count(call, new.map_or(0, |new| unsafe { usable_size(new) }) as i64);
    }
    new
}

/// As most of C's functions say it: null and `errno`.
fn or_errno(answer: Answer) -> *mut c_void {
    match answer {
        Ok(new) => new.as_ptr().cast(),
        Err(why) => {
            set_errno(code(why));
            ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    or_errno(ask(Call::Malloc, 16, size, |cache| MALLOC.malloc(cache, size).ok_or(Errno::OutOfMemory)))
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let request = count.saturating_mul(size);
    or_errno(ask(Call::Calloc, 16, request, |cache| MALLOC.calloc(cache, count, size).ok_or(Errno::OutOfMemory)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: null or a block that has not been freed, as C asks for it.
    unsafe { reallocarray(block, 1, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    let old = NonNull::new(block.cast::<u8>());
    // SAFETY: null or a block that has not been freed, as C asks for it. From inside the malloc it moves to the reserve.
    unsafe {
        let before = if report::is_wanted() { old.map_or(0, |old| usable_size(old)) } else { 0 };
        let ask = |cache: &mut Cache| MALLOC.reallocarray(cache, old, count, size);
        let inside = if old.is_some_and(reserve::has) { None } else { with_cache(Call::Realloc, block.cast(), ask) };
        let new = inside.unwrap_or_else(|| {
            let old_size = old.map_or(0, |old| usable_size(old));
            let layout = Layout::from_size_align(old_size, 16).map_err(|_| Errno::OutOfMemory)?;
            let new = NonNull::new(reserve::grow(block.cast(), layout, count.saturating_mul(size)));
            new.map(Some).ok_or(Errno::OutOfMemory)
        });
        if report::is_wanted() {
            let after = match new {
                Ok(new) => new.map_or(0, |new| usable_size(new)),
                Err(_) => before,
            };
            report::count(Call::Realloc, after as i64 - before as i64);
        }
        new.map_or_else(|why| or_errno(Err(why)), |new| new.map_or(ptr::null_mut(), |new| new.as_ptr().cast()))
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free(block: *mut c_void) {
    let Some(payload) = NonNull::new(block.cast::<u8>()).filter(|payload| !reserve::has(*payload)) else { return };
    // SAFETY: a block that has not been freed, as C asks for it, and nobody uses it any more. From inside the malloc, it is lost.
    unsafe {
        if report::is_wanted() && payload.addr().get().is_multiple_of(16) {
            report::count(Call::Free, -(usable_size(payload) as i64));
        }
        with_cache(Call::Free, block.cast(), |cache| MALLOC.free(cache, payload));
    }
}

#[unsafe(no_mangle)]
extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    or_errno(ask(Call::Aligned, align, size, |cache| MALLOC.memalign(cache, align, size)))
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    or_errno(ask(Call::Aligned, align, size, |cache| MALLOC.aligned_alloc(cache, align, size)))
}

/// It says what went wrong itself, and leaves `errno` alone.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    let before = errno();
    let answer = ask(Call::Aligned, align, size, |cache| MALLOC.posix_memalign(cache, align, size));
    set_errno(before);
    match answer {
        Ok(new) => {
            // SAFETY: a pointer can be written there, as POSIX asks for it.
            unsafe { out.write(new.as_ptr().cast()) };
            0
        }
        Err(why) => code(why),
    }
}

#[unsafe(no_mangle)]
extern "C" fn valloc(size: usize) -> *mut c_void {
    memalign(PAGE, size)
}

#[unsafe(no_mangle)]
extern "C" fn pvalloc(size: usize) -> *mut c_void {
    or_errno(ask(Call::Aligned, PAGE, size, |cache| MALLOC.pvalloc(cache, size)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: null or a block that has not been freed, as C asks for it.
    NonNull::new(block.cast()).map_or(0, |payload| unsafe { usable_size(payload) })
}
