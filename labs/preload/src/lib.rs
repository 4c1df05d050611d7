//! The malloc that you wrote, as programs know a malloc: C's functions, for `LD_PRELOAD`, and Rust's `GlobalAlloc`.
//!
//! ```text
//! LD_PRELOAD=target/ship/libpreload.so python3
//! ```
//!
//! What decided its shape:
//!
//! * **It must be there before everything else.** The first `malloc` of a process comes before any code of this library has run, so
//!   all that it needs is made by the compiler: the malloc is a `static`, and a thread's cache a `thread_local!` that needs no
//!   destructor.
//! * **It must not call itself.** While a thread is inside the malloc, it may get there again: a panic formats its message, a signal
//!   handler doesn't know better. Such a call is served from a small reserve, and what belongs to it is never freed.
//! * **A thread ends.** A key of the thread library tells us, and the cache goes back to the arenas. Other destructors may run
//!   after ours, and use the malloc: [`SharedMalloc::retire`](lab08::SharedMalloc::retire) leaves a cache that has room for nothing.
//! * **A process is copied** in the middle of what its other threads do. So `fork` waits until it has all locks.
//! * **It gives back late.** What the malloc gives back of its heap it often wants again at once, so a few megabytes stay.
//! * **It must break loudly.** A panic and a failed check write one sentence, without a byte of new memory, and end the process.

mod c;
mod os;
mod report;
mod threads;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::{self, NonNull};
use threads::{Call, MALLOC, reserve, with_cache};

/// The malloc, as a program's global allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Malloc;

fn or_null(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: blocks of the malloc, and of the reserve, are nobody else's, and are as large and as aligned as the layout says.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = with_cache(Call::Malloc, ptr::null(), |cache| MALLOC.allocate(cache, layout));
        or_null(block.unwrap_or_else(|| reserve::take(layout)))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = with_cache(Call::Calloc, ptr::null(), |cache| MALLOC.allocate_zeroed(cache, layout));
        or_null(block.unwrap_or_else(|| reserve::take(layout)))
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: a block of this allocator, which nobody uses any more.
        unsafe { c::free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(payload) = NonNull::new(block).filter(|payload| !reserve::has(*payload)) else {
            // SAFETY: a block of the reserve, which has `layout.size()` bytes, and another one.
            return unsafe { reserve::grow(block, layout, new_size) };
        };
        // SAFETY: a block of the malloc that was asked for with this layout.
        let ask = |cache: &mut _| unsafe { MALLOC.reallocate(cache, payload, layout, new_size) };
        // SAFETY: as above; while the thread is inside the malloc, the block moves to the reserve, and the old one is lost.
        with_cache(Call::Realloc, block, ask).map_or_else(|| unsafe { reserve::grow(block, layout, new_size) }, or_null)
    }
}
