// A reference into a slot ends before the slot is freed.
use heapkit::os::LinuxOs;
use lab07::{Pool, pool_scope};

fn main() {
    pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        let Ok(name) = pool.alloc([104, 101, 97, 112]) else { return };
        let first = &name[0];
        pool.free(name);
        println!("{first}");
    });
}
