#![no_std]
#[cfg_attr(feature = "solution", path = "../solution/free_list.rs")]
mod free_list;
pub use free_list::*;
