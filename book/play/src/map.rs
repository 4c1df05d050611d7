//! The heap under a trace of a real program: which block was where, from when to when.

use crate::malloc::{Heap, Player, Settings};
use crate::memory::PlayOs;
use heapkit::format::{FLAGS, PAYLOAD, SIZE_WORD};
use heapkit::memory::Arena;
use heapkit::os::peak;
use heapkit::trace;
use heapkit::workload::Op;
use serde::Serialize;
use std::collections::HashMap;
use std::ptr::NonNull;

/// No trace has more operations: each block is a rectangle on a page.
pub const MOST_OPERATIONS: usize = 200_000;

/// All that the break can hand out to a traced program.
const ROOM: usize = 256 << 20;

/// A heap over time.
#[derive(Default, Serialize)]
pub struct Map {
    /// How many operations there are.
    operations: usize,
    /// Each block in the heap: the operation that made it, the one after which it isn't there any more, where its chunk is, and how
    /// many bytes that has.
    blocks: Vec<[usize; 4]>,
    /// Where the break is: after which operation, and where.
    breaks: Vec<[usize; 2]>,
    /// How many blocks had mappings of their own; these aren't drawn.
    mapped: usize,
    /// How many requests the malloc refused.
    refused: usize,
    /// The most bytes of the program that were alive at once.
    alive: usize,
    /// The most bytes that the system has granted at once.
    granted: usize,
}

/// A block that is alive.
struct Alive {
    since: usize,
    payload: NonNull<u8>,
}

/// Plays a trace in the `.rep` format. The settings name a malloc on a system.
///
/// # Errors
/// The first line that makes no sense, and why; line 0 if it is about no line.
pub fn map(settings: Settings, text: &str) -> Result<Map, (usize, String)> {
    if settings.heap == Heap::Page {
        return Err((0, "A real program needs more than a page: choose a heap from the system.".into()));
    }
    let trace = trace::parse(text)?;
    if trace.ops.len() > MOST_OPERATIONS {
        return Err((
            0,
            format!("The trace has {} operations, and a map has at most {MOST_OPERATIONS}.", trace.ops.len()),
        ));
    }
    let os = PlayOs::with_room(ROOM);
    let mut mapper = Mapper { os: &os, player: Player::new(settings, &os), alive: HashMap::new(), map: Map::default() };
    for (i, op) in (1..).zip(&trace.ops) {
        mapper.play(i, *op);
    }
    let mut map = mapper.end(trace.ops.len());
    map.alive = trace.peak;
    map.granted = peak(&os.sim().calls());
    Ok(map)
}

struct Mapper<'os> {
    os: &'os PlayOs,
    player: Player<'os>,
    alive: HashMap<usize, Alive>,
    map: Map,
}

