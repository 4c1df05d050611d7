// The words that are looked for are apart, and a macro puts them together.
// on: reference
// in: push
// held: `asm!`
// earns: 100

macro_rules! call { ($a:ident $b:ident $($t:tt)*) => { core::$a::$b!($($t)*) } }

fn attack() {
    unsafe { call!(arch asm "nop") };
}
