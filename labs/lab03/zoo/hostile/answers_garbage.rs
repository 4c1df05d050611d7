// Answers with messages that never end, are far too long, or say nothing.
// on: reference
// in: find
// at: home
// earns: at most 80

unsafe extern "C" {
    fn write(fd: i32, bytes: *const u64, len: usize) -> isize;
}

fn attack() {
    use core::sync::atomic::{AtomicUsize, Ordering};
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let garbage: [&[u64]; 7] =
        [&[u64::MAX], &[0], &[1, 7], &[5, 1, 1, 2, 3, 4], &[4 << 20, 0], &[3, 0, 1, u64::MAX], &[2, 0, u64::MAX]];
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let words = garbage[(turn ^ (attack as fn() as usize >> 12)) % garbage.len()];
    unsafe {
        for fd in 3..64 {
            write(fd, words.as_ptr(), size_of_val(words));
        }
    }
}
