// What an inner region held is free when the outer one goes on.
use heapkit::os::LinuxOs;
use lab07::{Mappings, Region};

fn main() {
    let mut mappings = Mappings::new(LinuxOs);
    let mut region = Region::new(&mut mappings);
    let scratch = region.nested().alloc(7);
    let result = region.alloc(8);
    println!("{scratch:?} {result:?}");
}
