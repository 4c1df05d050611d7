// A region has its memory for itself: a shared reference isn't enough.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mappings = Mappings::new(LinuxOs);
    let mut first = Region::new(&mappings);
    let mut second = Region::new(&mappings);
    first.alloc(7);
    second.alloc(8);
}
