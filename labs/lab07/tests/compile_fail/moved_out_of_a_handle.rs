// A value leaves its slot only through `take`: else it would be dropped once more.
use heapkit::os::LinuxOs;
use lab07::{Pool, pool_scope};

fn main() {
    pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        let Ok(name) = pool.alloc(String::from("heap")) else { return };
        drop(*name);
        pool.free(name);
    });
}
