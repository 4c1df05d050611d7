//! Small allocators to try the referee on: right ones, and ways to spoil what they do.

use super::{Allocator, Call, Fit, ListRules, NoSuchOperation, THRESHOLD, THRESHOLD_MAX, TOP_PAD};
use crate::format::{ALIGNMENT, FLAGS, IS_MMAPPED, MIN_CHUNK, PAYLOAD, PREV_INUSE, SIZE_WORD, chunk_size};
use crate::image::ListHead;
use crate::memory::{Arena, PAGE, PrivateArena};
use crate::os::SimOs;

pub type Os = SimOs<&'static PrivateArena>;

/// A right allocator: a list heap on a fixed heap, or a whole malloc on a system. It knows its memory by offsets.
pub struct Toy<'a> {
    os: &'a Os,
    rules: ListRules,
    pub list: Vec<usize>,
    top: Option<usize>,
    mmap_threshold: usize,
    trim_threshold: usize,
}

impl<'a> Toy<'a> {
    pub fn list(os: &'a Os, rules: ListRules) -> Self {
        os.arena().set_word(SIZE_WORD, os.end() | PREV_INUSE);
        Toy { top: Some(0), rules, ..Toy::malloc(os) }
    }

    pub fn malloc(os: &'a Os) -> Self {
        let rules = ListRules { fit: Fit::Best, splits: true, coalesces: true };
        Toy { os, rules, list: Vec::new(), top: None, mmap_threshold: THRESHOLD, trim_threshold: THRESHOLD }
    }

    fn word(&self, at: usize) -> usize {
        self.os.arena().word(at)
    }

    fn size(&self, chunk: usize) -> usize {
        self.word(chunk + SIZE_WORD) & !FLAGS
    }

    fn end(&self, chunk: usize) -> usize {
        chunk + self.size(chunk)
    }

    fn is_used(&self, chunk: usize) -> bool {
        self.word(self.end(chunk) + SIZE_WORD) & PREV_INUSE != 0
    }

    fn resize(&self, chunk: usize, size: usize) {
        let flags = self.word(chunk + SIZE_WORD) & FLAGS;
        self.os.arena().set_word(chunk + SIZE_WORD, size | flags);
    }

    fn mark(&self, chunk: usize, used: bool) {
        let next = self.end(chunk);
        let word = self.word(next + SIZE_WORD) & !PREV_INUSE;
        self.os.arena().set_word(next + SIZE_WORD, word | usize::from(used));
        if !used {
            self.os.arena().set_word(next, self.size(chunk));
        }
    }

    /// Writes the links of the whole list.
    pub fn write_links(&self) {
        let address = |chunk: Option<&usize>| chunk.map_or(0, |chunk| self.os.arena().base() + chunk);
        for (i, &chunk) in self.list.iter().enumerate() {
            let before = i.checked_sub(1).and_then(|i| self.list.get(i));
            self.os.arena().set_word(chunk + PAYLOAD, address(self.list.get(i + 1)));
            self.os.arena().set_word(chunk + PAYLOAD + 8, address(before));
        }
    }

    fn unlink(&mut self, chunk: usize) {
        self.list.retain(|&other| other != chunk);
    }

    /// Cuts what is beyond `size` off a chunk, if that is a chunk.
    fn split(&self, chunk: usize, size: usize) -> Option<usize> {
        let rest = self.size(chunk).checked_sub(size).filter(|rest| *rest >= MIN_CHUNK)?;
        self.resize(chunk, size);
        self.os.arena().set_word(chunk + size + SIZE_WORD, rest | PREV_INUSE);
        Some(chunk + size)
    }

    fn take(&mut self, need: usize) -> Option<usize> {
        let is_large = need >= self.mmap_threshold;
        self.take_from_list(need)
            .or_else(|| self.take_from_top(need))
            .or_else(|| if is_large { self.map(need) } else { None })
            .or_else(|| self.grow(need).and_then(|()| self.take_from_top(need)))
            .or_else(|| if is_large { None } else { self.map(need) })
    }

