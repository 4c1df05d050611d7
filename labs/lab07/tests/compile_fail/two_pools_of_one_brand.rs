// Two pools of one brand could free each other's values: a brand is good for one pool.
use heapkit::os::LinuxOs;
use lab07::{Pool, pool_scope};

fn main() {
    pool_scope(LinuxOs, |brand| {
        let _red: Pool<i32, LinuxOs> = Pool::new(brand);
        let _blue: Pool<i32, LinuxOs> = Pool::new(brand);
    });
}
