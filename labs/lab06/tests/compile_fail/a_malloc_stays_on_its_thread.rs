// Two threads that allocate at once get the same bytes: a malloc stays where it is, and there is one of it.
use heapkit::os::LinuxOs;
use lab06::FastMalloc;

struct Probe<T>(std::marker::PhantomData<T>);

trait No {
    const SEND: bool = false;
    const SYNC: bool = false;
    const CLONE: bool = false;
}

impl<T> No for Probe<T> {}

impl<T: Send> Probe<T> {
    const SEND: bool = true;
}

impl<T: Sync> Probe<T> {
    const SYNC: bool = true;
}

impl<T: Clone> Probe<T> {
    const CLONE: bool = true;
}

const _: () = assert!(Probe::<FastMalloc<LinuxOs>>::SEND, "a malloc can't be sent to another thread");
const _: () = assert!(Probe::<FastMalloc<LinuxOs>>::SYNC, "a malloc can't be shared with another thread");
const _: () = assert!(Probe::<FastMalloc<LinuxOs>>::CLONE, "a malloc can't be copied");

fn main() {}
