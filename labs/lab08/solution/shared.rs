//! A malloc that threads share: locks, arenas, and a cache for each thread.

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem;
use core::num::NonZero;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use heapkit::os::{Os, PAGE};
use heapkit::sync::Flag;
use lab02::{ALIGNMENT, Chunk, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab05::FENCE_SIZE;
use lab06::{FastMalloc, bin_of};

/// A value that one thread at a time may use.
#[derive(Debug)]
pub struct Lock<T, F = AtomicBool> {
    is_taken: F,
    value: UnsafeCell<T>,
}

// SAFETY: only the thread that has taken the lock touches the value, and what it did is there to see for the next one.
unsafe impl<T: Send, F: Flag> Sync for Lock<T, F> {}

impl<T, F: Flag> Lock<T, F> {
    /// A lock that nobody has taken.
    pub const fn new(value: T) -> Self {
        Self { is_taken: F::CLEAR, value: UnsafeCell::new(value) }
    }

    /// Takes the lock. While another thread has it, this one lets others go on with [`Flag::pause`], and tries again.
    ///
    /// To look at the flag and to set it has to be one step: between two, another thread could do the same. What the thread
    /// before this one did with the value has to be there to see: [`Ordering::Acquire`].
    pub fn acquire(&self) {
        while self.is_taken.swap(true, Ordering::Acquire) {
            self.is_taken.pause();
        }
    }

    /// Gives the lock back. The next thread that takes it has to see what this one did with the value: [`Ordering::Release`].
    ///
    /// # Safety
    /// This thread has taken the lock, and doesn't use the value any more.
    pub unsafe fn release(&self) {
        self.is_taken.store(false, Ordering::Release);
    }

    /// Takes the lock, does something with the value, and gives the lock back. Who calls it from within waits for ever.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        self.acquire();
        // SAFETY: this thread has taken the lock, so nobody else has a reference to the value.
        let result = use_it(unsafe { &mut *self.value.get() });
        // SAFETY: this thread has taken the lock, and its reference has ended.
        unsafe { self.release() };
        result
    }
}

/// What a check has found. The heap can't be trusted any more, so each ends the program. The sentences are glibc's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// No block starts at such an address.
    InvalidPointer,
    /// The block's size word holds what is no size of a chunk.
    InvalidSize,
    /// The size of the chunk after the block is none, or leads out of the arena.
    InvalidNextSize,
    /// The block ends where its arena has no memory.
    OutsideArena,
    /// The block says that it is a mapping, and the mapping would not consist of whole pages.
    InvalidMapping,
    /// The block is in this thread's cache already.
    DoubleFreeInCache,
    /// The block is the first one of its fast bin already.
    DoubleFreeInFastBin,
    /// The chunk after the block says that the block is free already.
    DoubleFree,
    /// The chunk before the block is free, and its size is not what the block's `prev_size` says.
    SizeAgainstPrevSize,
    /// The chunk before the block is free, and a neighbour in its list doesn't point back to it.
    CorruptedLinks,
    /// A link in the cache leads to where no block can be.
    UnalignedInCache,
    /// The first chunk of a fast bin is none of that size.
    CorruptedFastBin,
    /// The arena doesn't have its own top chunk: the size can be none, or leads out of the arena.
    CorruptedTopSize,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidPointer => "invalid pointer",
            Self::InvalidSize => "invalid size",
            Self::InvalidNextSize => "invalid next size",
            Self::OutsideArena => "double free or corruption (out)",
            Self::InvalidMapping => "munmap_chunk(): invalid pointer",
            Self::DoubleFreeInCache => "double free detected in the cache",
            Self::DoubleFreeInFastBin => "double free or corruption (fasttop)",
            Self::DoubleFree => "double free or corruption (!prev)",
            Self::SizeAgainstPrevSize => "corrupted size vs. prev_size",
            Self::CorruptedLinks => "corrupted double-linked list",
            Self::UnalignedInCache => "unaligned chunk detected in the cache",
            Self::CorruptedFastBin => "memory corruption (fast)",
            Self::CorruptedTopSize => "corrupted top size",
        })
    }
}

/// How many arenas there are at most, the main one included.
pub const ARENA_COUNT: usize = 8;

/// Where the addresses end that Linux gives to a program which doesn't ask for more: at 2⁴⁷ on x86-64, at 2⁴⁸ on 64-bit ARM.
pub const ADDRESS_END: usize = 1 << 48;

/// The number of the arena that has the system's break.
pub const MAIN: usize = 0;

/// How long a region is. It starts at a multiple of this. In glibc: `HEAP_MAX_SIZE`, which is 64 MiB.
pub const REGION_SIZE: usize = 4 << 20;

/// How many bytes of a region come before its first chunk. The first word is the number of the arena to which the region belongs.
pub const REGION_HEADER: usize = 16;

/// Where an arena has its memory from. The main arena has the system's break. Each other arena has a break of its own, which moves
/// through a region, and when that is full, through the next one. The system doesn't get a region back.
#[derive(Debug)]
pub struct ArenaOs<O> {
    os: O,
    arena: usize,
    /// The arena's own break, and where the break's region ends. Both are null until there is a region.
    program_break: Cell<*mut u8>,
    end: Cell<*mut u8>,
}

