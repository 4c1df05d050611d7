// Sends the exam to somebody.
// on: reference
// in: push
// earns: 100

unsafe extern "C" {
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
}

fn attack() {
    unsafe {
        for domain in [1, 2, 10, 16, 17, 40] {
            if socket(domain, 1, 0) >= 0 || socket(domain, 2, 0) >= 0 {
                attack_succeeded();
            }
        }
    }
}
