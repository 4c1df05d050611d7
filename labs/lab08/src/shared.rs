//! A malloc that threads share: locks, arenas, and a cache for each thread.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};
use heapkit::os::Os;
use heapkit::sync::Flag;
use lab02::{ALIGNMENT, Chunk, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};
use lab06::FastMalloc;

/// A value that one thread at a time may use.
#[derive(Debug)]
pub struct Lock<T, F = AtomicBool> {
    is_taken: F,
    value: UnsafeCell<T>,
}

// SAFETY: whoever has taken the lock is the only one to touch the value, and hands it on when the lock is released.
unsafe impl<T: Send, F: Flag> Sync for Lock<T, F> {}

impl<T, F: Flag> Lock<T, F> {
    /// A lock that nobody has taken.
    pub const fn new(value: T) -> Self {
        Self { is_taken: F::CLEAR, value: UnsafeCell::new(value) }
    }

    /// Waits until nobody has the lock, and takes it. What the thread before did with the value is then there to see.
    pub fn acquire(&self) {
        while self.is_taken.swap(true, Ordering::Acquire) {
            self.is_taken.pause();
        }
    }

    /// Gives the lock back: the next thread may take it, and sees what this one did with the value.
    ///
    /// # Safety
    /// This thread has taken the lock, and uses the value no more.
    pub unsafe fn release(&self) {
        self.is_taken.store(false, Ordering::Release);
    }

    /// Takes the lock, does something with the value, and gives the lock back.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut T) -> R) -> R {
        self.acquire();
        // SAFETY: the lock is taken, so nobody else has a reference to the value.
        let result = use_it(unsafe { &mut *self.value.get() });
        // SAFETY: this thread has taken the lock, and its reference has ended.
        unsafe { self.release() };
        result
    }
}

/// What a check has found. Each ends the program, since the heap can't be trusted any more. The sentences are glibc's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// No block starts at such an address.
    InvalidPointer,
    /// The block's size word holds what no chunk has.
    InvalidSize,
    /// The chunk after the block has a size that no chunk has.
    InvalidNextSize,
    /// The block is in this thread's cache already.
    DoubleFreeInCache,
    /// The block is the first one of its fast bin already.
    DoubleFreeInFastBin,
    /// The chunk after the block says that it is free already.
    DoubleFree,
    /// The chunk before the block is free, and its size is not what `prev_size` says.
    SizeAgainstPrevSize,
    /// A link in the cache leads to where no block can be.
    UnalignedInCache,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidPointer => "free(): invalid pointer",
            Self::InvalidSize => "free(): invalid size",
            Self::InvalidNextSize => "free(): invalid next size",
            Self::DoubleFreeInCache => "free(): double free detected in the cache",
            Self::DoubleFreeInFastBin => "double free or corruption (fasttop)",
            Self::DoubleFree => "double free or corruption (!prev)",
            Self::SizeAgainstPrevSize => "corrupted size vs. prev_size",
            Self::UnalignedInCache => "malloc(): unaligned chunk detected in the cache",
        })
    }
}

/// How many arenas there are at most, the main one included.
pub const ARENA_COUNT: usize = 8;

/// How long a region is, and where it starts: at a multiple of this. In glibc: `HEAP_MAX_SIZE`, which is 64 MiB.
pub const REGION_SIZE: usize = 4 << 20;

/// How many bytes of a region come before its first chunk. The first word says to which arena the region belongs.
pub const REGION_HEADER: usize = 16;

/// Where an arena has its memory from. The main arena, number 0, has the system's break. Each other arena has a break of its own,
/// which moves through regions of [`REGION_SIZE`] bytes.
#[derive(Debug)]
pub struct ArenaOs<O> {
    os: O,
    arena: usize,
    /// The arena's own break, and where the break's region ends. Both null until there is a region.
    program_break: Cell<*mut u8>,
    end: Cell<*mut u8>,
}

impl<O: Os> ArenaOs<O> {
    /// The memory of arena number `arena`, which has no region yet.
    pub const fn new(os: O, arena: usize) -> Self {
        Self { os, arena, program_break: Cell::new(ptr::null_mut()), end: Cell::new(ptr::null_mut()) }
    }

