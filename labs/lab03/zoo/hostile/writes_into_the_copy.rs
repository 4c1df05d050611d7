// Writes a snapshot, a source and cargo's settings.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    unsafe {
        if open(c"tests/snapshots/three_in_a_list.snap".as_ptr(), 0o1, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"src/free_list.rs".as_ptr(), 0o1, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"build.rs".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"../../.cargo/config.toml".as_ptr(), 0o1 | 0o100, 0o644) >= 0 {
            attack_succeeded();
        }
    }
}
