// Nothing in a pointer's type says that it is a block of this malloc, or that nobody uses it any more.
use heapkit::os::LinuxOs;
use lab05::Malloc;
use std::ptr::NonNull;

fn main() {
    let _: fn(&mut Malloc<LinuxOs>, NonNull<u8>, usize) -> Option<NonNull<u8>> = Malloc::realloc;
    let _: fn(&mut Malloc<LinuxOs>, NonNull<u8>) = Malloc::free;
}
