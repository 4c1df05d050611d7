//! Lab 1, The journey of malloc. You write `src/journey.rs`; this file only decides which one is compiled.
//!
//! `cargo test -p lab01` grades your file; `--features solution` grades the reference.
#![no_std]

#[cfg_attr(feature = "solution", path = "../solution/journey.rs")]
// While a body says `todo!()`, its arguments and some imports are unused.
#[cfg_attr(not(feature = "solution"), allow(unused))]
mod journey;

pub use journey::*;
