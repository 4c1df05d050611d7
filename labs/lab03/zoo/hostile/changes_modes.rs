// Landlock knows nothing of modes: a file that can't be read any more is as good as gone.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn chmod(path: *const core::ffi::c_char, mode: u32) -> i32;
    fn utimes(path: *const core::ffi::c_char, times: *const u8) -> i32;
}

fn attack() {
    unsafe {
        if chmod(c"lab.toml".as_ptr(), 0) == 0 || utimes(c"lab.toml".as_ptr(), core::ptr::null()) == 0 {
            attack_succeeded();
        }
    }
}
