//! Plays a workload on a malloc of which nothing is known but its addresses, and checks what a program would notice.

use super::whole::WholeMalloc;
use super::{Violation, pattern};
use crate::format::ALIGNMENT;
use crate::workload::{Op, elements, name};
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// Of a large block, this many bytes at both ends are used and looked at.
const SAMPLE: usize = 2048;

/// Between these, one byte in so many: a prime, so that no page is looked at in the same place as the one before.
const BETWEEN: usize = 1021;

/// The bytes at which a block of `request` bytes is used and looked at.
pub(super) fn sampled(request: usize) -> impl Iterator<Item = usize> {
    let end = request.saturating_sub(SAMPLE).max(SAMPLE);
    (0..request.min(SAMPLE)).chain((SAMPLE..end).step_by(BETWEEN)).chain(end..request)
}

/// Writes the pattern of the block `id`, as a program would use it.
///
/// # Safety
/// The block's bytes can be written, and nobody else uses them.
pub(super) unsafe fn fill(id: usize, payload: NonNull<u8>, request: usize) {
    for i in sampled(request) {
        // SAFETY: `i` is below `request`, so this is a byte of the block, which can be written.
        unsafe { payload.add(i).write(pattern(id, i)) };
    }
}

/// Whether the pattern still stands at the bytes `at` of the block `id`; `what` says what it means if not.
///
/// # Safety
/// These bytes can be read.
pub(super) unsafe fn check(
    id: usize,
    payload: NonNull<u8>,
    at: impl Iterator<Item = usize>,
    what: &str,
) -> Result<(), Violation> {
    for i in at {
        // SAFETY: `i` is one of the bytes in `at`, which can be read.
        let seen = unsafe { payload.add(i).read() };
        if seen != pattern(id, i) {
            return Err(Violation::new(format!("{what} {}.", name(id))).expected(
                format!("{:#04x} at its byte {i}, as the program wrote it", pattern(id, i)),
                format!("{seen:#04x}"),
            ));
        }
    }
    Ok(())
}

/// What a program knows of its blocks.
#[derive(Default)]
pub struct Payloads {
    /// By number: where the block is, and how many bytes were asked for.
    live: BTreeMap<usize, (NonNull<u8>, usize)>,
    /// The same by address: where each block ends, and its number.
    ends: BTreeMap<usize, (usize, usize)>,
}

impl Payloads {
    /// No blocks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the live blocks were asked for, together.
    pub fn requested(&self) -> usize {
        self.live.values().map(|(_, request)| request).sum()
    }

    /// Takes one step, on a system that has memory for it.
    ///
    /// # Errors
    /// What a program would notice.
    pub fn play(&mut self, malloc: &mut dyn WholeMalloc, op: Op) -> Result<(), Violation> {
        match op {
            Op::Malloc { id, size } => self.enter(id, malloc.malloc(size), size, ALIGNMENT),
            Op::Aligned { id, align, size } => self.enter(id, malloc.aligned(align, size), size, align),
            Op::Calloc { id, size } => {
                let (count, each) = elements(size);
                let payload = malloc.calloc(count, each);
                if let Some(payload) = payload {
                    // SAFETY: a block of `size` bytes, if it is one at all.
                    let bytes = unsafe { std::slice::from_raw_parts(payload.as_ptr(), size) };
                    if bytes.iter().any(|byte| *byte != 0) {
                        return Err(Violation::new("calloc returns bytes that are not zero."));
                    }
                }
                self.enter(id, payload, size, ALIGNMENT)
            }
            Op::Realloc { id, size } => {
                let Some((old, request)) = self.leave(id) else {
                    return self.play(malloc, Op::Malloc { id, size });
                };
                // SAFETY: `live` held the block, so it has not been freed.
                let payload = unsafe { malloc.realloc(old, size) };
                if let Some(payload) = payload {
                    let common = sampled(request).filter(|i| *i < size);
                    // SAFETY: both blocks had these bytes, if the new one is a block at all.
                    unsafe { check(id, payload, common, "realloc loses the bytes of")? };
                }
                self.enter(id, payload, size, ALIGNMENT)
            }
            Op::Free { id } => {
                let Some((payload, request)) = self.leave(id) else { return Ok(()) };
                // SAFETY: the block was not freed yet.
                unsafe {
                    check(id, payload, sampled(request), "The program's bytes changed in")?;
                    malloc.free(payload);
                }
                Ok(())
            }
            Op::Foreign { .. } => Ok(()),
        }
    }

    /// Frees every block that is left.
    ///
    /// # Errors
    /// As for [`Payloads::play`].
    pub fn free_all(&mut self, malloc: &mut dyn WholeMalloc) -> Result<(), Violation> {
        let left: Vec<usize> = self.live.keys().copied().collect();
        left.into_iter().try_for_each(|id| self.play(malloc, Op::Free { id }))
    }

    fn enter(
        &mut self,
        id: usize,
        payload: Option<NonNull<u8>>,
        request: usize,
        align: usize,
    ) -> Result<(), Violation> {
        let Some(payload) = payload else {
            return Err(Violation::new(format!("The malloc gives up on {request} bytes, but the system has memory.")));
        };
        let at = payload.addr().get();
        if !at.is_multiple_of(align) {
            let seen = format!("one that is {} bytes behind such a multiple", at % align);
            let what = format!("The address of {} has the wrong alignment.", name(id));
            return Err(Violation::new(what).expected(format!("a multiple of {align}"), seen));
        }
        let end = at + request.max(1);
        if let Some((_, (_, other))) = self.ends.range(..end).next_back().filter(|(_, (other_end, _))| *other_end > at)
        {
            let what = format!("The bytes of {} still belong to {}.", name(id), name(*other));
            return Err(Violation::new(what));
        }
        self.live.insert(id, (payload, request));
        self.ends.insert(at, (end, id));
        // SAFETY: the block is nobody else's, as far as a program can tell.
        unsafe { fill(id, payload, request) };
        Ok(())
    }

    fn leave(&mut self, id: usize) -> Option<(NonNull<u8>, usize)> {
        let (payload, request) = self.live.remove(&id)?;
        self.ends.remove(&payload.addr().get());
        Some((payload, request))
    }
}
