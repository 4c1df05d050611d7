// The reference of lab 2 is compiled into the exam: its source must be somewhere near.
// on: reference
// held: `include_bytes!`
// earns: 0

const _: &[u8] = include_bytes!("../../lab02/solution/chunk.rs");
