// Two copies of a bump allocator would hand out the same bytes twice.
use heapkit::os::LinuxOs;
use lab01::Bump;

fn needs_copy<T: Copy>() {}
fn needs_clone<T: Clone>() {}

fn main() {
    needs_copy::<Bump<LinuxOs>>();
    needs_clone::<Bump<LinuxOs>>();
}
