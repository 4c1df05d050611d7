//! Chunks: how an allocator finds its way through raw bytes.

use core::mem::offset_of;
use core::ptr::NonNull;

/// Every chunk starts at a multiple of this many bytes, and every chunk size is one.
pub const ALIGNMENT: usize = 16;

/// The smallest chunk: a header of two words and, once it is free, two links.
pub const MIN_CHUNK_SIZE: usize = size_of::<Header>();

/// What a chunk costs beyond its payload: the size word. The payload runs on into the next chunk's `prev_size`.
pub const CHUNK_COST: usize = size_of::<usize>();

/// From the start of a chunk to its payload.
pub const PAYLOAD_OFFSET: usize = offset_of!(Header, fd);

/// The words of a chunk, as glibc lays them out (`struct malloc_chunk` in `malloc/malloc.c`).
#[repr(C)]
pub struct Header {
    /// The size of the chunk before this one, while that chunk is free. Else it is the end of that chunk's payload.
    pub prev_size: usize,
    /// The size of this chunk, and three flags.
    pub size_word: SizeWord,
    /// The next chunk in the free list, while this chunk is free. Else the payload starts here.
    pub fd: *mut Header,
    /// The previous chunk in the free list, while this chunk is free.
    pub bk: *mut Header,
}

/// The size of the chunk that serves a request: room for the payload and the chunk's cost, rounded up to
/// [`ALIGNMENT`], and at least [`MIN_CHUNK_SIZE`]. `None` if that size is more than `isize::MAX`, the most that one
/// block of memory can have.
pub fn request_to_chunk_size(request: usize) -> Option<usize> {
    let size = request.checked_add(CHUNK_COST)?.checked_next_multiple_of(ALIGNMENT)?;
    (size <= isize::MAX as usize).then_some(size.max(MIN_CHUNK_SIZE))
}

/// The second word of a chunk: its size, and three flags in the bits that a size never uses.
///
/// Sizes are multiples of 16, so the low four bits of a size are zero. glibc keeps flags in three of them
/// (`malloc/malloc.c`, "size field is or'ed with PREV_INUSE").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SizeWord(usize);

impl SizeWord {
    /// The chunk *before* this one is in use, so `prev_size` belongs to its payload: don't read it.
    pub const PREV_INUSE: usize = 0b001;
    /// The chunk is a mapping of its own; it has no neighbours.
    pub const IS_MMAPPED: usize = 0b010;
    /// The chunk belongs to the arena of another thread.
    pub const NON_MAIN_ARENA: usize = 0b100;

    const FLAGS: usize = Self::PREV_INUSE | Self::IS_MMAPPED | Self::NON_MAIN_ARENA;

    /// A word with this size and these flags. `size` is a multiple of [`ALIGNMENT`].
    pub fn new(size: usize, flags: usize) -> Self {
        debug_assert!(size.is_multiple_of(ALIGNMENT) && flags & !Self::FLAGS == 0);
        Self(size | flags)
    }

    /// Bytes from this header to the next one.
    pub fn size(self) -> usize {
        self.0 & !Self::FLAGS
    }

    /// Whether all of `flags` are set.
    pub fn has(self, flags: usize) -> bool {
        self.0 & flags == flags
    }

    /// The same flags over another size.
    pub fn with_size(self, size: usize) -> Self {
        Self::new(size, self.0 & Self::FLAGS)
    }

    /// The same size and flags, but with [`SizeWord::PREV_INUSE`] set or clear.
    pub fn with_prev_in_use(self, in_use: bool) -> Self {
        Self(if in_use { self.0 | Self::PREV_INUSE } else { self.0 & !Self::PREV_INUSE })
    }
}

/// A chunk, held by its header.
///
/// Its words may be read. To write them is `unsafe`: the size is how everybody else finds the next header. A `Chunk` can't
/// be copied, and only `unsafe` code can make one.
#[derive(Debug)]
pub struct Chunk {
    header: NonNull<Header>,
}

