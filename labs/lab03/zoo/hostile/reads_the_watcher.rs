// The verdict is made in the parent's memory.
// on: reference
// in: push
// held: `extern`
// earns: 100

unsafe extern "C" {
    fn getppid() -> i32;
    fn ptrace(request: i64, process: i32, address: usize, data: usize) -> i64;
    fn process_vm_readv(p: i32, l: *const [usize; 2], n: usize, r: *const [usize; 2], m: usize, f: usize) -> isize;
}

fn attack() {
    unsafe {
        let mut word = 0_usize;
        let here = [(&raw mut word).addr(), 8];
        let there = [attack as fn() as usize, 8];
        if ptrace(16, getppid(), 0, 0) == 0 || process_vm_readv(getppid(), &here, 1, &there, 1, 0) > 0 {
            attack_succeeded();
        }
    }
}
