// Threads that never end.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn pthread_create(thread: *mut usize, how: *const u8, run: extern "C" fn(usize) -> usize, with: usize) -> i32;
    fn pause() -> i32;
}

fn attack() {
    unsafe {
        extern "C" fn wait(_: usize) -> usize {
            loop {
                unsafe { pause() };
            }
        }
        use core::sync::atomic::{AtomicUsize, Ordering};
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let mut thread = 0;
        while STARTED.fetch_add(1, Ordering::Relaxed) < 100 {
            pthread_create(&raw mut thread, core::ptr::null(), wait, 0);
        }
    }
}
