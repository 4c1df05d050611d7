// A value that was freed is gone.
use heapkit::os::LinuxOs;
use lab07::{Pool, pool_scope};

fn main() {
    pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        let Ok(number) = pool.alloc(7) else { return };
        pool.free(number);
        println!("{}", *number);
    });
}
