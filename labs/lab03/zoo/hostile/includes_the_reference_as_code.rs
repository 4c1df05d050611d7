// The same, by inclusion.
// on: nothing
// held: `include!`
// earns: 0

include!("../solution/free_list.rs");
