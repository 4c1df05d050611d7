// The same, and ends before the case finds out.
// on: reference
// in: find
// held: `extern`
// earns: at most 48

unsafe extern "C" {
    fn pwrite(fd: i32, text: *const u8, len: usize, at: i64) -> isize;
    fn _exit(code: i32) -> !;
}

fn attack() {
    unsafe {
        let ones = [0xff_u8; 8];
        for fd in 3..64 {
            pwrite(fd, ones.as_ptr(), 8, 0);
        }
        _exit(0);
    }
}
