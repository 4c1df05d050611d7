// What the next submission is linked with, stands beside this program.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
    fn readlink(path: *const core::ffi::c_char, to: *mut u8, len: usize) -> isize;
}

fn attack() {
    unsafe {
        let mut path = [0_u8; 4096];
        let len = readlink(c"/proc/self/exe".as_ptr(), path.as_mut_ptr(), 4000);
        let Ok(len) = usize::try_from(len) else { return };
        path[len] = b'2';
        if open(path.as_ptr().cast(), 0o1 | 0o100, 0o755) >= 0 {
            attack_succeeded();
        }
    }
}