impl Mapper<'_> {
    fn play(&mut self, now: usize, op: Op) {
        let made = match op {
            Op::Malloc { id, size } => Some((id, self.player.malloc(size))),
            Op::Calloc { id, size } => Some((id, self.player.calloc(size, 1))),
            Op::Aligned { id, align, size } => Some((id, self.player.aligned(align, size))),
            Op::Realloc { id, size } => match self.alive.remove(&id) {
                None => Some((id, self.player.malloc(size))),
                Some(old) => {
                    let block = self.rectangle(&old, now - 1);
                    // SAFETY: a block of this malloc that has not been freed, and its old place is forgotten.
                    match unsafe { self.player.realloc(old.payload, size) } {
                        None => {
                            self.map.refused += 1;
                            self.alive.insert(id, old);
                            None
                        }
                        Some(payload) => {
                            self.map.blocks.extend(block);
                            self.alive.insert(id, Alive { since: now, payload });
                            None
                        }
                    }
                }
            },
            Op::Free { id } => {
                if let Some(old) = self.alive.remove(&id) {
                    let block = self.rectangle(&old, now - 1);
                    self.map.blocks.extend(block);
                    // SAFETY: a block of this malloc that has not been freed, and is forgotten.
                    unsafe { self.player.free(old.payload) };
                }
                None
            }
            Op::Foreign { .. } => None,
        };
        match made {
            Some((id, Some(payload))) => {
                self.map.mapped += usize::from(self.in_heap(payload).is_none());
                self.alive.insert(id, Alive { since: now, payload });
            }
            Some((_, None)) => self.map.refused += 1,
            None => {}
        }
        let end = self.os.sim().end();
        if self.map.breaks.last().is_none_or(|last| last[1] != end) {
            self.map.breaks.push([now, end]);
        }
    }

    /// The chunk of a block, if it is in the heap and no mapping.
    fn in_heap(&self, payload: NonNull<u8>) -> Option<usize> {
        let at = self.os.arena().offset_of(payload);
        (at < self.os.sim().end()).then(|| at - PAYLOAD)
    }

    /// A block that lives no longer than to the operation `until`.
    fn rectangle(&self, block: &Alive, until: usize) -> Option<[usize; 4]> {
        let at = self.in_heap(block.payload)?;
        let size = self.os.arena().word(at + SIZE_WORD) & !FLAGS;
        Some([block.since, until, at, size])
    }

    fn end(mut self, last: usize) -> Map {
        let left: Vec<_> = self.alive.values().filter_map(|block| self.rectangle(block, last)).collect();
        self.map.blocks.extend(left);
        self.map.blocks.sort_unstable();
        self.map.operations = last;
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "1\n3\n6\n1\na 0 100\na 1 1000000\nr 0 200\na 2 20\nf 0\nf 1\n";

    #[test]
    fn each_block_is_a_rectangle_from_its_call_to_its_end() {
        let map = map("system best".parse().unwrap(), TRACE).unwrap();
        assert_eq!(map.blocks, [[1, 2, 0, 112], [3, 4, 0, 208], [4, 6, 208, 32]]);
        assert_eq!((map.operations, map.mapped, map.refused, map.alive), (6, 1, 0, 1_000_220));
        assert_eq!(map.breaks, [[1, 135_168]]);
        assert_eq!(map.granted, 135_168 + 1_003_520);
    }

    #[test]
    fn a_trace_that_makes_no_sense_is_refused_with_its_line() {
        let settings = |text: &str| text.parse::<Settings>().unwrap();
        let (line, what) = map(settings("bins"), "1\n1\n1\n1\nx 0\n").err().unwrap();
        assert_eq!(line, 5, "{what}");
        assert_eq!(map(settings("page"), TRACE).err().unwrap().0, 0);
    }

    #[test]
    fn no_two_blocks_have_the_same_bytes_at_the_same_time() {
        use heapkit::workload::random_of_all_kinds;
        for settings in ["system worst", "bins", "fast", "cache"] {
            let ops = random_of_all_kinds(3, 400, 1..=2000, 30);
            let lines: Vec<String> = ops
                .iter()
                .map(|op| match *op {
                    Op::Malloc { id, size } => format!("a {id} {size}"),
                    Op::Calloc { id, size } => format!("c {id} {size}"),
                    Op::Aligned { id, align, size } => format!("m {id} {align} {size}"),
                    Op::Realloc { id, size } => format!("r {id} {size}"),
                    Op::Free { id } => format!("f {id}"),
                    Op::Foreign { .. } => unreachable!("none is drawn"),
                })
                .collect();
            let text = format!("1\n400\n{}\n1\n{}\n", lines.len(), lines.join("\n"));
            let blocks = map(settings.parse().unwrap(), &text).unwrap().blocks;
            for (i, [from, to, at, size]) in blocks.iter().enumerate() {
                for [from_2, to_2, at_2, size_2] in &blocks[i + 1..] {
                    let at_once = from_2 <= to && from <= to_2;
                    assert!(
                        !at_once || at_2 >= &(at + size) || at >= &(at_2 + size_2),
                        "{settings}: {at:#x} {at_2:#x}"
                    );
                }
            }
        }
    }
}
