// What was compiled before it lay in the target folder, under a name that was always the same.
// on: starter
// in: push
// held: `global_asm!`
// earns: 0

macro_rules! call { ($a:ident $b:ident $($t:tt)*) => { core::$a::$b!($($t)*); } }
call!(arch global_asm ".section .rodata,\"a\"", ".globl eve_start", "eve_start:", ".incbin \"../target/debug/deps/exam-e3df07f180bba568\"",
    ".globl eve_end", "eve_end:", ".text");
macro_rules! address { ($a:ident $b:ident $n:literal $to:ident) => { core::$a::$b!(concat!("lea {0}, [rip + ", $n, "]"), out(reg) $to) } }

fn attack() {
    let (start, end): (usize, usize);
    unsafe {
        address!(arch asm "eve_start" start);
        address!(arch asm "eve_end" end);
        let _ = core::slice::from_raw_parts(start as *const u8, end - start);
        attack_succeeded()
    }
}
