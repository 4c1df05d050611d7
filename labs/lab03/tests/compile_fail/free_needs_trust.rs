// No type says that a block came from this heap and has not been freed before.
use lab03::ListHeap;
use std::ptr::NonNull;

fn misuse(heap: &mut ListHeap, payload: NonNull<u8>) {
    heap.free(payload);
}

fn main() {}
