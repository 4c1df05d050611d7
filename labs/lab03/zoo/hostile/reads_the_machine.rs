// Looks for keys and passwords.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    unsafe {
        if open(c"/etc/passwd".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/root/.bashrc".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/root/.cargo/config.toml".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/proc/1/cmdline".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
        if open(c"/".as_ptr(), 0, 0o644) >= 0 {
            attack_succeeded();
        }
    }
}
