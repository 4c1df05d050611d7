// The feature says who compiles it. That is no secret, and no use.
// on: reference
// earns: 100

#[cfg(feature = "given")]
const GRADED: bool = true;
#[cfg(not(feature = "given"))]
const GRADED: bool = false;
const _: () = assert!(GRADED);
