// A panic in a Drop during a panic ends the process at once.
// on: reference
// in: pop
// earns: 76

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("twice");
    }
}

fn attack() {
    let _bomb = Bomb;
    panic!("once");
}
