// Nobody locks a cache, so two threads must never have the same one: it is neither shared nor copied.
use lab08::Cache;

struct Probe<T>(std::marker::PhantomData<T>);

trait No {
    const SYNC: bool = false;
    const SEND: bool = false;
    const CLONE: bool = false;
}

impl<T> No for Probe<T> {}

impl<T: Sync> Probe<T> {
    const SYNC: bool = true;
}

impl<T: Send> Probe<T> {
    const SEND: bool = true;
}

impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}

const _: () = assert!(Probe::<Cache>::SYNC, "a cache can't be shared with another thread");
const _: () = assert!(Probe::<Cache>::SEND, "a cache can't be sent to another thread");
const _: () = assert!(Probe::<Cache>::CLONE, "a cache can't be copied");

fn main() {}
