// Nothing in a type says that a thread has taken the lock, or that a pointer is a block that nobody uses any more.
use heapkit::os::LinuxOs;
use lab08::{Cache, Lock, SharedMalloc};
use std::ptr::NonNull;

fn main() {
    let _: fn(&Lock<u32>) = Lock::release;
    let _: fn(&SharedMalloc<LinuxOs>, &mut Cache, NonNull<u8>) = SharedMalloc::free;
    let _: fn(&SharedMalloc<LinuxOs>, &mut Cache, NonNull<u8>, usize) -> Option<NonNull<u8>> = SharedMalloc::realloc;
    let _: fn(&SharedMalloc<LinuxOs>) = SharedMalloc::after_fork;
}
