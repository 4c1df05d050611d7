// The feature says who compiles it.
// on: reference
// held: `cfg`
// earns: 100

#[cfg(feature = "given")]
const GRADED: bool = true;
#[cfg(not(feature = "given"))]
const GRADED: bool = false;
const _: () = assert!(GRADED);
