// A handle is the only way to its value, so it can't be copied.
use heapkit::os::LinuxOs;
use lab07::{Handle, Pool, pool_scope};

struct Counter(u32);

fn main() {
    pool_scope(LinuxOs, |brand| {
        let mut pool = Pool::new(brand);
        let Ok(counter) = pool.alloc(Counter(0)) else { return };
        let second: Handle<'_, Counter> = counter.clone();
        pool.free(counter);
        pool.free(second);
    });
}
