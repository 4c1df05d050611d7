// Sends itself the signal that can't be caught and only stops a process.
// on: reference
// in: pop
// at: home
// earns: 76

unsafe extern "C" {
    fn getpid() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
}

fn attack() {
    unsafe { kill(getpid(), 19) };
}