impl Chunk {
    /// The chunk whose header is at `header`.
    ///
    /// # Safety
    /// A chunk starts there, for as long as the handle is used, and its header is written before it is read. The pointer may
    /// be used for the whole heap around it.
    pub const unsafe fn from_header(header: NonNull<Header>) -> Self {
        Self { header }
    }

    /// The chunk whose payload the program got: the way back from `free(payload)` to the header.
    ///
    /// # Safety
    /// As for [`Chunk::from_header`], for the header [`PAYLOAD_OFFSET`] bytes before `payload`.
    pub unsafe fn from_payload(payload: NonNull<u8>) -> Self {
        // SAFETY: PAYLOAD_OFFSET bytes before a payload is its header, in the same heap.
        Self { header: unsafe { payload.byte_sub(PAYLOAD_OFFSET) }.cast() }
    }

    /// Where the header is.
    pub const fn header(&self) -> NonNull<Header> {
        self.header
    }

    /// Where the payload starts.
    pub fn payload(&self) -> NonNull<u8> {
        // SAFETY: every chunk is at least MIN_CHUNK_SIZE bytes long, so this stays inside it.
        unsafe { self.header.byte_add(PAYLOAD_OFFSET) }.cast()
    }

    /// The word with size and flags.
    pub fn size_word(&self) -> SizeWord {
        // SAFETY: a `Chunk` points to a written header. No reference is made: `prev_size` may be the program's.
        unsafe { (&raw const (*self.header.as_ptr()).size_word).read() }
    }

    /// Writes the word with size and flags.
    ///
    /// # Safety
    /// The new size leads to the next header of the same heap, or to the heap's end, and nobody relies on the old word.
    pub unsafe fn set_size_word(&mut self, word: SizeWord) {
        // SAFETY: as in `size_word`, and nobody relies on the old word (see `# Safety`).
        unsafe { (&raw mut (*self.header.as_ptr()).size_word).write(word) }
    }

    /// Bytes from this header to the next one.
    pub fn size(&self) -> usize {
        self.size_word().size()
    }

    /// How many bytes of payload the program may use: all of the chunk but its cost. A mapped chunk has no next chunk
    /// whose `prev_size` it could use, so it pays for both words of its header.
    pub fn usable_size(&self) -> usize {
        if self.size_word().has(SizeWord::IS_MMAPPED) { self.size() - PAYLOAD_OFFSET } else { self.size() - CHUNK_COST }
    }

    /// The chunk that starts where this one ends.
    ///
    /// # Safety
    /// This chunk is neither the top chunk nor mapped: there is a next one.
    pub unsafe fn next(&self) -> Chunk {
        // SAFETY: a chunk that is neither the top chunk nor mapped ends where the next one starts, in the same heap.
        unsafe { Chunk::from_header(self.header.byte_add(self.size())) }
    }

    /// The chunk that ends where this one starts, if it is free. While it is in use nobody can tell where it starts:
    /// `prev_size` belongs to its payload.
    ///
    /// # Safety
    /// The chunk is part of a well-formed heap: if `PREV_INUSE` is clear, `prev_size` is the size of the chunk before.
    pub unsafe fn prev(&self) -> Option<Chunk> {
        if self.size_word().has(SizeWord::PREV_INUSE) {
            return None;
        }
        // SAFETY: in a well-formed heap, `prev_size` leads back to a header if PREV_INUSE is clear.
        unsafe {
            let prev_size = (&raw const (*self.header.as_ptr()).prev_size).read();
            Some(Chunk::from_header(self.header.byte_sub(prev_size)))
        }
    }

    /// Whether the program uses this chunk. Only the next chunk knows.
    ///
    /// # Safety
    /// As for [`Chunk::next`].
    pub unsafe fn is_in_use(&self) -> bool {
        // SAFETY: there is a next chunk (see `# Safety`).
        unsafe { self.next() }.size_word().has(SizeWord::PREV_INUSE)
    }

    /// Hands the chunk to the program: sets the next chunk's `PREV_INUSE`.
    ///
    /// # Safety
    /// As for [`Chunk::next`].
    pub unsafe fn mark_in_use(&mut self) {
        // SAFETY: there is a next chunk (see `# Safety`). It keeps its size, and its P bit speaks about this chunk alone.
        unsafe {
            let mut next = self.next();
            next.set_size_word(next.size_word().with_prev_in_use(true));
        }
    }

