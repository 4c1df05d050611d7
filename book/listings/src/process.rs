//! The process as a listing sees it: its break, its memory, and copies of it.

use std::ops::Range;

/// A page of memory, the unit in which the system gives it.
pub const PAGE: usize = 4096;

/// The program's break: the first byte after the heap.
pub fn program_break() -> *mut u8 {
    // SAFETY: sbrk(0) only asks.
    unsafe { libc::sbrk(0) }.cast()
}

/// How many of the pages from `start` on, `bytes` long, are in memory; `None` if some of them aren't mapped at all.
pub fn resident_pages(start: *mut u8, bytes: usize) -> Option<usize> {
    const MOST: usize = 8192;
    let first = start.map_addr(|address| address & !(PAGE - 1));
    let pages = (start.addr() + bytes - first.addr()).div_ceil(PAGE);
    assert!(pages <= MOST, "at most {MOST} pages");
    let mut states = [0_u8; MOST];
    // SAFETY: `first` is the start of a page, and there is a byte for the state of each page. mincore only asks.
    let answer = unsafe { libc::mincore(first.cast(), pages * PAGE, states.as_mut_ptr()) };
    (answer == 0).then(|| states.iter().filter(|state| *state & 1 == 1).count())
}

/// What `question` answers in a copy of this process: it finds the heap as it is now, and changes nothing here.
pub fn in_a_copy(question: impl FnOnce() -> bool) -> bool {
    let status = end_of_a_copy(question);
    assert!(libc::WIFEXITED(status), "the copy ended early");
    libc::WEXITSTATUS(status) == 1
}

/// The signal that ends a copy of this process when it does this; `None` if it survives that.
pub fn signal_in_a_copy(act: impl FnOnce()) -> Option<i32> {
    let status = end_of_a_copy(|| {
        act();
        true
    });
    libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
}

/// How a copy of this process ended that asked the question, as `waitpid` tells it.
fn end_of_a_copy(question: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the listings that ask have a single thread, so the copy is complete.
    let copy = unsafe { libc::fork() };
    assert!(copy >= 0, "the system has no room for a copy of this process");
    if copy == 0 {
        // SAFETY: _exit ends the copy at once: nothing of the original is cleaned up twice.
        unsafe { libc::_exit(question().into()) }
    }
    let mut status = 0;
    // SAFETY: waits for the copy, and writes how it ended to `status`.
    unsafe { libc::waitpid(copy, &raw mut status, 0) };
    status
}

/// The first number in the range for which the answer is yes, where it is no below and yes above. Each question is asked in a
/// copy of this process.
pub fn first_in(mut range: Range<usize>, question: impl Fn(usize) -> bool) -> usize {
    while !range.is_empty() {
        let middle = range.start.midpoint(range.end);
        if in_a_copy(|| question(middle)) {
            range.end = middle;
        } else {
            range.start = middle + 1;
        }
    }
    range.start
}
