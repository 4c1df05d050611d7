// A region runs no destructor, so the text of this `String` would never be freed.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mut mappings = Mappings::new(LinuxOs);
    let mut region = Region::new(&mut mappings);
    region.alloc(String::from("heap"));
}
