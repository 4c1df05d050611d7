//! Plays a workload on a malloc of which nothing is known but its addresses, and checks what a program would notice.

use super::{Allocator, Call, Kind, NoSuchOperation, Violation, pattern};
use crate::format::ALIGNMENT;
use crate::memory::Arena;
use crate::workload::{Op, elements, name};
use std::collections::BTreeMap;

/// What a program knows of its blocks.
pub struct Payloads<'a> {
    arena: &'a dyn Arena,
    /// By number: where the block is, and how many bytes were asked for.
    live: BTreeMap<usize, (usize, usize)>,
    /// The same by address: where each block ends, and its number.
    ends: BTreeMap<usize, (usize, usize)>,
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
        match op {
            Op::Malloc { id, size } => self.new_block(malloc, id, Call::Malloc { request: size }, size, ALIGNMENT),
            Op::Aligned { id, align, size } => {
                self.new_block(malloc, id, Call::Aligned { align, request: size }, size, align)
            }
            Op::Calloc { id, size: request } => {
                let (count, size) = elements(request);
                self.new_block(malloc, id, Call::Calloc { count, size }, request, ALIGNMENT)
            }
            Op::Realloc { id, size } => {
                let Some((payload, _)) = self.live.get(&id).copied() else {
                    return self.play(malloc, Op::Malloc { id, size });
                };
                self.new_block(malloc, id, Call::Realloc { payload, request: size }, size, ALIGNMENT)
            }
            Op::Free { id } => {
                let Some((payload, request)) = self.leave(id) else { return Ok(()) };
                if let Some(at) = self.first_changed(id, payload, request, request) {
                    let what = format!("The bytes of {} changed while the program held them.", name(id));
                    return Err(different(Kind::ContentChanged, what, id, at));
                }
                call(malloc, Call::Free { payload }).map(|_| ())
            }
            Op::Foreign { .. } => Ok(()),
        }
    }

    /// Frees every block that is left.
    ///
    /// # Errors
    /// As for [`Payloads::play`].
    pub fn free_all(&mut self, malloc: &mut dyn Allocator) -> Result<(), Violation> {
        let left: Vec<usize> = self.live.keys().copied().collect();
        left.into_iter().try_for_each(|id| self.play(malloc, Op::Free { id }))
    }

    /// Makes a call that returns a block, and checks it.
    fn new_block(
        &mut self,
        malloc: &mut dyn Allocator,
        id: usize,
        asked: Call,
        request: usize,
        align: usize,
    ) -> Result<(), Violation> {
        let Some(at) = call(malloc, asked)? else {
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
        let old = self.leave(id);
        let before_end = self.ends.range(..end).next_back();
        if let Some((_, (_, other))) = before_end.filter(|(_, (other_end, _))| *other_end > at) {
            let what = format!("The bytes of {} still belong to {}.", name(id), name(*other));
            return Err(Violation::new(Kind::Overlap, what));
        }
        if matches!(asked, Call::Calloc { .. })
            && pattern::first_not_zero(request, |i, into| self.arena.read(at + i, into)).is_some()
        {
            return Err(Violation::new(Kind::NotZero, "calloc returns bytes that are not zero."));
        }
        if let (Call::Realloc { .. }, Some((_, old))) = (asked, old)
            && let Some(lost) = self.first_changed(id, at, old, request)
        {
            return Err(different(Kind::ContentLost, format!("realloc loses the bytes of {}.", name(id)), id, lost));
        }
        self.live.insert(id, (at, request));
        self.ends.insert(at, (end, id));
        pattern::fill(id, request, |i, bytes| self.arena.write(at + i, bytes));
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

fn call(malloc: &mut dyn Allocator, call: Call) -> Result<Option<usize>, Violation> {
    malloc.call(call).map_err(|NoSuchOperation| {
        Violation::new(Kind::NoSuchOperation, format!("This allocator has no operation `{}`.", call.name()))
    })
}

fn different(kind: Kind, what: String, id: usize, (i, seen): (usize, u8)) -> Violation {
    let wanted = format!("{:#04x} at its byte {i}, as the program wrote it", pattern::byte(id, i));
    Violation::new(kind, what).expected(wanted, format!("{seen:#04x}"))
}
