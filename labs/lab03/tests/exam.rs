#[test]
fn x() { unsafe { std::env::set_var("CARGO_MANIFEST_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile_fail")); }
std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compile_fail")).unwrap();
let t = trybuild::TestCases::new(); t.compile_fail("*.rs"); }
