// Prints 32 MiB.
// on: reference
// in: pop
// earns: 100

unsafe extern "C" {
    fn write(fd: i32, text: *const u8, len: usize) -> isize;
}

fn attack() {
    unsafe {
        let words = [b'x'; 1 << 16];
        for _ in 0..512 {
            write(1, words.as_ptr(), words.len());
            write(2, words.as_ptr(), words.len());
        }
    }
}