impl<O: Os> ArenaOs<O> {
    /// The memory of arena number `arena`, which has no region yet.
    pub const fn new(os: O, arena: usize) -> Self {
        Self { os, arena, program_break: Cell::new(ptr::null_mut()), end: Cell::new(ptr::null_mut()) }
    }

    /// Moves the break into a new region: the first one in a mapping of twice [`REGION_SIZE`]. Wherever a mapping of that length
    /// starts, there is a whole region in it, and pages that nobody touches cost nothing. The region's first word becomes the
    /// number of the arena, and the break is then [`REGION_HEADER`] bytes after the region's start.
    ///
    /// `None`, and nothing has changed, if the system refuses.
    pub fn enter_new_region(&self) -> Option<()> {
        let mapping = self.os.mmap(2 * REGION_SIZE)?;
        // SAFETY: the region is in the mapping, of which nobody uses anything yet.
        unsafe {
            let region = mapping.byte_add(mapping.align_offset(REGION_SIZE));
            region.cast::<usize>().write(self.arena);
            self.program_break.set(region.byte_add(REGION_HEADER).as_ptr());
            self.end.set(region.byte_add(REGION_SIZE).as_ptr());
        }
        Some(())
    }
}

// SAFETY: the main arena hands out what the system does. Any other hands out the bytes that its break moves over, which are in a
// mapping of its own, and nobody else gets them before the break has moved down again.
unsafe impl<O: Os> Os for ArenaOs<O> {
    /// The arena's break. Before there is a region, it is [`REGION_HEADER`], as if a region started at address 0: so the break moves
    /// by the same number of bytes into the first region as into any other.
    fn program_break(&self) -> NonNull<u8> {
        if self.arena == MAIN {
            return self.os.program_break();
        }
        let none = const { NonNull::without_provenance(NonZero::new(REGION_HEADER).unwrap()) };
        NonNull::new(self.program_break.get()).unwrap_or(none)
    }

    /// Moves the arena's break. If its region has too few bytes left, or there is none, it is moved into a new one first: to the
    /// malloc that is as if other code had moved the break. A break that moves down stays in its region, and [`Os::discard`] gives
    /// back what it has moved over.
    ///
    /// `None` for more than a region can have, and where [`ArenaOs::enter_new_region`] says it.
    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        if self.arena == MAIN {
            // SAFETY: nobody uses what a negative `delta` gives back (see `# Safety`).
            return unsafe { self.os.sbrk(delta) };
        }
        if delta > (REGION_SIZE - REGION_HEADER).cast_signed() {
            return None;
        }
        if delta > (self.end.get().addr() - self.program_break.get().addr()).cast_signed() {
            self.enter_new_region()?;
        }
        let old = NonNull::new(self.program_break.get())?;
        // SAFETY: upwards the break stays in its region, as was just seen. Downwards too, since nothing is given back but what was
        // handed out last, and the break left the region before only at its end. Nobody uses it (see `# Safety`).
        unsafe {
            let new = old.byte_offset(delta);
            self.program_break.set(new.as_ptr());
            if delta < 0 {
                self.os.discard(new, delta.unsigned_abs());
            }
        }
        Some(old)
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        self.os.mmap(len)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: exactly this mapping, and nobody uses it any more (see `# Safety`).
        unsafe { self.os.munmap(start, len) }
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: exactly this mapping, and nobody uses the old place if it moves (see `# Safety`).
        unsafe { self.os.mremap(start, len, new_len) }
    }
}

/// The size word of a block, for a thread that has not locked the block's arena.
///
/// The size and the arena's flag are the block's own: nobody changes them while the block is in use. But
/// [`SizeWord::PREV_INUSE`] in the same word belongs to the chunk before, and a thread that has locked the arena may change it at
/// any moment. So the word is read in one piece, as an atomic, and P doesn't count. The other thread's writes are those of lab 2:
/// the processor does each in one piece as well, but to Rust it is a write like any other. In Rust's rules both sides should be
/// atomic; glibc reads the word as we do.
///
/// # Safety
/// `payload` is a block that has not been freed.
pub unsafe fn size_word_of(payload: NonNull<u8>) -> SizeWord {
    // SAFETY: a block that has not been freed has a header before it. A `SizeWord` is a `usize`, by `repr(transparent)`.
    unsafe {
        let place = &raw mut (*Chunk::from_payload(payload).header().as_ptr()).size_word;
        mem::transmute(AtomicUsize::from_ptr(place.cast()).load(Ordering::Relaxed))
    }
}

/// The arena to which a block belongs: [`MAIN`], unless its size word has [`SizeWord::NON_MAIN_ARENA`]. Then the first word of its
/// region says it.
///
/// The arena need not be locked: the size word is read by [`size_word_of`].
///
/// # Safety
/// `payload` is a block that has not been freed.
pub unsafe fn arena_of(payload: NonNull<u8>) -> usize {
    // SAFETY: a block that has not been freed. If it is in a region, that starts at the last multiple of `REGION_SIZE`.
    unsafe {
        if !size_word_of(payload).has(SizeWord::NON_MAIN_ARENA) {
            return MAIN;
        }
        payload.byte_sub(payload.addr().get() % REGION_SIZE).cast::<usize>().read()
    }
}

