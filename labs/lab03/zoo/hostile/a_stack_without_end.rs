// Calls itself.
// on: reference
// in: pop
// earns: 76

#[allow(unconditional_recursion)]
fn attack() {
    let room = core::hint::black_box([0_u8; 4096]);
    attack();
    core::hint::black_box(room);
}
