// Reads the cases while it is compiled. They are no secret, but a lab has no use for them.
// on: reference
// held: `include_str!`
// earns: 100

const _: &str = include_str!("../tests/exam.rs");
