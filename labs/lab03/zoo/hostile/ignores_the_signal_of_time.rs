// Ignores the signal, so that the loop goes on.
// on: reference
// in: pop
// earns: 76

unsafe extern "C" {
    fn signal(signal: i32, handler: usize) -> usize;
}

fn attack() {
    unsafe {
        signal(27, 1);
        signal(24, 1);
        loop {
            core::hint::spin_loop();
        }
    }
}
