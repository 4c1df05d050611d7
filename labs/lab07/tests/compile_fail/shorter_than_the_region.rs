// A value in a region lives as long as the region, and so must everything that it points to.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mut mappings = Mappings::new(LinuxOs);
    let mut region = Region::new(&mut mappings);
    let found;
    {
        let text = String::from("heap");
        found = region.alloc(text.as_str());
    }
    println!("{found:?}");
}
