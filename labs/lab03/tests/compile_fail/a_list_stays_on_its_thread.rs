// Two threads that push at once lose a chunk: a list stays where it is.
use lab03::{FreeList, ListHeap};

struct Probe<T>(std::marker::PhantomData<T>);

trait No {
    const SEND: bool = false;
    const SYNC: bool = false;
}

impl<T> No for Probe<T> {}

impl<T: Send> Probe<T> {
    const SEND: bool = true;
}

impl<T: Sync> Probe<T> {
    const SYNC: bool = true;
}

const _: () = assert!(Probe::<FreeList>::SEND, "a list can't be sent to another thread");
const _: () = assert!(Probe::<FreeList>::SYNC, "a list can't be shared with another thread");
const _: () = assert!(Probe::<ListHeap>::SEND, "a heap can't be sent to another thread");
const _: () = assert!(Probe::<ListHeap>::SYNC, "a heap can't be shared with another thread");

fn main() {}
