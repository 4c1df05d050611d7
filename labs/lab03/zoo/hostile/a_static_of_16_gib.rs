// The compiler is asked for more than a machine has.
// on: reference
// earns: 0

pub static HUGE: [u8; 1 << 34] = [1; 1 << 34];
