// Calls the system without a function: the number of fork, and that of fork in the other numbering.
// on: reference
// in: push
// held: `asm!`
// earns: 100

#[cfg(target_arch = "x86_64")]
fn call(number: usize) -> isize {
    let result;
    unsafe { core::arch::asm!("syscall", inlateout("rax") number => result, out("rcx") _, out("r11") _) };
    result
}

#[cfg(not(target_arch = "x86_64"))]
fn call(_: usize) -> isize {
    -1
}

fn attack() {
    for number in [57, 0x4000_0000 + 57, 0x4000_0000 + 112, 112] {
        if call(number) >= 0 {
            attack_succeeded();
        }
    }
}
