// Unmaps the memory under test, and maps other memory in its place.
// on: reference
// in: pop
// at: home
// earns: at most 100

unsafe extern "C" {
    fn mmap(at: usize, len: usize, access: i32, kind: i32, fd: i32, offset: i64) -> isize;
}

fn attack() {
    const HEAP: usize = (32 << 40) + 9 * 4096;
    unsafe { mmap(HEAP, 1 << 20, 3, 0x32, -1, 0) };
}
