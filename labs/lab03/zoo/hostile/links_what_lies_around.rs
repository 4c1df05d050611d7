// The linker takes any file for a library.
// on: reference
// held: `#[link]`
// earns: 0

#[link(name = "/etc/passwd", kind = "static", modifiers = "+verbatim")]
unsafe extern "C" {}
