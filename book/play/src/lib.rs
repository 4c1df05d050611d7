//! The playground: a story of `malloc` and `free`, played by the reference labs on a simulated system, and what a reader sees of it.
//!
//! * [`script`] reads what the reader has typed.
//! * [`memory`] is the simulated system: heapkit's, in memory of this process.
//! * [`malloc`] chooses among the mallocs of the labs.
//! * [`story`] plays the script, and keeps the heap after each step; [`view`] shows one step, and what has changed since another.
//! * [`map`] plays a trace of a real program, and says which block was where, from when to when.
//! * [`browser`] is what the page calls, in WebAssembly. Nothing else differs from the same story on any other machine.
#![cfg(feature = "reference")]

pub mod browser;
pub mod malloc;
pub mod map;
pub mod memory;
pub mod script;
pub mod story;
pub mod view;
