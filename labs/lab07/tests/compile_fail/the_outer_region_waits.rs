// While an inner region is in use, the outer one would hand out the same bytes.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mut mappings = Mappings::new(LinuxOs);
    let mut region = Region::new(&mut mappings);
    let mut inner = region.nested();
    region.alloc(7);
    inner.alloc(8);
}