    fn take_from_list(&mut self, need: usize) -> Option<usize> {
        let mut fits = self.list.iter().copied().filter(|&chunk| self.size(chunk) >= need);
        let chunk = match self.rules.fit {
            Fit::First => fits.next(),
            Fit::Best => fits.min_by_key(|&chunk| self.size(chunk)),
            Fit::Worst => fits.reduce(|best, chunk| if self.size(chunk) > self.size(best) { chunk } else { best }),
        }?;
        self.unlink(chunk);
        let rest = if self.rules.splits { self.split(chunk, need) } else { None };
        if let Some(rest) = rest {
            self.mark(rest, false);
            self.list.insert(0, rest);
        }
        self.mark(chunk, true);
        Some(chunk)
    }

    fn take_from_top(&mut self, need: usize) -> Option<usize> {
        let top = self.top?;
        self.top = Some(self.split(top, need)?);
        Some(top)
    }

    fn map(&self, need: usize) -> Option<usize> {
        if self.os.is_fixed() {
            return None;
        }
        let len = need.checked_add(SIZE_WORD)?.checked_next_multiple_of(PAGE)?;
        let at = self.os.mmap(len)?;
        self.os.arena().set_header(at, 0, len | IS_MMAPPED);
        Some(at)
    }

    fn grow(&mut self, need: usize) -> Option<()> {
        let old_end = self.os.end();
        let top = self.top.filter(|&top| self.end(top) == old_end);
        let have = top.map_or(0, |top| self.size(top));
        if self.os.is_fixed() {
            return None;
        }
        let missing = need.checked_add(MIN_CHUNK + TOP_PAD)? - have;
        let end = (old_end + missing).checked_next_multiple_of(PAGE)?;
        self.os.sbrk(isize::try_from(end - old_end).ok()?)?;
        if let Some(top) = top {
            self.resize(top, end - top);
            return Some(());
        }
        let new = old_end.next_multiple_of(ALIGNMENT);
        self.os.arena().set_word(new + SIZE_WORD, (end - new) | PREV_INUSE);
        if let Some(old) = self.top.replace(new) {
            let left = self.size(old) - 2 * ALIGNMENT;
            self.os.arena().set_word(old + left + ALIGNMENT + SIZE_WORD, ALIGNMENT | PREV_INUSE);
            if left < MIN_CHUNK {
                self.resize(old, left + ALIGNMENT);
            } else {
                self.resize(old, left);
                self.os.arena().set_word(old + left + SIZE_WORD, ALIGNMENT | PREV_INUSE);
                self.release(old);
            }
        }
        Some(())
    }

    fn release(&mut self, mut chunk: usize) {
        if self.rules.coalesces && self.word(chunk + SIZE_WORD) & PREV_INUSE == 0 {
            let previous = chunk - self.word(chunk);
            self.unlink(previous);
            self.resize(previous, self.size(previous) + self.size(chunk));
            chunk = previous;
        }
        let next = self.end(chunk);
        if self.rules.coalesces && self.top == Some(next) {
            self.resize(chunk, self.size(chunk) + self.size(next));
            self.top = Some(chunk);
            return;
        }
        if self.rules.coalesces && !self.is_used(next) {
            self.unlink(next);
            self.resize(chunk, self.size(chunk) + self.size(next));
        }
        self.mark(chunk, false);
        self.list.insert(0, chunk);
    }

    fn is_mapped(&self, chunk: usize) -> bool {
        self.word(chunk + SIZE_WORD) & IS_MMAPPED != 0
    }

    fn free(&mut self, chunk: usize) {
        if self.is_mapped(chunk) {
            let (lead, size) = (self.word(chunk), self.size(chunk));
            if size > self.mmap_threshold && size <= THRESHOLD_MAX {
                (self.mmap_threshold, self.trim_threshold) = (size, 2 * size);
            }
            return self.os.munmap(chunk - lead, lead + size);
        }
        self.release(chunk);
        let Some(top) = self.top.filter(|&top| !self.os.is_fixed() && self.end(top) == self.os.end()) else { return };
        let extra = self.size(top).saturating_sub(TOP_PAD + MIN_CHUNK) / PAGE * PAGE;
        if self.size(top) >= self.trim_threshold && extra > 0 && self.os.sbrk(-extra.cast_signed()).is_some() {
            self.resize(top, self.size(top) - extra);
        }
    }

