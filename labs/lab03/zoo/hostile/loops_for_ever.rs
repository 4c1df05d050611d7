// A loop without end.
// on: reference
// in: pop
// earns: 86

fn attack() {
    loop {
        core::hint::spin_loop();
    }
}