/// Sets [`SizeWord::NON_MAIN_ARENA`] in a chunk's size word, or clears it for [`MAIN`]. A mapping belongs to no arena: its word
/// stays as it is.
///
/// # Safety
/// The chunk is in use, and its arena is locked: a neighbour may write the same word.
pub unsafe fn label(chunk: &mut Chunk, arena: usize) {
    let word = chunk.size_word();
    if word.has(SizeWord::IS_MMAPPED) || word.has(SizeWord::NON_MAIN_ARENA) == (arena != MAIN) {
        return;
    }
    let flags = if arena == MAIN { 0 } else { SizeWord::NON_MAIN_ARENA };
    let labelled = SizeWord::new(word.size(), flags).with_prev_in_use(word.has(SizeWord::PREV_INUSE));
    // SAFETY: the size stays, so it leads to the same next header, and nobody else writes the word meanwhile.
    unsafe { chunk.set_size_word(labelled) };
}

/// How many bytes of one size a cache keeps at most, counted in whole chunks. So many short ones fit that most programs stay in
/// their caches, and a thread holds no more than 8 MiB back. In glibc a list has 7 blocks of whatever size, and 16 since 2.43.
pub const CACHED_BYTES: usize = 128 << 10;

/// Blocks whose chunks have this size or more are not cached. In glibc it is 1056.
pub const CACHE_LIMIT: usize = 1024;

/// One for each chunk size below [`CACHE_LIMIT`], at the index `size / ALIGNMENT`. The first two stay empty.
pub const CACHE_BINS: usize = CACHE_LIMIT / ALIGNMENT;

/// What the second word of a cached block says: hardly any program has this word by chance. glibc draws its own for each process.
pub const CACHE_KEY: usize = 0x6b65_7074_2062_7920;

/// What the first two words of a block hold while it is in a cache.
#[derive(Debug)]
#[repr(C)]
pub struct Cached {
    /// The next block of this size, masked by [`mask`]. To a block, not to its header.
    pub next: *mut Cached,
    /// [`CACHE_KEY`].
    pub key: usize,
}

/// Masks a link with the place where it is kept: the link's address XOR the place's address divided by [`PAGE`]. Masked once more,
/// it is the link again. Who wants to write a link that leads to a place of their choice has to know where the heap is. In glibc:
/// `PROTECT_PTR`.
pub fn mask(place: *mut Cached, link: *mut Cached) -> *mut Cached {
    link.map_addr(|addr| addr ^ (place.addr() / PAGE))
}

/// Blocks that a thread has freed and keeps for itself. Nobody else looks here, so no lock is needed.
///
/// There is a list for each chunk size below [`CACHE_LIMIT`], one way, and last in, first out. The chunks stay marked as in use.
#[derive(Debug)]
pub struct Cache {
    /// The block that was put in last, null if there is none.
    heads: [*mut Cached; CACHE_BINS],
    /// How many more bytes may be put in.
    room: [usize; CACHE_BINS],
    /// The arena from which this thread takes its blocks. `None` until it asks for the first one.
    arena: Option<usize>,
}

impl Cache {
    /// A cache without blocks, with room for [`CACHED_BYTES`] of each size.
    pub const fn new() -> Self {
        Self::with_room(CACHED_BYTES)
    }

    /// A cache without blocks, with room for so many bytes of each size, [`CACHED_BYTES`] at most. The exam and the book's figures take
    /// small ones, which fill soon.
    pub const fn with_room(bytes: usize) -> Self {
        Self { heads: [ptr::null_mut(); CACHE_BINS], room: [bytes; CACHE_BINS], arena: None }
    }

    /// The block of each size that was put in last, null if there is none.
    pub const fn heads(&self) -> &[*mut Cached; CACHE_BINS] {
        &self.heads
    }

    /// How many more bytes of each size may be put in.
    pub const fn room(&self) -> &[usize; CACHE_BINS] {
        &self.room
    }

    /// The arena from which this thread takes its blocks, if it has asked for one yet.
    pub const fn arena(&self) -> Option<usize> {
        self.arena
    }

    /// Puts in a block whose chunk has `size` bytes: its two words become [`Cached`], and there are so many bytes less room for this
    /// size. `false`, and nothing has changed, if the chunk has [`CACHE_LIMIT`] bytes or more, or the room is less than `size`.
    ///
    /// # Safety
    /// The payload is a block whose chunk has this size. It is in no list, and nobody uses it any more.
    pub unsafe fn push(&mut self, payload: NonNull<u8>, size: usize) -> bool {
        let bin = size / ALIGNMENT;
        let Some(room) = self.room.get_mut(bin).filter(|room| **room >= size) else { return false };
        *room -= size;
        let block = payload.cast::<Cached>().as_ptr();
        // SAFETY: nobody uses the block, and every block has room for two words and is aligned for them.
        unsafe { block.write(Cached { next: mask(block, self.heads[bin]), key: CACHE_KEY }) };
        self.heads[bin] = block;
        true
    }

