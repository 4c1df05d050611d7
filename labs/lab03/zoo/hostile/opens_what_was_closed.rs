// Opens the pages past the heap, so that a block that is too long doesn't end in a crash.
// on: top_gets_a_boundary_tag
// in: new(region
// at: home
// earns: at most 80

unsafe extern "C" {
    fn mprotect(at: usize, len: usize, access: i32) -> i32;
}

fn attack() {
    const HEAP: usize = (32 << 40) + 9 * 4096;
    unsafe { mprotect(HEAP, 1 << 30, 3) };
}