    /// Takes the chunk back: clears the next chunk's `PREV_INUSE` and writes this chunk's size, the *boundary tag*, into
    /// the next chunk's `prev_size`.
    ///
    /// # Safety
    /// As for [`Chunk::next`], and the program no longer uses the payload.
    pub unsafe fn mark_free(&mut self) {
        // SAFETY: there is a next chunk, which keeps its size. Its `prev_size` is the end of a payload that nobody uses.
        unsafe {
            let mut next = self.next();
            next.set_size_word(next.size_word().with_prev_in_use(false));
            (&raw mut (*next.header.as_ptr()).prev_size).write(self.size());
        }
    }
}

/// All chunks of a heap, from the first to the top chunk.
///
/// # Safety
/// `heap` is well-formed: it consists of chunks side by side, from its first byte to its last. It stays so while the
/// iterator and its chunks are used.
pub unsafe fn walk(heap: NonNull<[u8]>) -> impl Iterator<Item = Chunk> {
    let mut at = 0;
    core::iter::from_fn(move || {
        if at == heap.len() {
            return None;
        }
        // SAFETY: `at` is the sum of the sizes so far, so in a well-formed heap a chunk starts there.
        let chunk = unsafe { Chunk::from_header(heap.cast::<Header>().byte_add(at)) };
        at += chunk.size();
        Some(chunk)
    })
}

/// What is wrong with a heap, and where: `at` counts bytes from the heap's start to the chunk's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A size below [`MIN_CHUNK_SIZE`].
    SizeTooSmall {
        /// The chunk.
        at: usize,
        /// Its size.
        size: usize,
    },
    /// A size that is no multiple of [`ALIGNMENT`].
    SizeNotAligned {
        /// The chunk.
        at: usize,
        /// Its size.
        size: usize,
    },
    /// A size that leads out of the heap.
    PastTheEnd {
        /// The chunk.
        at: usize,
        /// Its size.
        size: usize,
    },
    /// The first chunk says that the chunk before it is free, but there is none.
    NothingBefore,
    /// The chunk says that the one before it is free, but its `prev_size` is not that chunk's size.
    WrongBoundaryTag {
        /// The chunk with the wrong `prev_size`.
        at: usize,
        /// What it says.
        prev_size: usize,
        /// The size of the chunk before it.
        size: usize,
    },
}

/// Checks a heap that may be broken: every size is possible, the sizes lead exactly to the heap's end, and each
/// boundary tag is right. Reports the first defect from the start of the heap. In one chunk, the size is checked first
/// (too small, not aligned, past the end), then what the chunk says about the one before it.
///
/// # Safety
/// `heap` is valid for reads, aligned to [`ALIGNMENT`], a multiple of it long, and not empty. What is in it doesn't
/// matter.
pub unsafe fn check(heap: NonNull<[u8]>) -> Result<(), Defect> {
    let (mut at, mut size_before) = (0, None);
    while at < heap.len() {
        // SAFETY: `at` is a multiple of ALIGNMENT below the end, so the two words of a header are inside the heap.
        let (prev_size, word) = unsafe {
            let header = heap.cast::<Header>().byte_add(at).as_ptr();
            ((&raw const (*header).prev_size).read(), (&raw const (*header).size_word).read())
        };
        let size = word.size();
        if size < MIN_CHUNK_SIZE {
            return Err(Defect::SizeTooSmall { at, size });
        }
        if !size.is_multiple_of(ALIGNMENT) {
            return Err(Defect::SizeNotAligned { at, size });
        }
        if size > heap.len() - at {
            return Err(Defect::PastTheEnd { at, size });
        }
        if !word.has(SizeWord::PREV_INUSE) {
            match size_before {
                None => return Err(Defect::NothingBefore),
                Some(size) if size != prev_size => {
                    return Err(Defect::WrongBoundaryTag { at, prev_size, size });
                }
                Some(_) => {}
            }
        }
        (at, size_before) = (at + size, Some(size));
    }
    Ok(())
}
