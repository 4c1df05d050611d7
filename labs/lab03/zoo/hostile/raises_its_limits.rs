// Whoever is root may.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn setrlimit(resource: i32, limit: *const [u64; 2]) -> i32;
    fn unshare(flags: i32) -> i32;
}

fn attack() {
    unsafe {
        let endless = [u64::MAX; 2];
        if setrlimit(9, &endless) == 0 || setrlimit(0, &endless) == 0 || unshare(0x1000_0000) == 0 {
            attack_succeeded();
        }
    }
}
