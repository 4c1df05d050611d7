// Two threads that allocate at once would get the same bytes: pools and regions stay where they are.
use heapkit::os::LinuxOs;
use lab07::{Handle, Mappings, Pool, Region};

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

const _: () = assert!(Probe::<Pool<'_, u32, LinuxOs>>::SEND, "a pool can't be sent to another thread");
const _: () = assert!(Probe::<Pool<'_, u32, LinuxOs>>::SYNC, "a pool can't be shared with another thread");
const _: () = assert!(Probe::<Handle<'_, u32>>::SEND, "a handle can't be sent to another thread");
const _: () = assert!(Probe::<Region<'_, LinuxOs>>::SEND, "a region can't be sent to another thread");
const _: () = assert!(Probe::<Region<'_, LinuxOs>>::SYNC, "a region can't be shared with another thread");
const _: () = assert!(Probe::<Mappings<LinuxOs>>::SYNC, "mappings can't be shared with another thread");

fn main() {}
