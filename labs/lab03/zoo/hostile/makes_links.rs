// A link where the grader looks for a file.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn symlink(to: *const core::ffi::c_char, at: *const core::ffi::c_char) -> i32;
    fn link(to: *const core::ffi::c_char, at: *const core::ffi::c_char) -> i32;
    fn rename(from: *const core::ffi::c_char, to: *const core::ffi::c_char) -> i32;
}

fn attack() {
    unsafe {
        if symlink(c"/etc/passwd".as_ptr(), c"tests/snapshots/forged.snap".as_ptr()) == 0
            || link(c"lab.toml".as_ptr(), c"forged.toml".as_ptr()) == 0
            || rename(c"tests".as_ptr(), c"forged".as_ptr()) == 0
        {
            attack_succeeded();
        }
    }
}