    /// Takes out the block of this chunk size that was put in last. Both words are cleared, so that the
    /// program learns no address from them, and the room has its bytes again.
    ///
    /// # Errors
    /// [`Corruption::UnalignedInCache`], and nothing has changed, if the block's link, unmasked, is no multiple of [`ALIGNMENT`].
    pub fn pop(&mut self, size: usize) -> Result<Option<NonNull<u8>>, Corruption> {
        let bin = size / ALIGNMENT;
        let Some(head) = self.heads.get(bin).copied().and_then(NonNull::new) else { return Ok(None) };
        // SAFETY: `push` has put this block here and written its words, or it was the next one of such a block.
        unsafe {
            self.heads[bin] = next_of(head.as_ptr())?;
            head.write(Cached { next: ptr::null_mut(), key: 0 });
        }
        self.room[bin] += size;
        Ok(Some(head.cast()))
    }

    /// Whether a block whose chunk has `size` bytes is here already. Only for a block with the key in its second word the list is
    /// searched, so hardly ever for one that isn't here; and no further than a list can be long.
    ///
    /// # Errors
    /// [`Corruption::UnalignedInCache`], if a link of the list, unmasked, is no multiple of [`ALIGNMENT`].
    ///
    /// # Safety
    /// The payload is a block whose chunk has this size, and no program uses it any more.
    pub unsafe fn holds(&self, payload: NonNull<u8>, size: usize) -> Result<bool, Corruption> {
        let block = payload.cast::<Cached>().as_ptr();
        let mut at = self.heads.get(size / ALIGNMENT).copied().unwrap_or_default();
        // SAFETY: a block has two words, and each block of the list was put here by `push`.
        unsafe {
            if (*block).key != CACHE_KEY {
                return Ok(false);
            }
            for _ in 0..CACHED_BYTES / MIN_CHUNK_SIZE {
                if at.is_null() || at == block {
                    break;
                }
                at = next_of(at)?;
            }
        }
        Ok(at == block)
    }

