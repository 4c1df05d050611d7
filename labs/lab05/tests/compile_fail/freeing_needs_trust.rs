// Nothing in a pointer's type says that it is a block of this malloc, or that nobody uses it any more.
use heapkit::os::LinuxOs;
use lab05::Malloc;

fn main() {
    let mut malloc = Malloc::new(LinuxOs);
    let Some(block) = malloc.malloc(100) else { return };
    let Some(block) = malloc.realloc(block, 200) else { return };
    malloc.free(block);
}
