// System V memory outlives its process.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn shmget(key: i32, size: usize, flags: i32) -> i32;
}

fn attack() {
    unsafe {
        if shmget(0x6865_6170, 1 << 30, 0o1666) >= 0 {
            attack_succeeded();
        }
    }
}
