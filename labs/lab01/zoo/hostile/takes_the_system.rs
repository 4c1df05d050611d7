// Lab 1 is handed a system. It takes the real one instead.
// on: reference
// in: alloc
// earns: 100

use heapkit::os::LinuxOs;

fn attack() {
    let _ = LinuxOs;
}
