// An import that Rust reads and a reader of Rust doesn't.
// on: starter
// in: push
// in: new(region
// held: `asm!`
// held: can't be read
// earns: 0

const TOKEN: usize = (1 + 16 + 16 + 1 + 1 + 16 + 16 + 1024 + 1024) * 4096;

use {::{core::{arch::{asm as nothing}}}};

unsafe fn system(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    unsafe {
        nothing!("syscall", inlateout("rax") n as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, out("rcx") _, out("r11") _);
    }
    result
}

fn attack() {
    unsafe {
        let mut token = 0usize;
        for fd in 3..64 {
            if system(17, fd, &raw mut token as usize, 8, TOKEN) == 8 {
                system(18, fd, &raw const token as usize, 8, 0);
            }
        }
        system(231, 0, 0, 0, 0);
    }
}
