//! Small and large: a whole malloc, from the break and from mappings.

use core::mem;
use core::ptr::NonNull;
use heapkit::os::{Os, PAGE};
use lab02::{ALIGNMENT, Chunk, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab03::FreeList;
use lab04::{FreeChunks, coalesce, join, split};

/// What the break moves by beyond what is needed, and what trimming leaves. In glibc: `DEFAULT_TOP_PAD`.
pub const TOP_PAD: usize = 128 * 1024;

/// From this chunk size on, a block gets a mapping of its own, as long as no such block has been freed. In glibc:
/// `DEFAULT_MMAP_THRESHOLD`.
pub const MMAP_THRESHOLD: usize = 128 * 1024;

/// No larger mapping raises the threshold. In glibc: `DEFAULT_MMAP_THRESHOLD_MAX`.
pub const MMAP_THRESHOLD_MAX: usize = 32 * 1024 * 1024;

/// From this size of the top chunk on, `free` gives memory back. In glibc: `DEFAULT_TRIM_THRESHOLD`.
pub const TRIM_THRESHOLD: usize = 128 * 1024;

/// A chunk that only marks where memory ends: a header without links.
pub const FENCE_SIZE: usize = 16;

/// A whole malloc.
///
/// Blocks come from the free chunks, from the top chunk, from a break that moves, or from mappings of their own. No two
/// neighbours are free, and no chunk that borders on the top chunk. `F` is where the free chunks wait.
#[derive(Debug)]
pub struct Malloc<O, F: FreeChunks = FreeList> {
    os: O,
    free: F,
    /// `None` until the break has moved for the first time.
    top: Option<Chunk>,
    mmap_threshold: usize,
    trim_threshold: usize,
}

impl<O: Os> Malloc<O> {
    /// A malloc with a free list of lab 3, which has asked the system for nothing yet.
    pub const fn new(os: O) -> Self {
        // SAFETY: a new list holds no chunk.
        unsafe { Self::with(os, FreeList::new()) }
    }
}

impl<O: Os, F: FreeChunks> Malloc<O, F> {
    /// A malloc that keeps its free chunks in `free`, and has asked the system for nothing yet.
    ///
    /// # Safety
    /// `free` holds no chunk: what is in it would be taken for a part of this heap.
    pub const unsafe fn with(os: O, free: F) -> Self {
        Self { os, free, top: None, mmap_threshold: MMAP_THRESHOLD, trim_threshold: TRIM_THRESHOLD }
    }

    /// The free chunks.
    pub const fn free_chunks(&self) -> &F {
        &self.free
    }

    /// The system.
    pub const fn os(&self) -> &O {
        &self.os
    }

    /// The top chunk, if the break has moved at least once.
    pub const fn top(&self) -> Option<&Chunk> {
        self.top.as_ref()
    }

    /// A block of `request` bytes.
    ///
    /// It comes from the first of these that can serve it:
    ///
    /// 1. the free chunks: one that is large enough, split as in lab 4. From a [`FreeList`] it is the smallest one;
    /// 2. the top chunk, if at least [`MIN_CHUNK_SIZE`] bytes of it are left;
    /// 3. if the chunk takes the mmap threshold or more: a mapping of its own, of whole pages, with 8 bytes more than the
    ///    chunk. Its size word has the mapping's length, [`SizeWord::IS_MMAPPED`] and no other flag; its `prev_size` is 0;
    /// 4. the top chunk, after the break has moved up: by what is missing for the chunk, [`MIN_CHUNK_SIZE`] and [`TOP_PAD`],
    ///    and on to the next multiple of [`PAGE`]. Where other code has moved the break, nothing of the top chunk counts:
    ///    the heap goes on after the other code's memory, at a multiple of [`ALIGNMENT`], and the old top chunk ends in
    ///    two fences of [`FENCE_SIZE`] bytes. What is left of it is freed, if it is a chunk; else it belongs to the first
    ///    fence;
    /// 5. for a smaller chunk, if the system does not move the break: a mapping after all.
    ///
    /// `None`, and nothing is lost, if the system refuses all that, or if no block can be that large.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        Some(self.take(request_to_chunk_size(request)?)?.payload())
    }

    /// A block of `count` times `size` bytes, all of them 0. A fresh mapping is not cleared again: it is all zeroes.
    ///
    /// `None` if `count` times `size` is more than a word can hold, and where [`Malloc::malloc`] says it.
    pub fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        let request = count.checked_mul(size)?;
        let payload = self.malloc(request)?;
        // SAFETY: a block of `request` bytes that nobody uses yet.
        unsafe {
            if !is_mapped(&Chunk::from_payload(payload)) {
                payload.write_bytes(0, request);
            }
        }
        Some(payload)
    }

    /// A block of `request` bytes that starts at a multiple of `align`.
    ///
    /// For an `align` of more than [`ALIGNMENT`] it takes, as [`Malloc::malloc`] would, a chunk that is `align` and
    /// [`MIN_CHUNK_SIZE`] bytes larger. The block starts at the first multiple of `align` in that chunk's payload which leaves a
    /// chunk in front of it, or nothing. What lies before it is freed; so is what is too much after it, if it is a chunk. A
    /// mapping stays whole: the block's `prev_size` says how far its header is from the mapping's start.
    ///
    /// `None` if `align` is no power of two, and where [`Malloc::malloc`] says it.
    pub fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        if !align.is_power_of_two() {
            return None;
        }
        if align <= ALIGNMENT {
            return self.malloc(request);
        }
        // Wherever it starts, there is a place in it with room for a chunk in front.
        let mut chunk = self.take(size.checked_add(align)?.checked_add(MIN_CHUNK_SIZE)?)?;
        let mut lead = chunk.payload().align_offset(align);
        if (1..MIN_CHUNK_SIZE).contains(&lead) {
            lead += align;
        }
        // SAFETY: the chunk is in use and ours, and long enough for `lead` and `size`; what is cut off is in no list.
        unsafe {
            if is_mapped(&chunk) {
                return Some(mapped_chunk(chunk.header().cast(), lead, chunk.size()).payload());
            }
            if lead > 0 {
                let aligned = split(&mut chunk, lead)?;
                self.release(mem::replace(&mut chunk, aligned));
            }
            self.release_beyond(&mut chunk, size);
        }
        Some(chunk.payload())
    }

    /// Makes a block hold `request` bytes, and says where it then is. The bytes that both have in common stay the same.
    ///
    /// In place, if the chunk is large enough, or together with what follows it: the top chunk, if [`MIN_CHUNK_SIZE`] bytes
    /// of that are left, or a free chunk. What is too much is freed, if it is a chunk. Else a new block is taken as by
    /// [`Malloc::malloc`], and the old one given to [`Malloc::free`].
    ///
    /// A mapping stays a mapping: the system changes its length, if another number of pages is needed. If the system
    /// refuses, it stays as it is, if that is enough; else the block moves.
    ///
    /// `None`, and the old block is as it was, where [`Malloc::malloc`] says it.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed. If it moves, nobody uses the old place any more.
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        // SAFETY: a block of this malloc that has not been freed. The new block is another one, and larger than the old one.
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            if is_mapped(&chunk) {
                if let Some(chunk) = self.remap(&chunk, size) {
                    return Some(chunk.payload());
                }
            } else if self.widen(&mut chunk, size) {
                self.release_beyond(&mut chunk, size);
                return Some(payload);
            }
            let new = self.take(size)?.payload();
            new.copy_from_nonoverlapping(payload, chunk.usable_size());
            self.free(payload);
            Some(new)
        }
    }

    /// Takes a block back.
    ///
    /// A chunk joins its free neighbours, or the top chunk, as in lab 4. If the top chunk then has the trim threshold or
    /// more, the break moves down by whole pages: as many as leave [`TOP_PAD`] and [`MIN_CHUNK_SIZE`] bytes of it. Not if
    /// other code has moved the break. Only a call of `free` does this, not what else frees a part of a chunk.
    ///
    /// A mapping goes back to the system at once. If its chunk is larger than the mmap threshold, and no larger than
    /// [`MMAP_THRESHOLD_MAX`], the chunk's size becomes the mmap threshold, and twice its size the trim threshold.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed, and nobody uses it any more.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: a block of this malloc that has not been freed is a chunk in use, or a mapping, and nobody uses it any more.
        unsafe {
            let chunk = Chunk::from_payload(payload);
            if !is_mapped(&chunk) {
                self.release(chunk);
                return self.trim();
            }
            let size = chunk.size();
            if size > self.mmap_threshold && size <= MMAP_THRESHOLD_MAX {
                self.mmap_threshold = size;
                self.trim_threshold = 2 * size;
            }
            let lead = lead_of(&chunk);
            self.os.munmap(chunk.header().byte_sub(lead).cast(), lead + size);
        }
    }

    /// A chunk of at least `size` bytes, in use.
    fn take(&mut self, size: usize) -> Option<Chunk> {
        let is_large = size >= self.mmap_threshold;
        self.take_from_free(size)
            .or_else(|| self.take_from_top(size))
            .or_else(|| if is_large { self.map(size) } else { None })
            .or_else(|| {
                self.grow(size)?;
                self.take_from_top(size)
            })
            .or_else(|| if is_large { None } else { self.map(size) })
    }

    fn take_from_free(&mut self, size: usize) -> Option<Chunk> {
        let mut chunk = self.free.take(size)?;
        // SAFETY: `take` gives a chunk of at least `size` bytes that is in no list any more, and the rest is in none yet.
        unsafe {
            if let Some(mut rest) = split(&mut chunk, size) {
                rest.mark_free();
                self.free.put(rest);
            }
            chunk.mark_in_use();
        }
        Some(chunk)
    }

    fn take_from_top(&mut self, size: usize) -> Option<Chunk> {
        let top = self.top.as_mut()?;
        top.size().checked_sub(size).filter(|rest| *rest >= MIN_CHUNK_SIZE)?;
        // SAFETY: the top chunk is in no list, and the rest is large enough for a chunk. `split` says there: in use before.
        let rest = unsafe { split(top, size) }?;
        Some(mem::replace(top, rest))
    }

    /// A mapping with a chunk of at least `size` bytes.
    fn map(&self, size: usize) -> Option<Chunk> {
        let length = mapping_length(size)?;
        let start = self.os.mmap(length)?;
        // SAFETY: a mapping of this length, which nobody uses yet.
        Some(unsafe { mapped_chunk(start, 0, length) })
    }

    /// The same chunk with `size` bytes or more, in a mapping of another length. `None`, and nothing has changed, if the
    /// system refuses and the mapping is too small.
    ///
    /// # Safety
    /// The chunk is a mapping of ours. If it moves, nobody uses the old place any more.
    unsafe fn remap(&self, chunk: &Chunk, size: usize) -> Option<Chunk> {
        let lead = lead_of(chunk);
        let length = lead + chunk.size();
        let needed = mapping_length(lead.checked_add(size)?)?;
        // SAFETY: `lead` bytes before the header the mapping starts. It has `needed` bytes if the system says so.
        unsafe {
            let start = chunk.header().byte_sub(lead).cast();
            let changed = if needed == length { None } else { self.os.mremap(start, length, needed) };
            match changed {
                Some(start) => Some(mapped_chunk(start, lead, needed)),
                None => (needed <= length).then(|| Chunk::from_header(chunk.header())),
            }
        }
    }

    /// Moves the break up so that the top chunk has room for a chunk of `size` bytes.
    fn grow(&mut self, size: usize) -> Option<()> {
        let old_break = self.os.program_break();
        let have = self.top.as_ref().filter(|top| end_of(top) == old_break).map_or(0, Chunk::size);
        let missing = size.checked_add(MIN_CHUNK_SIZE + TOP_PAD)? - have;
        let new_break = old_break.addr().get().checked_add(missing)?.checked_next_multiple_of(PAGE)?;
        let delta = new_break - old_break.addr().get();
        // SAFETY: the break moves up, so nothing is given back.
        let start = unsafe { self.os.sbrk(delta.try_into().ok()?) }?;
        match &mut self.top {
            // SAFETY: the new memory starts where the top chunk ends, so the new size leads to its end.
            Some(top) if end_of(top) == start => unsafe {
                top.set_size_word(top.size_word().with_size(top.size() + delta))
            },
            top => {
                let skipped = start.align_offset(ALIGNMENT);
                // SAFETY: `delta` bytes start here that nobody uses, and the size leads to their end.
                let new = unsafe {
                    let mut new = Chunk::from_header(start.byte_add(skipped).cast());
                    new.set_size_word(SizeWord::new(delta - skipped, SizeWord::PREV_INUSE));
                    new
                };
                if let Some(old) = top.replace(new) {
                    self.retire(old);
                }
            }
        }
        Some(())
    }

    /// Ends the memory of a top chunk with two fences, and frees what is left of it. The second fence says that the first
    /// one is in use, so nothing is ever joined to it; and the first one says whether what is before it is in use.
    fn retire(&mut self, mut old: Chunk) {
        // SAFETY: a top chunk has room for two fences, nobody uses its bytes, and each size leads to the next header.
        unsafe {
            let mut last = Chunk::from_header(old.header().byte_add(old.size() - FENCE_SIZE));
            last.set_size_word(SizeWord::new(FENCE_SIZE, SizeWord::PREV_INUSE));
            old.set_size_word(old.size_word().with_size(old.size() - FENCE_SIZE));
            let left = old.size() - FENCE_SIZE;
            if left >= MIN_CHUNK_SIZE {
                let mut fence = Chunk::from_header(old.header().byte_add(left));
                fence.set_size_word(SizeWord::new(FENCE_SIZE, SizeWord::PREV_INUSE));
                old.set_size_word(old.size_word().with_size(left));
                self.release(old);
            }
        }
    }

    /// Makes a chunk in use at least `size` bytes long, with what follows it. `false`, and nothing has changed, if that is
    /// not enough.
    ///
    /// # Safety
    /// The chunk is in use, and no mapping.
    unsafe fn widen(&mut self, chunk: &mut Chunk, size: usize) -> bool {
        if chunk.size() >= size {
            return true;
        }
        // SAFETY: a chunk in use has a next one. The top chunk and a free chunk are ours to join.
        unsafe {
            let next = chunk.next();
            let both = chunk.size() + next.size();
            match &mut self.top {
                Some(top) if top.header() == next.header() => {
                    if both < size + MIN_CHUNK_SIZE {
                        return false;
                    }
                    join(chunk, next);
                    if let Some(rest) = split(chunk, size) {
                        *top = rest;
                    }
                }
                _ => {
                    if next.is_in_use() || both < size || self.free.remove(&next).is_err() {
                        return false;
                    }
                    join(chunk, next);
                    chunk.mark_in_use();
                }
            }
        }
        true
    }

    /// Frees what a chunk has beyond `size` bytes, if that is a chunk.
    ///
    /// # Safety
    /// The chunk is in use, no mapping, and at least `size` bytes long. Nobody uses what lies beyond.
    unsafe fn release_beyond(&mut self, chunk: &mut Chunk, size: usize) {
        // SAFETY: the chunk is in use, so it is in no list, and so is what is cut off, which nobody uses.
        unsafe {
            if let Some(rest) = split(chunk, size) {
                self.release(rest);
            }
        }
    }

    /// Takes a chunk back.
    ///
    /// # Safety
    /// The chunk is in use, and no mapping, and nobody uses its bytes any more.
    unsafe fn release(&mut self, chunk: Chunk) {
        // Every chunk but a mapping was cut from a top chunk, so there is one.
        if let Some(top) = &mut self.top {
            // SAFETY: the chunk is in use and no mapping, and all free chunks but the top chunk are in `free`.
            unsafe { coalesce(chunk, &mut self.free, top) }
        }
    }

    /// Gives the end of the top chunk back, if that is long enough.
    fn trim(&mut self) {
        let Some(top) = &mut self.top else { return };
        let extra = top.size().saturating_sub(TOP_PAD + MIN_CHUNK_SIZE) / PAGE * PAGE;
        if top.size() < self.trim_threshold || extra == 0 || end_of(top) != self.os.program_break() {
            return;
        }
        // SAFETY: nobody uses the last `extra` bytes of the top chunk. Without them it ends where the break then is.
        unsafe {
            if self.os.sbrk(-extra.cast_signed()).is_some() {
                top.set_size_word(top.size_word().with_size(top.size() - extra));
            }
        }
    }
}

