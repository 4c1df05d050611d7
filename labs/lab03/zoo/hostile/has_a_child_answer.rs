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
    const CLONE: i64 = if cfg!(target_arch = "x86_64") { 56 } else { 220 };
    const CLONE_PARENT_AND_SIGCHLD: u64 = 0x8011;
    unsafe {
        if fork() >= 0 || syscall(CLONE, CLONE_PARENT_AND_SIGCHLD, 0, 0, 0, 0) >= 0 || vfork() >= 0 {
            attack_succeeded();
        }
    }
}
