#[test]
fn x() { let t = trybuild::TestCases::new(); t.compile_fail("tests/compile_fail/*.rs"); }
