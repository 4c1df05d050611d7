// Uses no processor time, and all the patience.
// on: reference
// in: pop
// earns: 76

unsafe extern "C" {
    fn pause() -> i32;
}

fn attack() {
    unsafe {
        loop {
            pause();
        }
    }
}
