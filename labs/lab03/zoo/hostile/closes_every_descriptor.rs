// Without its recorder a case can't prove anything.
// on: reference
// in: pop
// held: `extern`
// earns: at most 86

unsafe extern "C" {
    fn close(fd: i32) -> i32;
}

fn attack() {
    unsafe {
        for fd in 0..64 {
            close(fd);
        }
    }
}