fn is_mapped(chunk: &Chunk) -> bool {
    chunk.size_word().has(SizeWord::IS_MMAPPED)
}

/// How long a mapping has to be: no next chunk lends its `prev_size`, so a word more than the chunk.
fn mapping_length(size: usize) -> Option<usize> {
    size.checked_add(size_of::<usize>())?.checked_next_multiple_of(PAGE)
}

/// Writes the header of a mapping, `lead` bytes after its start.
///
/// # Safety
/// A mapping of `length` bytes starts at `start`, and nobody uses the header's bytes.
unsafe fn mapped_chunk(start: NonNull<u8>, lead: usize, length: usize) -> Chunk {
    // SAFETY: the header is inside the mapping, nobody uses its bytes, and the size leads to the mapping's end.
    unsafe {
        let header = start.byte_add(lead).cast::<Header>();
        (*header.as_ptr()).prev_size = lead;
        let mut chunk = Chunk::from_header(header);
        chunk.set_size_word(SizeWord::new(length - lead, SizeWord::IS_MMAPPED));
        chunk
    }
}

/// How far the chunk is from the start of its mapping.
fn lead_of(chunk: &Chunk) -> usize {
    // SAFETY: `mapped_chunk` has written it, and a mapping has no neighbour who could use that word.
    unsafe { (*chunk.header().as_ptr()).prev_size }
}

/// Where a chunk ends.
fn end_of(chunk: &Chunk) -> NonNull<u8> {
    // SAFETY: a chunk's bytes are in one piece of memory, so its end is in there or one past it.
    unsafe { chunk.header().byte_add(chunk.size()) }.cast()
}