    /// Lets no block in any more.
    fn close(&mut self) {
        self.room = [0; CACHE_BINS];
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

/// The block after a cached one.
///
/// # Safety
/// The block is in a cache.
unsafe fn next_of(block: *mut Cached) -> Result<*mut Cached, Corruption> {
    // SAFETY: `push` has written the block's words.
    let next = mask(block, unsafe { (*block).next });
    if next.addr().is_multiple_of(ALIGNMENT) { Ok(next) } else { Err(Corruption::UnalignedInCache) }
}

/// A malloc of lab 6 with memory of its own, and checks around it. One thread at a time may use it.
///
/// Its blocks have [`SizeWord::NON_MAIN_ARENA`] in their size words, unless it is the main one. The malloc doesn't know of this flag:
/// its own chunks, the free ones and those in fast bins, don't have it.
#[derive(Debug)]
pub struct Arena<O> {
    malloc: FastMalloc<ArenaOs<O>>,
    os: O,
    number: usize,
}

// SAFETY: all its pointers lead into memory that it alone uses, on whatever thread.
unsafe impl<O: Send> Send for Arena<O> {}

impl<O: Os + Copy> Arena<O> {
    /// Arena number `number`, which has asked the system for nothing yet.
    pub const fn new(os: O, number: usize) -> Self {
        Self { malloc: FastMalloc::new(ArenaOs::new(os, number)), os, number }
    }

    /// The malloc.
    pub const fn malloc(&self) -> &FastMalloc<ArenaOs<O>> {
        &self.malloc
    }

    /// A block whose chunk has `size` bytes or more, from the malloc: `ask` says what is wanted of it. The block gets this arena's
    /// [`label`].
    ///
    /// # Errors
    /// Before it asks, and nothing has changed: [`Corruption::CorruptedFastBin`] if the first chunk of the fast bin of this size is
    /// not aligned to [`ALIGNMENT`], or has another size. Where that bin is empty, [`Corruption::CorruptedTopSize`] if there is a top
    /// chunk that the arena doesn't have (see [`Arena::has`]).
    pub fn take(
        &mut self,
        size: usize,
        ask: impl FnOnce(&mut FastMalloc<ArenaOs<O>>) -> Option<NonNull<u8>>,
    ) -> Result<Option<NonNull<u8>>, Corruption> {
        let fast_bin = self.malloc.fast_bins().get(bin_of(size));
        if let Some(first) = fast_bin.and_then(|bin| NonNull::new(bin.head())) {
            // SAFETY: the first chunk of a fast bin. If it isn't, its size word is most likely not this size.
            let is_sound =
                first.addr().get().is_multiple_of(ALIGNMENT) && unsafe { Chunk::from_header(first) }.size() == size;
            if !is_sound {
                return Err(Corruption::CorruptedFastBin);
            }
        } else if self.malloc.top().is_some_and(|top| !self.has(top)) {
            return Err(Corruption::CorruptedTopSize);
        }
        let Some(payload) = ask(&mut self.malloc) else { return Ok(None) };
        // SAFETY: a block that was just made. The arena is locked, if others share it.
        unsafe { label(&mut Chunk::from_payload(payload), self.number) };
        Ok(Some(payload))
    }

    /// Makes a block hold `request` bytes, and says where it then is, as [`FastMalloc::realloc`] does. The block has the arena's label
    /// before and after.
    ///
    /// # Errors
    /// Where [`Arena::check`] says it, and nothing has changed.
    ///
    /// # Safety
    /// As for [`FastMalloc::realloc`]; what the checks look for is allowed.
    pub unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Result<Option<NonNull<u8>>, Corruption> {
        // SAFETY: a block of this arena that has not been freed (see `# Safety`). Where there is no new one, it is as it was.
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            self.check(&chunk)?;
            label(&mut chunk, MAIN);
            let new = self.malloc.realloc(payload, request);
            label(&mut Chunk::from_payload(new.unwrap_or(payload)), self.number);
            Ok(new)
        }
    }

    /// Takes a block back, as [`FastMalloc::free`] does, without the label.
    ///
    /// # Errors
    /// Where [`Arena::check`] says it, and nothing has changed.
    ///
    /// # Safety
    /// As for [`FastMalloc::free`]; what the checks look for is allowed.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) -> Result<(), Corruption> {
        // SAFETY: a block of this arena that has not been freed, and nobody uses it any more (see `# Safety`).
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            self.check(&chunk)?;
            label(&mut chunk, MAIN);
            self.malloc.free(payload);
        }
        Ok(())
    }

    /// Looks at a block that is about to be freed, and at what is around it.
    ///
    /// # Errors
    /// The first of these that is so. For a mapping only [`Corruption::InvalidMapping`]: where it would start, `prev_size` bytes
    /// before its header, or where it would end is no multiple of [`PAGE`]. For any other block
    ///
    /// 1. [`Corruption::OutsideArena`]: the arena doesn't have the chunk (see [`Arena::has`]);
    /// 2. [`Corruption::InvalidNextSize`]: the arena doesn't have the chunk after it, with its size;
    /// 3. [`Corruption::DoubleFree`]: the chunk after it says that it is free;
    /// 4. [`Corruption::DoubleFreeInFastBin`]: it is the first chunk of the fast bin of its size;
    /// 5. [`Corruption::SizeAgainstPrevSize`]: the chunk before it is free, but has not the size that `prev_size` says;
    /// 6. [`Corruption::CorruptedLinks`]: that chunk's `fd` or `bk` is not null, and is not aligned to [`ALIGNMENT`] or leads to a
    ///    chunk whose `bk` or `fd` doesn't lead back.
    ///
    /// # Safety
    /// A header can be read before the block. What else is read, can be read if the heap is in order, and most likely if it isn't.
    pub unsafe fn check(&self, chunk: &Chunk) -> Result<(), Corruption> {
        let at = chunk.header().addr().get();
        let fail_if = |is_so, found| if is_so { Err(found) } else { Ok(()) };
        // SAFETY: the header can be read. The next chunk is in the arena, as is checked first, and so is the one before if the words
        // around it agree. A link that isn't null leads to a chunk of the arena, or an attacker has written it.
        unsafe {
            if chunk.size_word().has(SizeWord::IS_MMAPPED) {
                let start = at.wrapping_sub((*chunk.header().as_ptr()).prev_size);
                let is_whole = start.is_multiple_of(PAGE) && at.wrapping_add(chunk.size()).is_multiple_of(PAGE);
                return fail_if(!is_whole, Corruption::InvalidMapping);
            }
            fail_if(!self.has(chunk), Corruption::OutsideArena)?;
            fail_if(!self.has(&chunk.next()), Corruption::InvalidNextSize)?;
            fail_if(!chunk.is_in_use(), Corruption::DoubleFree)?;
            let fast_bin = self.malloc.fast_bins().get(bin_of(chunk.size()));
            let is_first = fast_bin.is_some_and(|bin| bin.head() == chunk.header().as_ptr());
            fail_if(is_first, Corruption::DoubleFreeInFastBin)?;
            if let Some(before) = chunk.prev() {
                let leads_here = before.header().addr().get().wrapping_add(before.size()) == at;
                fail_if(!leads_here, Corruption::SizeAgainstPrevSize)?;
                let this = before.header().as_ptr();
                let (fd, bk) = ((*this).fd, (*this).bk);
                let is_linked = (fd.is_null() || fd.addr().is_multiple_of(ALIGNMENT) && (*fd).bk == this)
                    && (bk.is_null() || bk.addr().is_multiple_of(ALIGNMENT) && (*bk).fd == this);
                fail_if(!is_linked, Corruption::CorruptedLinks)?;
            }
        }
        Ok(())
    }

    /// Whether a chunk can be one of this arena: its size is a multiple of [`ALIGNMENT`] and at least [`FENCE_SIZE`], and it ends where
    /// the arena may have memory. The main arena has none beyond the system's break. In any other, a chunk ends in the region in
    /// which it starts.
    pub fn has(&self, chunk: &Chunk) -> bool {
        let (start, size) = (chunk.header().addr().get(), chunk.size());
        if size < FENCE_SIZE || !size.is_multiple_of(ALIGNMENT) {
            return false;
        }
        start.checked_add(size - 1).is_some_and(|last| match self.number {
            MAIN => last < self.os.program_break().addr().get(),
            _ => last / REGION_SIZE == start / REGION_SIZE,
        })
    }
}

