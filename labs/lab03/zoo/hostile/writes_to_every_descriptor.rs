// One of them is the recorder; its first word says that the case is finished.
// on: best_fit_takes_the_first
// in: find
// held: `extern`
// earns: at most 80

unsafe extern "C" {
    fn write(fd: i32, text: *const u8, len: usize) -> isize;
    fn pwrite(fd: i32, text: *const u8, len: usize, at: i64) -> isize;
}

fn attack() {
    unsafe {
        let ones = [1_u8; 8];
        for fd in 3..64 {
            pwrite(fd, ones.as_ptr(), 8, 0);
            write(fd, ones.as_ptr(), 8);
        }
    }
}
