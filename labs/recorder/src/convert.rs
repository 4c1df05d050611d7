//! From calls with addresses to operations on numbered blocks.

use crate::log::Call;
use heapkit::workload::Op;
use std::collections::HashMap;

/// The operations that these calls are. Every block gets a number of its own, in order; the address it has is its name
/// only while it is alive.
///
/// A block that was there before the recording has no number. Its `free` is left out, and a `realloc` of it makes a block.
pub fn ops(calls: impl IntoIterator<Item = Call>) -> Vec<Op> {
    let mut blocks = Blocks::default();
    for call in calls {
        match call {
            Call::Malloc { size, new } | Call::Realloc { old: 0, size, new } => {
                blocks.make(new, |id| Op::Malloc { id, size });
            }
            Call::Calloc { size, new } => blocks.make(new, |id| Op::Calloc { id, size }),
            Call::Aligned { align, size, new } => blocks.make(new, |id| Op::Aligned { id, align, size }),
            Call::Realloc { old, size, new } => match blocks.alive.remove(&old) {
                Some(id) => blocks.settle(new, id, Op::Realloc { id, size }),
                None => blocks.make(new, |id| Op::Malloc { id, size }),
            },
            Call::Free { old } => {
                let freed = blocks.alive.remove(&old);
                blocks.ops.extend(freed.map(|id| Op::Free { id }));
            }
        }
    }
    blocks.ops
}

#[derive(Default)]
struct Blocks {
    ops: Vec<Op>,
    alive: HashMap<usize, usize>,
    made: usize,
}

impl Blocks {
    fn make(&mut self, at: usize, op: impl FnOnce(usize) -> Op) {
        let id = self.made;
        self.made += 1;
        self.settle(at, id, op(id));
    }

    /// The block `id` stands at `at` from now on, because of `op`.
    fn settle(&mut self, at: usize, id: usize, op: Op) {
        // Whoever stood there is gone, though nobody saw its `free`: a call that went round the library.
        let gone = self.alive.insert(at, id);
        self.ops.extend(gone.map(|id| Op::Free { id }));
        self.ops.push(op);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapkit::workload;

    fn converted(calls: &[Call]) -> String {
        workload::format(&ops(calls.iter().map(|&call| Call::read(call.record()).expect("it was just written"))))
    }

    #[test]
    fn an_address_used_again_is_another_block() {
        let calls = [
            Call::Malloc { size: 8, new: 0x10 },
            Call::Free { old: 0x10 },
            Call::Calloc { size: 9, new: 0x10 },
            Call::Aligned { align: 64, size: 7, new: 0x40 },
            Call::Free { old: 0x10 },
        ];
        assert_eq!(converted(&calls), "m0:8 f0 c1:9 a2:64:7 f1");
    }

    #[test]
    fn a_block_keeps_its_number_where_realloc_moves_it() {
        let calls = [
            Call::Realloc { old: 0, size: 8, new: 0x10 },
            Call::Realloc { old: 0x10, size: 80, new: 0x90 },
            Call::Malloc { size: 5, new: 0x10 },
            Call::Realloc { old: 0x90, size: 70, new: 0x90 },
            Call::Free { old: 0x90 },
        ];
        assert_eq!(converted(&calls), "m0:8 r0:80 m1:5 r0:70 f0");
    }

    #[test]
    fn blocks_from_before_the_recording_are_not_freed_in_it() {
        let calls =
            [Call::Free { old: 0x10 }, Call::Realloc { old: 0x20, size: 8, new: 0x30 }, Call::Free { old: 0x30 }];
        assert_eq!(converted(&calls), "m0:8 f0");
    }

    #[test]
    fn a_block_that_another_one_replaces_is_gone() {
        let calls = [Call::Malloc { size: 8, new: 0x10 }, Call::Malloc { size: 9, new: 0x10 }];
        assert_eq!(converted(&calls), "m0:8 f0 m1:9");
    }
}