/// Why C's functions have no block to give, as `errno` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// What was asked for makes no sense. In C: `EINVAL`.
    InvalidArgument,
    /// There is no memory for it. In C: `ENOMEM`.
    OutOfMemory,
}

/// A malloc that any number of threads may use at the same time. Each brings its own [`Cache`], and a cache is used with one malloc.
#[derive(Debug)]
pub struct SharedMalloc<O, F = AtomicBool> {
    arenas: [Lock<Arena<O>, F>; ARENA_COUNT],
    /// The arena of the next thread that asks for its first block.
    next_arena: Lock<usize, F>,
    /// What happens when the heap is found to be corrupted. No arena is locked then.
    report: fn(Corruption) -> !,
}

impl<O: Os + Copy, F: Flag> SharedMalloc<O, F> {
    /// A malloc that has asked the system for nothing yet. `report` is called if the heap is found to be corrupted.
    pub const fn new(os: O, report: fn(Corruption) -> !) -> Self {
        let arenas = [
            Lock::new(Arena::new(os, 0)),
            Lock::new(Arena::new(os, 1)),
            Lock::new(Arena::new(os, 2)),
            Lock::new(Arena::new(os, 3)),
            Lock::new(Arena::new(os, 4)),
            Lock::new(Arena::new(os, 5)),
            Lock::new(Arena::new(os, 6)),
            Lock::new(Arena::new(os, 7)),
        ];
        Self { arenas, next_arena: Lock::new(MAIN), report }
    }

    /// Locks an arena, and looks at it.
    ///
    /// # Panics
    /// If there is no arena of this number.
    pub fn inspect<R>(&self, arena: usize, look: impl FnOnce(&Arena<O>) -> R) -> R {
        self.arenas[arena].with(|arena| look(arena))
    }

    /// A block of `request` bytes: from the cache, if that has one of this chunk size. Else by [`FastMalloc::malloc`] from the
    /// thread's arena; and if that has none and is not the main arena, from the main arena.
    ///
    /// A thread that needs an arena for the first time gets the next one: the first thread gets the main arena, the second one number
    /// 1, and after the last arena it is the main arena's turn again. It keeps it.
    ///
    /// `None` if no block can be that large, or none of these has one.
    pub fn malloc(&self, cache: &mut Cache, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        self.sound(cache.pop(size)).or_else(|| self.take(cache, size, |malloc| malloc.malloc(request)))
    }

    /// A block of `count` times `size` bytes, all of them 0, from the same places: from an arena by [`FastMalloc::calloc`].
    ///
    /// `None` as for [`SharedMalloc::malloc`], and if `count` times `size` is more than a word can hold.
    pub fn calloc(&self, cache: &mut Cache, count: usize, size: usize) -> Option<NonNull<u8>> {
        let request = count.checked_mul(size)?;
        let chunk_size = request_to_chunk_size(request)?;
        match self.sound(cache.pop(chunk_size)) {
            Some(payload) => {
                // SAFETY: a block of `request` bytes that nobody uses yet.
                unsafe { payload.write_bytes(0, request) };
                Some(payload)
            }
            None => self.take(cache, chunk_size, |malloc| malloc.calloc(count, size)),
        }
    }

    /// A block of `request` bytes that starts at a multiple of `align`, by [`FastMalloc::aligned`], from the thread's arena or the
    /// main one. Where every block is aligned enough, that is for an `align` of [`ALIGNMENT`] or less, it is a block of
    /// [`SharedMalloc::malloc`].
    ///
    /// `None` as for [`SharedMalloc::malloc`], and if `align` is no power of two.
    pub fn aligned(&self, cache: &mut Cache, align: usize, request: usize) -> Option<NonNull<u8>> {
        if align.is_power_of_two() && align <= ALIGNMENT {
            return self.malloc(cache, request);
        }
        self.take(cache, request_to_chunk_size(request)?, |malloc| malloc.aligned(align, request))
    }

    /// Makes a block hold `request` bytes, by [`Arena::realloc`] of the arena to which it belongs, and says where it then is. A
    /// mapping belongs to no arena: the thread's own does it.
    ///
    /// # Safety
    /// As for [`SharedMalloc::free`], except that the block may still be used: if it moves, nobody uses the old place any more.
    pub unsafe fn realloc(&self, cache: &mut Cache, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: a block that has not been freed (see `# Safety`).
        unsafe {
            self.check(payload);
            let home = self.home(cache, payload);
            self.sound(home.with(|arena| arena.realloc(payload, request)))
        }
    }

