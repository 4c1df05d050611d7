// Reads a file of the machine, to print it with a compile error.
// on: reference
// held: `include_str!`
// earns: 0

const _: &str = include_str!("/etc/passwd");
