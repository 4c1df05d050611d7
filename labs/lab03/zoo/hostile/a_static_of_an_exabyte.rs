// The linker is asked for more than any disk has.
// on: reference
// earns: 0

pub static HUGE: [u8; 1 << 60] = [1; 1 << 60];
