// The same under a harmless name.
// on: reference
// held: `include_str
// earns: 0

use core::include_str as text;
const _: &str = text!("/etc/passwd");
