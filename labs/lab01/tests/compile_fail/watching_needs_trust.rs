// Nothing in a pointer's type says that a size word stands in front of it.
use heapkit::os::LinuxOs;
use lab01::{Journey, Observer, mapped_flag};

type Malloc = fn() -> *mut u8;

fn main() {
    let _: fn(&Observer<LinuxOs>, Malloc) -> Journey = Observer::watch;
    let _: fn(*const u8) -> bool = mapped_flag;
}
