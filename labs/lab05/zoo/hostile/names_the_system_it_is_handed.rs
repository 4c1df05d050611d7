// Knows the system behind the trait it is handed, and tells it to refuse nothing.
// on: reference
// held: `heapkit`
// held: `SimOs`
// earns: 100

fn attack() {
    fn tell(os: &heapkit::os::SimOs) {
        os.refuse(heapkit::os::Refusal::Nothing);
    }
    let _ = tell;
}
