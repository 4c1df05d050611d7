// A lock hands its value from one thread to the next one: that has to be a value that may be sent.
use lab08::Lock;
use std::rc::Rc;

fn is_shared<T: Sync>() {}

fn main() {
    is_shared::<Lock<u32>>();
    is_shared::<Lock<Rc<u32>>>();
}
