// A message that clears the screen and renames the window, with markup for whoever shows it.
// on: reference
// in: pop
// earns: 76

fn attack() {
    panic!("\u{1b}[2J\u{1b}]0;100 of 100\u{7}</failure><script>alert(1)</script> ]]> \u{202e}");
}
