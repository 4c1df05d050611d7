// Two threads that push at once lose a chunk: a list stays where it is.
fn needs_send<T: Send>(_: T) {}
fn needs_sync<T: Sync>(_: &T) {}

fn send(list: lab03::FreeList, heap: lab03::ListHeap) {
    needs_sync(&list);
    needs_sync(&heap);
    needs_send(list);
    needs_send(heap);
}

fn main() {}