    fn aligned(&mut self, align: usize, request: usize) -> Option<usize> {
        let need = chunk_size(request)?;
        if align <= ALIGNMENT {
            return self.take(need);
        }
        let chunk = self.take(need.checked_add(align)?.checked_add(MIN_CHUNK)?)?;
        let lead = (self.os.arena().base() + chunk + PAYLOAD).wrapping_neg() % align;
        let lead = if (1..MIN_CHUNK).contains(&lead) { lead + align } else { lead };
        if self.is_mapped(chunk) {
            self.os.arena().set_header(chunk + lead, lead, (self.size(chunk) - lead) | IS_MMAPPED);
            return Some(chunk + lead);
        }
        if lead > 0 {
            self.split(chunk, lead)?;
            self.release(chunk);
        }
        self.release_beyond(chunk + lead, need);
        Some(chunk + lead)
    }

    fn release_beyond(&mut self, chunk: usize, size: usize) {
        if let Some(rest) = self.split(chunk, size) {
            self.release(rest);
        }
    }

    fn realloc(&mut self, chunk: usize, request: usize) -> Option<usize> {
        let need = chunk_size(request)?;
        if self.is_mapped(chunk) {
            let (lead, len) = (self.word(chunk), self.word(chunk) + self.size(chunk));
            let new_len = lead.checked_add(need)?.checked_add(SIZE_WORD)?.checked_next_multiple_of(PAGE)?;
            if new_len == len {
                return Some(chunk);
            }
            if let Some(at) = self.os.mremap(chunk - lead, len, new_len) {
                self.os.arena().set_header(at + lead, lead, (new_len - lead) | IS_MMAPPED);
                return Some(at + lead);
            }
            if new_len < len {
                return Some(chunk);
            }
        } else {
            if self.size(chunk) < need {
                self.widen(chunk, need);
            }
            if self.size(chunk) >= need {
                self.release_beyond(chunk, need);
                return Some(chunk);
            }
        }
        let new = self.take(need)?;
        let mut bytes = vec![0; self.size(chunk).min(request)];
        self.os.arena().read(chunk + PAYLOAD, &mut bytes[..]);
        self.os.arena().write(new + PAYLOAD, &bytes);
        self.free(chunk);
        Some(new)
    }

    fn widen(&mut self, chunk: usize, need: usize) {
        let next = self.end(chunk);
        let both = self.size(chunk) + self.size(next);
        if self.top == Some(next) {
            if both >= need + MIN_CHUNK {
                self.resize(chunk, both);
                self.top = self.split(chunk, need);
            }
        } else if !self.is_used(next) && both >= need {
            self.unlink(next);
            self.resize(chunk, both);
            self.mark(chunk, true);
        }
    }
}

impl Allocator for Toy<'_> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let chunk = match call {
            Call::Malloc { request } => chunk_size(request).and_then(|need| self.take(need)),
            Call::Free { payload } => {
                self.free(payload - PAYLOAD);
                None
            }
            _ if self.os.is_fixed() => return Err(NoSuchOperation),
            Call::Calloc { count, size } => {
                let request = count * size;
                let chunk = chunk_size(request).and_then(|need| self.take(need));
                if let Some(chunk) = chunk.filter(|&chunk| !self.is_mapped(chunk)) {
                    self.os.arena().write(chunk + PAYLOAD, &vec![0; request]);
                }
                chunk
            }
            Call::Aligned { align, request } if align.is_power_of_two() => self.aligned(align, request),
            Call::Aligned { .. } => None,
            Call::Realloc { payload, request } => self.realloc(payload - PAYLOAD, request),
        };
        self.write_links();
        Ok(chunk.map(|chunk| chunk + PAYLOAD))
    }

    fn lists(&mut self) -> Vec<ListHead> {
        vec![ListHead::free_list(self.list.first().map_or(0, |chunk| self.os.arena().base() + chunk))]
    }
}

/// Does what another allocator does, and then something else to its memory or its answer.
pub struct Spoiled<'a, F> {
    pub toy: Toy<'a>,
    pub spoil: F,
}

impl<F: FnMut(&Os, Call, Option<usize>) -> Option<usize>> Allocator for Spoiled<'_, F> {
    fn call(&mut self, call: Call) -> Result<Option<usize>, NoSuchOperation> {
        let answer = self.toy.call(call)?;
        Ok((self.spoil)(self.toy.os, call, answer))
    }

    fn lists(&mut self) -> Vec<ListHead> {
        self.toy.lists()
    }
}
