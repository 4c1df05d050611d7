// The file is empty but for the path of the reference.
// on: nothing
// held: `#[path]`
// held: `mod …;`
// earns: 0

#[path = "../solution/free_list.rs"]
mod reference;
pub use reference::*;
