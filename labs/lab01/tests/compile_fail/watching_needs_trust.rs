// Nothing in a pointer's type says that a size word stands in front of it.
use heapkit::os::LinuxOs;
use lab01::{Observer, mapped_flag};

fn main() {
    let observer = Observer::new(LinuxOs);
    let journey = observer.watch(std::ptr::null_mut);
    let _ = mapped_flag(journey.payload);
}
