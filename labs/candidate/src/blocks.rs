//! Calls of an allocator under test, and what is done around each.

use crate::Memory;
use heapkit::referee::Call;
use heapkit::workload::Op;
use std::collections::BTreeMap;
use std::ptr::NonNull;

/// Where blocks are, by their numbers: for many operations in one question.
#[derive(Debug, Default)]
pub struct Blocks(BTreeMap<usize, usize>);

impl Blocks {
    /// Has `run` carry out `op`, as [`Memory::carry_out`] does. The answer is where the block then is.
    pub fn play(
        &mut self,
        memory: Memory,
        op: Op,
        run: impl FnOnce(Call, Option<NonNull<u8>>) -> Option<NonNull<u8>>,
    ) -> Option<usize> {
        let (id, call) = Call::of(op, |id| self.0.get(&id).copied())?;
        let payload = memory.carry_out(call, run);
        if matches!(call, Call::Free { .. }) {
            self.0.remove(&id);
        } else if let Some(payload) = payload {
            self.0.insert(id, payload);
        }
        payload
    }
}

impl Memory {
    /// Has `run` carry out `call`; a payload that the call names is handed to it as a pointer. The answer is where the block is.
    ///
    /// Under AddressSanitizer, the bytes of all blocks in use are poisoned meanwhile: an allocator that touches one of them, and not
    /// only its own words, is stopped there.
    pub fn carry_out(
        self,
        call: Call,
        run: impl FnOnce(Call, Option<NonNull<u8>>) -> Option<NonNull<u8>>,
    ) -> Option<usize> {
        let old = match call {
            Call::Realloc { payload, .. } | Call::Free { payload } => Some(payload),
            Call::Malloc { .. } | Call::Calloc { .. } | Call::Aligned { .. } => None,
        };
        #[cfg(feature = "sanitize")]
        let kept = old.map(|payload| (payload, sanitizer::take_back(self, payload)));
        let payload = run(call, old.map(|payload| self.at(payload))).map(|payload| self.offset_of(payload.as_ptr()));
        #[cfg(feature = "sanitize")]
        sanitizer::lend(self, call, payload, kept);
        payload
    }
}

#[cfg(feature = "sanitize")]
mod sanitizer {
    use super::{Call, Memory};
    use heapkit::memory::ARENA;
    use std::collections::BTreeMap;
    use std::ffi::c_void;
    use std::sync::{Mutex, PoisonError};

    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const c_void, len: usize);
        fn __asan_unpoison_memory_region(start: *const c_void, len: usize);
    }

    /// How many bytes were asked for, by where the block is.
    static LENT: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

    /// Takes a block's bytes back from the program, and says how many there are.
    pub fn take_back(memory: Memory, payload: usize) -> usize {
        let len = LENT.lock().unwrap_or_else(PoisonError::into_inner).remove(&payload).unwrap_or_default();
        // SAFETY: bytes of the arena.
        unsafe { __asan_unpoison_memory_region(memory.at(payload).as_ptr().cast(), len) };
        len
    }

    /// Lends the program the bytes of the block that a call has given it, or, where a call was refused, those that it had.
    pub fn lend(memory: Memory, call: Call, payload: Option<usize>, kept: Option<(usize, usize)>) {
        let request = match call {
            Call::Malloc { request } | Call::Aligned { request, .. } | Call::Realloc { request, .. } => request,
            Call::Calloc { count, size } => count.saturating_mul(size),
            Call::Free { .. } => return,
        };
        let Some((payload, len)) = payload.map(|payload| (payload, request)).or(kept) else { return };
        if payload.saturating_add(len) > ARENA {
            return;
        }
        LENT.lock().unwrap_or_else(PoisonError::into_inner).insert(payload, len);
        // SAFETY: bytes of the arena.
        unsafe { __asan_poison_memory_region(memory.at(payload).as_ptr().cast(), len) };
    }

    /// A new story: nothing is lent any more.
    pub fn forget(memory: Memory) {
        for (payload, len) in std::mem::take(&mut *LENT.lock().unwrap_or_else(PoisonError::into_inner)) {
            // SAFETY: bytes of the arena.
            unsafe { __asan_unpoison_memory_region(memory.at(payload).as_ptr().cast(), len) };
        }
    }
}

#[cfg(feature = "sanitize")]
pub use sanitizer::forget;
