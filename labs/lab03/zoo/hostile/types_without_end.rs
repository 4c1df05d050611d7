// A type in a type in a type: the compiler needs ever more memory.
// on: reference
// earns: 0

trait Deep {
    fn deep();
}

impl<T> Deep for T {
    fn deep() {
        <(T, T) as Deep>::deep()
    }
}

pub fn start() {
    <u8 as Deep>::deep()
}