    /// Takes a block back: into the cache, if it has room. Else by [`Arena::free`] into the arena to which it belongs, or, if it is a
    /// mapping, which belongs to none, into the thread's own: that one learns from the size.
    ///
    /// Every block is looked at first, without a lock. Reported are, in this order, [`Corruption::InvalidPointer`] for an address that
    /// is no multiple of [`ALIGNMENT`], or a region with the number of no arena; [`Corruption::InvalidSize`] for a size of less than
    /// [`MIN_CHUNK_SIZE`], one that is no multiple of [`ALIGNMENT`], or one that leads beyond [`ADDRESS_END`];
    /// [`Corruption::DoubleFreeInCache`] by [`Cache::holds`]; and what [`Arena::check`] finds if the cache doesn't take the block.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed, and nobody uses it any more. If it isn't, the checks may find
    /// that out, or not. The cache has been used with this malloc only.
    pub unsafe fn free(&self, cache: &mut Cache, payload: NonNull<u8>) {
        // SAFETY: a block that has not been freed, or one that the checks report (see `# Safety`).
        unsafe {
            let size = self.check(payload);
            if self.sound(cache.holds(payload, size)) {
                (self.report)(Corruption::DoubleFreeInCache);
            }
            if !cache.push(payload, size) {
                self.give_back(cache, payload);
            }
        }
    }

    /// Empties a cache, since its thread is about to end: each block goes by [`Arena::free`] to the arena to which it belongs. From
    /// then on the cache has room for nothing, so that all blocks the thread still asks for and frees come from arenas and go there.
    pub fn retire(&self, cache: &mut Cache) {
        for size in (MIN_CHUNK_SIZE..CACHE_LIMIT).step_by(ALIGNMENT) {
            while let Some(payload) = self.sound(cache.pop(size)) {
                // SAFETY: a block of this malloc that was freed into the cache, and has just left it.
                unsafe { self.give_back(cache, payload) };
            }
        }
        cache.close();
    }

    /// Takes all locks, always in the same order, so that no other thread is in the middle of something when the process is copied.
    pub fn before_fork(&self) {
        self.next_arena.acquire();
        self.arenas.iter().for_each(Lock::acquire);
    }

    /// Gives all locks back: both the parent and the child call it.
    ///
    /// # Safety
    /// This thread, or in the child the one of which it is the copy, has called [`SharedMalloc::before_fork`].
    pub unsafe fn after_fork(&self) {
        for arena in &self.arenas {
            // SAFETY: `before_fork` has taken the lock, and nobody has a reference to the arena.
            unsafe { arena.release() };
        }
        // SAFETY: `before_fork` has taken this one, too.
        unsafe { self.next_arena.release() };
    }

    /// A block for a [`Layout`]: as Rust's `GlobalAlloc::alloc` wants it.
    pub fn allocate(&self, cache: &mut Cache, layout: Layout) -> Option<NonNull<u8>> {
        self.aligned(cache, layout.align(), layout.size())
    }

    /// The same, with all bytes 0: as `GlobalAlloc::alloc_zeroed` wants it. By [`SharedMalloc::calloc`], unless the alignment is more
    /// than [`ALIGNMENT`].
    pub fn allocate_zeroed(&self, cache: &mut Cache, layout: Layout) -> Option<NonNull<u8>> {
        if layout.align() <= ALIGNMENT {
            return self.calloc(cache, 1, layout.size());
        }
        let payload = self.allocate(cache, layout)?;
        // SAFETY: a block of this size that nobody uses yet.
        unsafe { payload.write_bytes(0, layout.size()) };
        Some(payload)
    }

    /// Makes a block of this layout hold `new_size` bytes, as `GlobalAlloc::realloc` wants it. By [`SharedMalloc::realloc`], unless the
    /// alignment is more than [`ALIGNMENT`]: a block that moves there would lose it. Then it always moves.
    ///
    /// # Safety
    /// As for [`SharedMalloc::realloc`], and the block was asked for with this layout.
    pub unsafe fn reallocate(
        &self,
        cache: &mut Cache,
        payload: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: a block that has not been freed (see `# Safety`), and another one of `new_size` bytes.
        unsafe {
            if layout.align() <= ALIGNMENT {
                return self.realloc(cache, payload, new_size);
            }
            let new = self.aligned(cache, layout.align(), new_size)?;
            new.copy_from_nonoverlapping(payload, layout.size().min(new_size));
            self.free(cache, payload);
            Some(new)
        }
    }

    /// C's `posix_memalign`.
    ///
    /// # Errors
    /// [`Errno::InvalidArgument`] if `align` is no power of two, or no multiple of the size of a pointer.
    /// [`Errno::OutOfMemory`] if there is no block.
    pub fn posix_memalign(&self, cache: &mut Cache, align: usize, request: usize) -> Result<NonNull<u8>, Errno> {
        if !align.is_multiple_of(size_of::<*mut u8>()) {
            return Err(Errno::InvalidArgument);
        }
        self.aligned_alloc(cache, align, request)
    }

    /// C's `aligned_alloc`. The request need not be a multiple of the alignment: newer standards don't ask for it.
    ///
    /// # Errors
    /// [`Errno::InvalidArgument`] if `align` is no power of two. [`Errno::OutOfMemory`] if there is no block.
    pub fn aligned_alloc(&self, cache: &mut Cache, align: usize, request: usize) -> Result<NonNull<u8>, Errno> {
        if !align.is_power_of_two() {
            return Err(Errno::InvalidArgument);
        }
        self.aligned(cache, align, request).ok_or(Errno::OutOfMemory)
    }

