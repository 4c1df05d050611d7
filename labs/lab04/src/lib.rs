//! Lab 4, Fragmentation. You write `src/fragmentation.rs`; this file only decides which one is compiled.
//!
//! `cargo test -p lab04` grades your file on top of your labs 2 and 3, `--features given` on top of their references;
//! `--features solution` grades the reference.
#![no_std]

#[cfg_attr(feature = "solution", path = "../solution/fragmentation.rs")]
// While a body says `todo!()`, its arguments and some imports are unused.
#[cfg_attr(not(feature = "solution"), allow(unused))]
mod fragmentation;

pub use fragmentation::*;
