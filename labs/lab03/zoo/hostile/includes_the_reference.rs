// Hands in nothing, and prints the reference with a compile error.
// on: reference
// held: `include_str!`
// earns: 0

const _: &str = include_str!("../solution/free_list.rs");