    /// C's old `memalign`: an `align` that is no power of two counts as the next one, 0 as 1.
    ///
    /// # Errors
    /// [`Errno::InvalidArgument`] if there is no next one. [`Errno::OutOfMemory`] if there is no block.
    pub fn memalign(&self, cache: &mut Cache, align: usize, request: usize) -> Result<NonNull<u8>, Errno> {
        let align = align.checked_next_power_of_two().ok_or(Errno::InvalidArgument)?;
        self.aligned_alloc(cache, align, request)
    }

    /// C's old `pvalloc`: whole pages, which start at a multiple of [`PAGE`]. `valloc` is [`SharedMalloc::memalign`] with [`PAGE`].
    ///
    /// # Errors
    /// [`Errno::OutOfMemory`] if there is no block.
    pub fn pvalloc(&self, cache: &mut Cache, request: usize) -> Result<NonNull<u8>, Errno> {
        let whole = request.checked_next_multiple_of(PAGE).ok_or(Errno::OutOfMemory)?;
        self.aligned_alloc(cache, PAGE, whole)
    }

    /// C's `reallocarray`, and with a `count` of 1 its `realloc`. Without a block it is [`SharedMalloc::malloc`]. A block that shall
    /// hold 0 bytes is freed, and there is none: `Ok(None)`. In all other cases it is [`SharedMalloc::realloc`].
    ///
    /// # Errors
    /// [`Errno::OutOfMemory`] if `count` times `size` is more than a word can hold, or there is no block. The old one is as it was.
    ///
    /// # Safety
    /// As for [`SharedMalloc::realloc`], if there is a block.
    pub unsafe fn reallocarray(
        &self,
        cache: &mut Cache,
        block: Option<NonNull<u8>>,
        count: usize,
        size: usize,
    ) -> Result<Option<NonNull<u8>>, Errno> {
        let request = count.checked_mul(size).ok_or(Errno::OutOfMemory)?;
        let new = match block {
            None => self.malloc(cache, request),
            Some(payload) if request == 0 => {
                // SAFETY: a block that has not been freed, and nobody uses it any more (see `# Safety`).
                unsafe { self.free(cache, payload) };
                return Ok(None);
            }
            // SAFETY: a block that has not been freed (see `# Safety`).
            Some(payload) => unsafe { self.realloc(cache, payload, request) },
        };
        new.map(Some).ok_or(Errno::OutOfMemory)
    }

    /// What a check has let pass.
    fn sound<T>(&self, checked: Result<T, Corruption>) -> T {
        checked.unwrap_or_else(|found| (self.report)(found))
    }

    /// Gives a block to the arena that looks after it.
    ///
    /// # Safety
    /// As for [`SharedMalloc::free`].
    #[inline(never)] // Most calls end before this one, with a few instructions.
    unsafe fn give_back(&self, cache: &mut Cache, payload: NonNull<u8>) {
        // SAFETY: a block that nobody uses any more, or one that the checks report (see `# Safety`).
        unsafe {
            let home = self.home(cache, payload);
            self.sound(home.with(|arena| arena.free(payload)));
        }
    }

    /// A block from the thread's arena, or else from the main arena.
    #[inline(never)] // Most calls end before this one, with a few instructions.
    fn take(
        &self,
        cache: &mut Cache,
        size: usize,
        ask: impl Fn(&mut FastMalloc<ArenaOs<O>>) -> Option<NonNull<u8>>,
    ) -> Option<NonNull<u8>> {
        let from = |number: usize| self.sound(self.arenas[number].with(|arena| arena.take(size, &ask)));
        let own = self.arena_for(cache);
        from(own).or_else(|| if own == MAIN { None } else { from(MAIN) })
    }

    /// The number of the thread's arena.
    fn arena_for(&self, cache: &mut Cache) -> usize {
        *cache.arena.get_or_insert_with(|| {
            self.next_arena.with(|next| {
                let arena = *next;
                *next = (arena + 1) % ARENA_COUNT;
                arena
            })
        })
    }

    /// The arena that looks after a block.
    ///
    /// # Safety
    /// As for [`arena_of`].
    unsafe fn home(&self, cache: &mut Cache, payload: NonNull<u8>) -> &Lock<Arena<O>, F> {
        // SAFETY: a block that has not been freed (see `# Safety`).
        let number = unsafe {
            if size_word_of(payload).has(SizeWord::IS_MMAPPED) { self.arena_for(cache) } else { arena_of(payload) }
        };
        self.arenas.get(number).unwrap_or_else(|| (self.report)(Corruption::InvalidPointer))
    }

    /// Reports what can be no block, and says the size of its chunk.
    ///
    /// # Safety
    /// A header can be read before `payload`.
    unsafe fn check(&self, payload: NonNull<u8>) -> usize {
        let at = payload.addr().get();
        if !at.is_multiple_of(ALIGNMENT) {
            (self.report)(Corruption::InvalidPointer);
        }
        // SAFETY: the size word can be read (see `# Safety`).
        let size = unsafe { size_word_of(payload) }.size();
        let is_too_long = at.checked_add(size).is_none_or(|end| end > ADDRESS_END);
        if size < MIN_CHUNK_SIZE || !size.is_multiple_of(ALIGNMENT) || is_too_long {
            (self.report)(Corruption::InvalidSize);
        }
        size
    }
}
