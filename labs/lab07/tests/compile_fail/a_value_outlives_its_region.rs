// When the memory goes back to the system, no reference into it may be left.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let name;
    {
        let mut mappings = Mappings::new(LinuxOs);
        let mut region = Region::new(&mut mappings);
        name = region.alloc_str("heap");
    }
    println!("{name:?}");
}
