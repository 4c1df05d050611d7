//! Lab 7, Pools and regions. You write `src/pools.rs`; this file only decides which one is compiled.
//!
//! `cargo test -p lab07` grades your file; `--features solution` grades the reference.
#![no_std]

#[cfg_attr(feature = "solution", path = "../solution/pools.rs")]
// While a body says `todo!()`, its arguments and some imports are unused.
#[cfg_attr(not(feature = "solution"), allow(unused))]
mod pools;

pub use pools::*;
