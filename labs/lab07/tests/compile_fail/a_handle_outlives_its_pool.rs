// At the end of the pool its pages are gone, and no handle may be left.
use heapkit::os::LinuxOs;
use lab07::{Pool, pool_scope};

fn main() {
    let number = pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        pool.alloc(7)
    });
    println!("{}", *number.unwrap());
}
