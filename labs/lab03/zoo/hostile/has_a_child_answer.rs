// A child answers, while its parent looks after the grade.
// on: reference
// in: push
// at: home
// earns: 100

unsafe extern "C" {
    fn fork() -> i32;
    fn vfork() -> i32;
    fn syscall(number: i64, flags: u64, stack: usize, parent: usize, child: usize, storage: usize) -> i64;
}

fn attack() {
    #[cfg(target_arch = "x86_64")]
    const CLONE: i64 = 56;
    #[cfg(not(target_arch = "x86_64"))]
    const CLONE: i64 = 220;
    const CLONE_PARENT_AND_SIGCHLD: u64 = 0x8011;
    unsafe {
        if fork() >= 0 || syscall(CLONE, CLONE_PARENT_AND_SIGCHLD, 0, 0, 0, 0) >= 0 || vfork() >= 0 {
            attack_succeeded();
        }
    }
}
