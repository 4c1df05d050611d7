//! The story of the whole malloc on Linux, with the reference of lab 5. For `strace`: it calls `getppid` before the story and
//! after it.

use heapkit::os::LinuxOs;
use heapkit::workload;
use lab05::Malloc;
use listings::story::{STORY, Whole};

fn main() -> Result<(), String> {
    let ops = workload::parse(STORY).map_err(|e| e.to_string())?;
    let mut malloc = Malloc::new(LinuxOs);
    let mut blocks = [None; 16];
    // SAFETY: getppid only asks.
    unsafe { libc::getppid() };
    for op in ops {
        // SAFETY: the blocks are this malloc's, and nobody else has them.
        unsafe { malloc.take(&mut blocks, op) };
    }
    // SAFETY: getppid only asks.
    unsafe { libc::getppid() };
    Ok(())
}
