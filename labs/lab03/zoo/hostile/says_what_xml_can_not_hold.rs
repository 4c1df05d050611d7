// A message with characters that no XML may have.
// on: reference
// in: pop
// earns: 76

fn attack() {
    panic!("a \u{ffff} \u{fffe} b")
}
