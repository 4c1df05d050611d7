// A process of its own, in a session of its own, would outlive the exam.
// on: reference
// in: alloc
// earns: 100

unsafe extern "C" {
    fn fork() -> i32;
    fn setsid() -> i32;
    fn setpgid(process: i32, group: i32) -> i32;
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    unsafe {
        if fork() >= 0 || setsid() >= 0 || setpgid(0, 0) == 0 || open(c"/etc/passwd".as_ptr(), 0, 0) >= 0 {
            attack_succeeded();
        }
    }
}
