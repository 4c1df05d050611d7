// A whole function in assembly.
// on: reference
// held: `global_asm!`
// earns: 100

core::arch::global_asm!(".globl hostile", "hostile:", "ret");
