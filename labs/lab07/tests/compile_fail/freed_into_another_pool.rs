// A value goes back to its own pool.
use heapkit::os::LinuxOs;
use lab07::{Handle, Pool};

fn put_back<'red, 'blue>(number: Handle<'red, i32>, blue: &mut Pool<'blue, i32, LinuxOs>) {
    blue.free(number);
}

fn main() {}
