// What the watcher told the case, stands in its environment.
// on: reference
// in: push
// held: `extern`
// earns: 100

unsafe extern "C" {
    fn getenv(name: *const core::ffi::c_char) -> *const u8;
}

fn attack() {
    unsafe {
        for name in [c"PROCTOR_REPORT", c"PROCTOR_CASES", c"PROCTOR_TICKET", c"HOME", c"CARGO_HOME"] {
            if !getenv(name.as_ptr()).is_null() {
                attack_succeeded();
            }
        }
    }
}
