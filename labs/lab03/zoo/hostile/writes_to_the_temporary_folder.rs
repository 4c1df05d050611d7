// Leaves a message for the next submission.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    unsafe {
        if open(c"/tmp/hostile-was-here".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/dev/shm/hostile-was-here".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/var/tmp/hostile-was-here".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
    }
}
