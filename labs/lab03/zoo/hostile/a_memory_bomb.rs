// Takes memory until there is none: of its own, and of a kind that is shared with nobody.
// on: reference
// in: pop
// earns: 100

unsafe extern "C" {
    fn mmap(at: usize, len: usize, access: i32, kind: i32, fd: i32, offset: i64) -> isize;
}

fn attack() {
    unsafe {
        // 64 GiB, a page of each touched.
        for _ in 0..64 {
            for kind in [0x22, 0x21] {
                let memory = mmap(0, 1 << 30, 3, kind, -1, 0);
                if memory != -1 {
                    core::ptr::with_exposed_provenance_mut::<u8>(memory.cast_unsigned()).write_volatile(1);
                }
            }
        }
    }
}
