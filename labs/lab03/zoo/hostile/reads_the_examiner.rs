// The verdict is made in the parent's memory.
// on: reference
// in: push
// at: home
// earns: at most 100

unsafe extern "C" {
    fn getppid() -> i32;
    fn ptrace(request: i64, process: i32, address: usize, data: usize) -> i64;
    fn process_vm_readv(p: i32, l: *const [usize; 2], n: usize, r: *const [usize; 2], m: usize, f: usize) -> isize;
    fn syscall(number: i64, a: i64, b: i64, c: i64) -> i64;
    fn open(path: *const core::ffi::c_char, flags: i32, mode: u32) -> i32;
    fn snprintf(to: *mut core::ffi::c_char, len: usize, text: *const core::ffi::c_char, ...) -> i32;
}

fn attack() {
    const PIDFD_OPEN: i64 = 434;
    unsafe {
        let mut word = 0_usize;
        let here = [(&raw mut word).addr(), 8];
        let there = [attack as fn() as usize, 8];
        if ptrace(16, getppid(), 0, 0) == 0
            || process_vm_readv(getppid(), &here, 1, &there, 1, 0) > 0
            || syscall(PIDFD_OPEN, getppid().into(), 0, 0) >= 0
        {
            attack_succeeded();
        }
        for (name, access) in [(c"mem", 0), (c"mem", 2), (c"maps", 0), (c"environ", 0), (c"fd/3", 0), (c"fd/4", 2)] {
            let mut path = [0; 64];
            snprintf(path.as_mut_ptr(), path.len(), c"/proc/%d/%s".as_ptr(), getppid(), name.as_ptr());
            if open(path.as_ptr(), access, 0) >= 0 {
                attack_succeeded();
            }
        }
    }
}
