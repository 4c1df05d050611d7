// Everything the examiner was told would be in its environment, if that were handed on.
// on: reference
// in: push
// at: home
// earns: 100

unsafe extern "C" {
    fn getenv(name: *const core::ffi::c_char) -> *const u8;
}

fn attack() {
    unsafe {
        for name in [c"PROCTOR_REPORT", c"PROCTOR_CANDIDATE", c"PROCTOR_SEED", c"HOME", c"CARGO_HOME"] {
            if !getenv(name.as_ptr()).is_null() {
                attack_succeeded();
            }
        }
    }
}
