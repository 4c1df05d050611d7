// Is never silent for long enough to be asleep, and never done.
// on: reference
// in: pop
// earns: 76

unsafe extern "C" {
    fn write(fd: i32, bytes: *const u8, len: usize) -> isize;
    fn usleep(microseconds: u32) -> i32;
}

fn attack() {
    unsafe {
        for byte in [0, 0, 1, 0, 0, 0, 0, 0].into_iter().chain(core::iter::repeat(0)) {
            for fd in 3..64 {
                write(fd, &byte, 1);
            }
            usleep(50_000);
        }
    }
}
