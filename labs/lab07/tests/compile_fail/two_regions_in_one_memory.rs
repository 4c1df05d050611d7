// Two regions in the same memory would hand out the same bytes.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mut mappings = Mappings::new(LinuxOs);
    let mut first = Region::new(&mut mappings);
    let mut second = Region::new(&mut mappings);
    first.alloc(7);
    second.alloc(8);
}
