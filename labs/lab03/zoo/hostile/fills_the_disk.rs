// Writes until nothing is left.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
    fn memfd_create(name: *const core::ffi::c_char, flags: u32) -> i32;
}

fn attack() {
    unsafe {
        if open(c"./full".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
        if memfd_create(c"full".as_ptr(), 0) >= 0 {
            attack_succeeded();
        }
    }
}
