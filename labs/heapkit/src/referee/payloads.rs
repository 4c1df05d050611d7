//! Plays a workload on a malloc of which nothing is known but its addresses, and checks what a program would notice.

use super::{Allocator, Call, Kind, NoSuchOperation, Violation, pattern};
use crate::memory::Arena;
use crate::workload::{Op, name};
use std::collections::BTreeMap;

/// What a program knows of its blocks.
pub struct Payloads<'a> {
    arena: &'a dyn Arena,
    /// By number: where the block is, and how many bytes were asked for.
    live: BTreeMap<usize, (usize, usize)>,
    /// The same by address: where each block ends, and its number.
    ends: BTreeMap<usize, (usize, usize)>,
}

/// What the bytes of a block have to be, before the program has written to it.
#[derive(Clone, Copy)]
enum Made {
    /// Anything.
    Fresh,
    Zero,
    /// The first `kept` bytes of a block that had `old` bytes.
    Of {
        old: usize,
        kept: usize,
    },
}

impl<'a> Payloads<'a> {
    /// No blocks yet. They will be in `arena`.
    pub fn new(arena: &'a dyn Arena) -> Self {
        Payloads { arena, live: BTreeMap::new(), ends: BTreeMap::new() }
    }

    /// How many bytes the live blocks were asked for, together.
    pub fn requested(&self) -> usize {
        self.live.values().map(|(_, request)| request).sum()
    }

    /// Takes one step, on a system that has memory for it.
    ///
    /// # Errors
    /// What a program would notice.
    pub fn play(&mut self, malloc: &mut dyn Allocator, op: Op) -> Result<(), Violation> {
        self.before(&[op])?;
        let Some((_, call)) = Call::of(op, |id| self.live.get(&id).map(|(payload, _)| *payload)) else { return Ok(()) };
        let answer = malloc.call(call).map_err(|NoSuchOperation| {
            Violation::new(Kind::NoSuchOperation, format!("This allocator has no operation `{}`.", call.name()))
        })?;
        self.after(&[op], &[answer])
    }

    /// Takes many steps at once: `run` carries them out, and says where the block of each then is. Nobody writes to a block between
    /// them, so what a step does to a block that another one of them makes is seen less well than by [`Payloads::play`].
    ///
    /// # Errors
    /// What a program would notice.
    pub fn play_at_once(&mut self, ops: &[Op], run: impl FnOnce(&[Op]) -> Vec<Option<usize>>) -> Result<(), Violation> {
        self.before(ops)?;
        let answers = run(ops);
        self.after(ops, &answers)
    }

    /// Looks at the bytes of the blocks that are going to be freed.
    fn before(&self, ops: &[Op]) -> Result<(), Violation> {
        for op in ops {
            if let Op::Free { id } = *op
                && let Some((payload, request)) = self.live.get(&id).copied()
                && let Some(at) = self.first_changed(id, payload, request, request)
            {
                let what = format!("The bytes of {} changed while the program held them.", name(id));
                return Err(different(Kind::ContentChanged, what, id, at));
            }
        }
        Ok(())
    }

    /// Looks at where the blocks are, and at the bytes of those that are still there after all steps.
    fn after(&mut self, ops: &[Op], answers: &[Option<usize>]) -> Result<(), Violation> {
        let mut made: BTreeMap<usize, Made> = BTreeMap::new();
        for (op, answer) in ops.iter().zip(answers) {
            let Some((id, call)) = Call::of(*op, |id| self.live.get(&id).map(|(payload, _)| *payload)) else {
                continue;
            };
            let old = self.leave(id);
            if matches!(call, Call::Free { .. }) {
                made.remove(&id);
                continue;
            }
            let (request, align) = (call.request().unwrap_or(usize::MAX), call.alignment());
            self.settle(id, *answer, request, align)?;
            let holds = match (call, made.get(&id), old) {
                (Call::Calloc { .. }, ..) => Made::Zero,
                (Call::Realloc { .. }, Some(Made::Of { old, kept }), _) => {
                    Made::Of { old: *old, kept: request.min(*kept) }
                }
                (Call::Realloc { .. }, None, Some((_, old))) => Made::Of { old, kept: request.min(old) },
                _ => Made::Fresh,
            };
            made.insert(id, holds);
        }
        for (id, holds) in made {
            let (at, request) = self.live[&id];
            match holds {
                Made::Zero if pattern::first_not_zero(request, |i, into| self.arena.read(at + i, into)).is_some() => {
                    return Err(Violation::new(Kind::NotZero, "calloc returns bytes that are not zero."));
                }
                Made::Of { old, kept } => {
                    if let Some(lost) = self.first_changed(id, at, old, kept) {
                        let what = format!("realloc loses the bytes of {}.", name(id));
                        return Err(different(Kind::ContentLost, what, id, lost));
                    }
                }
                _ => {}
            }
            pattern::fill(id, request, |i, bytes| self.arena.write(at + i, bytes));
        }
        Ok(())
    }

    /// Frees every block that is left.
    ///
    /// # Errors
    /// As for [`Payloads::play`].
    pub fn free_all(&mut self, malloc: &mut dyn Allocator) -> Result<(), Violation> {
        let left: Vec<usize> = self.live.keys().copied().collect();
        left.into_iter().try_for_each(|id| self.play(malloc, Op::Free { id }))
    }

    /// Checks where a new block is; it then belongs to the program.
    fn settle(&mut self, id: usize, answer: Option<usize>, request: usize, align: usize) -> Result<(), Violation> {
        let Some(at) = answer else {
            let what = format!("The malloc gives up on {request} bytes, but the system has memory.");
            return Err(Violation::new(Kind::GaveUp, what));
        };
        let end = at.checked_add(request.max(1)).filter(|end| *end <= self.arena.extent());
        let Some(end) = end else {
            let what = format!("The bytes of {} are outside all memory.", name(id));
            return Err(Violation::new(Kind::OutsideMemory, what));
        };
        let address = self.arena.base().wrapping_add(at);
        if !address.is_multiple_of(align) {
            let seen = format!("one that is {} bytes after such a multiple", address % align.max(1));
            let what = format!("The address of {} has the wrong alignment.", name(id));
            return Err(Violation::new(Kind::Misaligned, what).expected(format!("a multiple of {align}"), seen));
        }
        let before_end = self.ends.range(..end).next_back();
        if let Some((_, (_, other))) = before_end.filter(|(_, (other_end, _))| *other_end > at) {
            let what = format!("The bytes of {} still belong to {}.", name(id), name(*other));
            return Err(Violation::new(Kind::Overlap, what));
        }
        self.live.insert(id, (at, request));
        self.ends.insert(at, (end, id));
        Ok(())
    }

    /// The first of the `kept` bytes at `at` that isn't what the program wrote when the block had `request` bytes.
    fn first_changed(&self, id: usize, at: usize, request: usize, kept: usize) -> Option<(usize, u8)> {
        pattern::first_changed(id, request, kept, |i, into| self.arena.read(at + i, into))
    }

    fn leave(&mut self, id: usize) -> Option<(usize, usize)> {
        let (payload, request) = self.live.remove(&id)?;
        self.ends.remove(&payload);
        Some((payload, request))
    }
}

fn different(kind: Kind, what: String, id: usize, (i, seen): (usize, u8)) -> Violation {
    let wanted = format!("{:#04x} at its byte {i}, as the program wrote it", pattern::byte(id, i));
    Violation::new(kind, what).expected(wanted, format!("{seen:#04x}"))
}
