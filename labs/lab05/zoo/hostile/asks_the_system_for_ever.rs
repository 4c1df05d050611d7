// Every call of the system is a question to the examiner: asks until it is tired.
// on: reference
// in: realloc
// earns: at most 100

unsafe extern "C" {
    fn write(fd: i32, bytes: *const u64, len: usize) -> isize;
    fn read(fd: i32, bytes: *mut u64, len: usize) -> isize;
}

fn attack() {
    // A call of sbrk(0), and its answer: nothing to open or close, where the break is, and that this was granted.
    let ask = [2_u64, 1, 0];
    let mut answer = [0_u64; 5];
    unsafe {
        loop {
            for fd in 3..16 {
                if write(fd, ask.as_ptr(), size_of_val(&ask)) > 0 {
                    read(fd, answer.as_mut_ptr(), size_of_val(&answer));
                }
            }
        }
    }
}
