// Looks for the reference when it runs.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    unsafe {
        if open(c"solution/free_list.rs".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"../lab02/solution/chunk.rs".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
    }
}
