//! Overwrites a link of a freed block. glibc notices when it takes the chunk out of its list.

use listings::block::{free, malloc};

fn main() {
    let [a, b, _keeper] = [2000; 3].map(malloc);
    // SAFETY: none: writing to a freed block breaks the rule, and that is what this listing is about. glibc finds out when it
    // joins `a` and `b`: for that it takes `a` out of its list.
    unsafe {
        free(a);
        let fd = a.cast::<*mut u8>();
        fd.write_volatile(a.wrapping_byte_sub(16));
        free(b);
    }
    println!("nobody noticed");
}
