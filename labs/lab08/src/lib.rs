//! Lab 8, Ship it. You write `src/shared.rs`; this file only decides which one is compiled.
//!
//! `cargo test -p lab08` grades your file; `--features solution` grades the reference. With `--features given` it builds on
//! the references of the earlier labs.
#![no_std]

#[cfg_attr(feature = "solution", path = "../solution/shared.rs")]
// While a body says `todo!()`, its arguments and some imports are unused.
#[cfg_attr(not(feature = "solution"), allow(unused))]
mod shared;

pub use shared::*;
