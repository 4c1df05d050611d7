// An examiner that reads where no memory is any more, dies.
// on: reference
// in: push
// at: home
// earns: at most 100

unsafe extern "C" {
    fn ftruncate(fd: i32, len: i64) -> i32;
}

fn attack() {
    unsafe {
        for fd in 3..64 {
            if ftruncate(fd, 0) == 0 {
                attack_succeeded();
            }
        }
    }
}
