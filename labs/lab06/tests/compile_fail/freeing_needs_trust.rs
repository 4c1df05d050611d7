// Nothing in a pointer's type says that it is a block of this malloc, or that nobody uses it any more.
use heapkit::os::LinuxOs;
use lab06::FastMalloc;
use std::ptr::NonNull;

fn main() {
    let _: fn(&mut FastMalloc<LinuxOs>, NonNull<u8>, usize) -> Option<NonNull<u8>> = FastMalloc::realloc;
    let _: fn(&mut FastMalloc<LinuxOs>, NonNull<u8>) = FastMalloc::free;
}
