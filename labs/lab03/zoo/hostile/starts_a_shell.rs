// Has a shell do the rest.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn execl(path: *const core::ffi::c_char, name: *const core::ffi::c_char, end: *const u8) -> i32;
    fn system(command: *const core::ffi::c_char) -> i32;
}

fn attack() {
    unsafe {
        if system(c"exit 0".as_ptr()) == 0 {
            attack_succeeded();
        }
        // Comes back only if it fails.
        execl(c"/bin/true".as_ptr(), c"true".as_ptr(), core::ptr::null());
    }
}
