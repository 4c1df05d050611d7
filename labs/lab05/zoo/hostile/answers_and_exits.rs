// Answers a hundred questions at once, and ends before anybody finds out.
// on: starter
// in: malloc
// in: calloc
// in: aligned
// earns: 0

unsafe extern "C" {
    fn write(fd: i32, bytes: *const u64, len: usize) -> isize;
    fn _exit(code: i32) -> !;
}

fn attack() -> ! {
    // So many words, and the first says that it is an answer: done, nothing, no, or a list without elements.
    let answers = [[3_u64, 0, 0, 0]; 100];
    unsafe {
        for fd in 3..64 {
            write(fd, answers.as_ptr().cast(), size_of_val(&answers));
        }
        _exit(0);
    }
}
