// No type says that a chunk is in no list, or that a block came from this heap.
use lab02::Chunk;
use lab03::FreeList;
use lab04::CoalescingHeap;
use std::ptr::NonNull;

fn misuse(mut chunk: Chunk, other: Chunk, heap: &mut CoalescingHeap, payload: NonNull<u8>) {
    let _ = lab04::split(&mut chunk, 32);
    lab04::join(&mut chunk, other);
    heap.free(payload);
}

fn take_back(chunk: Chunk, list: &mut FreeList, top: &mut Chunk) {
    lab04::coalesce(chunk, list, top);
}

fn main() {}
