// The name is put together by a macro.
// on: reference
// held: `include_str!`
// earns: 0

macro_rules! call {
    ($name:ident, $path:literal) => {
        core::$name!($path)
    };
}
const _: &str = call!(include_str, "../solution/free_list.rs");