    /// Moves the break into a new region. A mapping of twice the length has one at a multiple of [`REGION_SIZE`] in it, wherever it
    /// starts, and pages that nobody touches cost nothing.
    fn enter_new_region(&self) -> Option<()> {
        let mapping = self.os.mmap(2 * REGION_SIZE)?;
        // SAFETY: all in the mapping, of which nobody uses anything yet.
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
// mapping of its own and come back to nobody until the break has moved down.
unsafe impl<O: Os> Os for ArenaOs<O> {
    fn program_break(&self) -> NonNull<u8> {
        if self.arena == MAIN {
            return self.os.program_break();
        }
        NonNull::new(self.program_break.get()).unwrap_or(NonNull::<[u8; ALIGNMENT]>::dangling().cast())
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        if self.arena == MAIN {
            // SAFETY: nobody uses what a negative `delta` gives back (see `# Safety`).
            return unsafe { self.os.sbrk(delta) };
        }
        if delta > (REGION_SIZE - REGION_HEADER).cast_signed() {
            return None;
        }
        let left = self.end.get().addr().wrapping_sub(self.program_break.get().addr());
        if delta > left.cast_signed() {
            self.enter_new_region()?;
        }
        let old = NonNull::new(self.program_break.get())?;
        // SAFETY: upwards the break stays in its region, and downwards it never leaves it, since only the arena's own last chunk is
        // given back.
        self.program_break.set(unsafe { old.byte_offset(delta) }.as_ptr());
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

/// The number of the arena that has the system's break.
pub const MAIN: usize = 0;

/// The arena to which a block belongs: [`MAIN`], unless its size word has [`SizeWord::NON_MAIN_ARENA`]. Then the first word of its
/// region says it.
///
/// # Safety
/// `payload` is a block that has not been freed.
pub unsafe fn arena_of(payload: NonNull<u8>) -> usize {
    // SAFETY: a block that has not been freed has a header before it, and its region one at a multiple of `REGION_SIZE`.
    unsafe {
        if !Chunk::from_payload(payload).size_word().has(SizeWord::NON_MAIN_ARENA) {
            return MAIN;
        }
        payload.byte_sub(payload.addr().get() % REGION_SIZE).cast::<usize>().read()
    }
}

/// How many blocks of one size a cache holds at most. In glibc: `TCACHE_FILL_COUNT`, which is 7.
pub const CACHED_AT_MOST: usize = 16;

/// Chunks of this size or more are not cached. In glibc: `tcache_max_bytes`, for which it says 1032.
pub const CACHE_LIMIT: usize = 1024;

/// Blocks that one thread has freed, and keeps for itself: nobody else looks here, so no lock is needed.
///
/// A list for each chunk size below [`CACHE_LIMIT`], one way and last in, first out. The blocks are still marked as in use. In a
/// block that is cached, the first word is the masked link to the next one, and the second word is the key.
#[derive(Debug)]
pub struct Cache {
    heads: [*mut Header; CACHE_LIMIT / ALIGNMENT],
    counts: [u8; CACHE_LIMIT / ALIGNMENT],
    /// The arena from which this thread takes its blocks. `None` until it asks for the first one.
    arena: Option<usize>,
}

impl Cache {
    /// A cache without blocks.
    pub const fn new() -> Self {
        const BINS: usize = CACHE_LIMIT / ALIGNMENT;
        Self { heads: [ptr::null_mut(); BINS], counts: [0; BINS], arena: None }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Cache {
    /// How many blocks there are whose chunks have this size.
    pub fn count(&self, size: usize) -> usize {
        self.counts.get(size / ALIGNMENT).map_or(0, |count| (*count).into())
    }

    /// Keeps a block, unless [`CACHED_AT_MOST`] of its size are here already, or its chunk has [`CACHE_LIMIT`] bytes or more. Then
    /// the answer is `false`, and nothing has changed.
    ///
    /// # Safety
    /// `chunk` is a block of a malloc, and nobody uses it any more.
    unsafe fn push(&mut self, chunk: &Chunk, key: usize) -> bool {
        let bin = chunk.size() / ALIGNMENT;
        let Some(count) = self.counts.get_mut(bin).filter(|count| usize::from(**count) < CACHED_AT_MOST) else {
            return false;
        };
        *count += 1;
        let header = chunk.header().as_ptr();
        // SAFETY: both words are in the payload, which nobody uses.
        unsafe {
            (*header).fd = mask(header, self.heads[bin]);
            (*header).bk = ptr::without_provenance_mut(key);
        }
        self.heads[bin] = header;
        true
    }

    /// The block of this chunk size that was put in last.
    ///
    /// # Errors
    /// [`Corruption::UnalignedInCache`] if the link after it, unmasked, leads to where no chunk is. Then nothing has changed.
    fn pop(&mut self, size: usize) -> Result<Option<Chunk>, Corruption> {
        let bin = size / ALIGNMENT;
        let Some(head) = self.heads.get(bin).copied().and_then(NonNull::new) else { return Ok(None) };
        // SAFETY: `push` has put this block here, and has written its two words.
        unsafe {
            let next = mask(head.as_ptr(), (*head.as_ptr()).fd);
            if !next.addr().is_multiple_of(ALIGNMENT) {
                return Err(Corruption::UnalignedInCache);
            }
            (*head.as_ptr()).bk = ptr::null_mut();
            self.heads[bin] = next;
            self.counts[bin] -= 1;
            Ok(Some(Chunk::from_header(head)))
        }
    }

    /// Whether a block is here. Only a block that has the key in its second word is looked for, so hardly ever one that isn't.
    ///
    /// # Safety
    /// As for [`Cache::push`], but the block may be here already.
    unsafe fn holds(&self, chunk: &Chunk, key: usize) -> bool {
        let header = chunk.header().as_ptr();
        // SAFETY: the second word of a payload, and the links of blocks that `push` has put here.
        unsafe {
            if (*header).bk.addr() != key {
                return false;
            }
            let mut at = self.heads.get(chunk.size() / ALIGNMENT).copied().unwrap_or_default();
            let mut left = CACHED_AT_MOST;
            while !at.is_null() && at != header && left > 0 {
                at = mask(at, (*at).fd);
                left -= 1;
            }
            at == header
        }
    }
}

/// Masks a link with the place where it is kept, and unmasks it. To write a link that leads where an attacker wants, they have to know
/// where the heap is. In glibc: `PROTECT_PTR`.
fn mask(place: *mut Header, link: *mut Header) -> *mut Header {
    link.map_addr(|addr| addr ^ place.addr() >> 12)
}

/// A malloc of lab 6 for each arena, and nobody else's.
#[derive(Debug)]
pub struct Arena<O>(FastMalloc<ArenaOs<O>>);

// SAFETY: all its pointers lead into memory that it alone uses, on whatever thread.
unsafe impl<O: Send> Send for Arena<O> {}

impl<O: Os> Arena<O> {
    const fn new(os: O, number: usize) -> Self {
        Self(FastMalloc::new(ArenaOs::new(os, number)))
    }
}

/// A malloc that any number of threads may use at the same time. Each brings its own [`Cache`].
#[derive(Debug)]
pub struct SharedMalloc<O, F = AtomicBool> {
    arenas: [Lock<Arena<O>, F>; ARENA_COUNT],
    /// The arena of the next thread that asks for its first block.
    next_arena: Lock<usize, F>,
    /// What happens when the heap is found to be corrupted.
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

    /// A block of `request` bytes: from the cache, if that has one of this chunk size. Else from the thread's arena, and if that has
    /// none from the main arena.
    pub fn malloc(&self, cache: &mut Cache, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        match cache.pop(size) {
            Ok(Some(chunk)) => Some(chunk.payload()),
            Ok(None) => self.take(cache, |malloc| malloc.malloc(request)),
            Err(found) => (self.report)(found),
        }
    }

    /// A block of `count` times `size` bytes, all of them 0, from where [`SharedMalloc::malloc`] has it.
    pub fn calloc(&self, cache: &mut Cache, count: usize, size: usize) -> Option<NonNull<u8>> {
        let request = count.checked_mul(size)?;
        match cache.pop(request_to_chunk_size(request)?) {
            Ok(Some(chunk)) => {
                let payload = chunk.payload();
                // SAFETY: a block of `request` bytes that nobody uses yet.
                unsafe { payload.write_bytes(0, request) };
                Some(payload)
            }
            Ok(None) => self.take(cache, |malloc| malloc.calloc(count, size)),
            Err(found) => (self.report)(found),
        }
    }

    /// A block of `request` bytes that starts at a multiple of `align`, from an arena.
    pub fn aligned(&self, cache: &mut Cache, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.take(cache, |malloc| malloc.aligned(align, request))
    }

    /// Makes a block hold `request` bytes, in the arena to which it belongs, and says where it then is.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed. If it moves, nobody uses the old place any more.
    pub unsafe fn realloc(&self, cache: &mut Cache, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: a block that has not been freed (see `# Safety`).
        unsafe {
            self.check(payload);
            let arena = self.home(cache, payload);
            self.arenas[arena].with(|Arena(malloc)| {
                label(payload, MAIN);
                let new = malloc.realloc(payload, request);
                label(new.unwrap_or(payload), arena);
                new
            })
        }
    }

    /// Takes a block back: into the cache, or else into the arena to which it belongs.
    ///
    /// # Safety
    /// `payload` is a block of this malloc that has not been freed, and nobody uses it any more. If it isn't, the checks may find
    /// that out.
    pub unsafe fn free(&self, cache: &mut Cache, payload: NonNull<u8>) {
        // SAFETY: a block that has not been freed, or one that the checks report (see `# Safety`).
        unsafe {
            self.check(payload);
            let chunk = Chunk::from_payload(payload);
            if cache.holds(&chunk, self.key()) {
                (self.report)(Corruption::DoubleFreeInCache);
            }
            if !cache.push(&chunk, self.key()) {
                self.give_back(self.home(cache, payload), payload);
            }
        }
    }

    /// Empties a cache: each block goes to the arena to which it belongs. The thread is about to end.
    pub fn retire(&self, cache: &mut Cache) {
        for size in (MIN_CHUNK_SIZE..CACHE_LIMIT).step_by(ALIGNMENT) {
            while let Some(chunk) = cache.pop(size).unwrap_or_else(|found| (self.report)(found)) {
                // SAFETY: a block that was freed into the cache, and has just left it.
                unsafe { self.give_back(arena_of(chunk.payload()), chunk.payload()) };
            }
        }
    }

    /// Takes all locks, so that no other thread is in the middle of something when the process is copied.
    pub fn before_fork(&self) {
        self.next_arena.acquire();
        for arena in &self.arenas {
            arena.acquire();
        }
    }

    /// Gives all locks back, in the parent and in the child.
    ///
    /// # Safety
    /// This thread, or in the child the one of which it is the copy, has called [`SharedMalloc::before_fork`].
    pub unsafe fn after_fork(&self) {
        for arena in &self.arenas {
            // SAFETY: `before_fork` has taken it, and has no reference to the arena.
            unsafe { arena.release() };
        }
        // SAFETY: the same.
        unsafe { self.next_arena.release() };
    }

    /// A block from the thread's arena, or from the main arena.
    fn take(
        &self,
        cache: &mut Cache,
        ask: impl Fn(&mut FastMalloc<ArenaOs<O>>) -> Option<NonNull<u8>>,
    ) -> Option<NonNull<u8>> {
        let from = |arena: usize| {
            self.arenas[arena].with(|Arena(malloc)| {
                let payload = ask(malloc)?;
                // SAFETY: a block that has just been made.
                unsafe { label(payload, arena) };
                Some(payload)
            })
        };
        let arena = self.arena_for(cache);
        from(arena).or_else(|| if arena == MAIN { None } else { from(MAIN) })
    }

    /// The arena of a thread. Threads that ask for the first time get one after the other, all around.
    fn arena_for(&self, cache: &mut Cache) -> usize {
        *cache.arena.get_or_insert_with(|| {
            self.next_arena.with(|next| {
                let arena = *next;
                *next = (arena + 1) % ARENA_COUNT;
                arena
            })
        })
    }

    /// The arena that takes a block back. A mapping belongs to none: the thread's own learns from its size.
    ///
    /// # Safety
    /// As for [`arena_of`].
    unsafe fn home(&self, cache: &mut Cache, payload: NonNull<u8>) -> usize {
        // SAFETY: a block that has not been freed (see `# Safety`).
        unsafe {
            if Chunk::from_payload(payload).size_word().has(SizeWord::IS_MMAPPED) {
                self.arena_for(cache)
            } else {
                arena_of(payload)
            }
        }
    }

    /// Frees a block in its arena.
    ///
    /// # Safety
    /// As for [`SharedMalloc::free`].
    unsafe fn give_back(&self, arena: usize, payload: NonNull<u8>) {
        self.arenas[arena].with(|Arena(malloc)| {
            // SAFETY: a block of this arena that has not been freed (see `# Safety`).
            unsafe {
                label(payload, MAIN);
                malloc.free(payload);
            }
        });
    }

    /// Reports what can be no block.
    ///
    /// # Safety
    /// A word can be read before `payload`.
    unsafe fn check(&self, payload: NonNull<u8>) {
        if !payload.addr().get().is_multiple_of(ALIGNMENT) {
            (self.report)(Corruption::InvalidPointer);
        }
        // SAFETY: the size word can be read (see `# Safety`).
        let size = unsafe { Chunk::from_payload(payload) }.size();
        if size < MIN_CHUNK_SIZE || size > usize::MAX - payload.addr().get() {
            (self.report)(Corruption::InvalidSize);
        }
    }

    /// What marks a cached block: no program has this word by chance.
    fn key(&self) -> usize {
        (&raw const *self).addr().rotate_left(32)
    }
}

/// Notes in a block's size word whether it belongs to the main arena or to another one. A mapping belongs to none.
///
/// # Safety
/// `payload` is a block that has not been freed, and its arena's lock is taken: a neighbour may write the same word.
unsafe fn label(payload: NonNull<u8>, arena: usize) {
    // SAFETY: the size stays, so it leads to the same next header.
    unsafe {
        let mut chunk = Chunk::from_payload(payload);
        let word = chunk.size_word();
        if word.has(SizeWord::IS_MMAPPED) {
            return;
        }
        let prev_in_use = if word.has(SizeWord::PREV_INUSE) { SizeWord::PREV_INUSE } else { 0 };
        let other_arena = if arena == MAIN { 0 } else { SizeWord::NON_MAIN_ARENA };
        chunk.set_size_word(SizeWord::new(word.size(), prev_in_use | other_arena));
    }
}
