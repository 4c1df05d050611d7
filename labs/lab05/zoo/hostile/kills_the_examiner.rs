// The same as in lab 3, where the examiner is asked for memory too.
// on: reference
// in: trim
// earns: 100

unsafe extern "C" {
    fn getppid() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
}

fn attack() {
    unsafe {
        if kill(getppid(), 0) == 0 || kill(1, 0) == 0 || kill(0, 0) == 0 {
            attack_succeeded();
        }
    }
}
