// Ends the process at once, with 0.
// on: reference
// in: find
// earns: 38

unsafe extern "C" {
    fn _exit(code: i32) -> !;
}

fn attack() {
    unsafe {
        _exit(0);
    }
}
