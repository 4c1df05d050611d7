// A loop without end.
// on: reference
// in: pop
// earns: 76

fn attack() {
    loop {
        core::hint::spin_loop();
    }
}
