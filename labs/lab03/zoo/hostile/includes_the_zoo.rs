// The zoo has right answers too.
// on: reference
// held: `include_str!`
// earns: 0

const _: &str = include_str!("../zoo/right/picks_by_key.patch");
