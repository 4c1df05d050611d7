// Attributes of files are a place for messages, and the newest calls stand on nobody's list.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn syscall(number: i64, a: i64, b: *const u8, c: i64, d: *const u8, e: *const u8, f: i64) -> i64;
    fn getppid() -> i32;
    fn sched_setaffinity(process: i32, len: usize, mask: *const u64) -> i32;
}

fn attack() {
    const SETXATTRAT: i64 = 463;
    const FILE_SETATTR: i64 = 469;
    const HERE: i64 = -100;
    let (path, name, value) = (c"/tmp".as_ptr().cast(), c"user.hostile".as_ptr().cast(), b"was here");
    let arguments = [value.as_ptr().addr(), value.len()];
    let flags = [0_u64; 4];
    // SAFETY: it has none.
    unsafe {
        if syscall(SETXATTRAT, HERE, path, 0, name, arguments.as_ptr().cast(), 16) == 0
            || syscall(FILE_SETATTR, HERE, path, flags.as_ptr().addr() as i64, 24 as *const u8, core::ptr::null(), 0) == 0
            || sched_setaffinity(getppid(), 8, &1) == 0
        {
            attack_succeeded();
        }
    }
}
