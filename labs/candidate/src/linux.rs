//! A malloc on this process's own system.

use heapkit::memory::ThisProcess;
use heapkit::os::{LinuxOs, Os};
use heapkit::referee::{Allocator, Payloads};
use heapkit::workload;

/// Plays so many operations of every kind, drawn from the seed, on a malloc that uses [`LinuxOs`] and whose blocks are known by their
/// addresses. What a program notices, and at which operation. Nobody outside can see this memory: here alone the exam takes this
/// process's word.
pub fn play_on_linux(malloc: &mut dyn Allocator, seed: u64, steps: usize, most: usize) -> Option<(usize, String)> {
    // SAFETY: `Payloads` looks only at blocks that the malloc has handed out, and this function is the one that uses them.
    let memory = unsafe { ThisProcess::new() };
    let mut program = Payloads::new(&memory);
    for (step, op) in workload::random_of_all_kinds(seed, steps, 1..=most, 40).into_iter().enumerate() {
        if step == steps / 2 {
            // Other code of the process moves the break.
            // SAFETY: the break moves up, so nothing is given back.
            unsafe { LinuxOs.sbrk(1000) };
        }
        if let Err(violation) = program.play(malloc, op) {
            return Some((step, violation.what));
        }
    }
    program.free_all(malloc).err().map(|violation| (steps, violation.what))
}
