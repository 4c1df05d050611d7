//! Free lists: where freed chunks wait to be used again.

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use lab02::{Chunk, Header, MIN_CHUNK_SIZE, SizeWord, request_to_chunk_size};

/// A doubly linked list of free chunks. The links lie in the chunks themselves, in the bytes the program gave back:
/// `fd` leads to the next chunk, `bk` to the one before, and both ends are null.
#[derive(Debug)]
pub struct FreeList {
    /// The first chunk, null if there is none.
    head: *mut Header,
}

/// Which chunk of the list serves a request. Of equals, the one that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The first that is large enough.
    First,
    /// The smallest that is large enough.
    Best,
    /// The largest, if it is large enough.
    Worst,
}

/// A chunk's neighbour in the list doesn't point back to it: something overwrote a link. glibc says "corrupted
/// double-linked list" and kills the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptedLink;

/// A chunk that is in a list, to look at. While somebody looks, the list can't change, so the chunk stays in it.
#[derive(Debug)]
pub struct Listed<'list> {
    chunk: Chunk,
    list: PhantomData<&'list FreeList>,
}

impl Deref for Listed<'_> {
    type Target = Chunk;

    fn deref(&self) -> &Chunk {
        &self.chunk
    }
}

impl FreeList {
    /// A list without chunks.
    pub const fn new() -> Self {
        Self { head: ptr::null_mut() }
    }

    /// The first chunk's header, null for an empty list.
    pub const fn head(&self) -> *mut Header {
        self.head
    }

    /// Puts a chunk at the head of the list.
    ///
    /// # Safety
    /// The chunk is free and in no list, it stays valid for as long as it is in this one, and nobody else writes its
    /// links.
    pub unsafe fn push(&mut self, chunk: Chunk) {
        let new = chunk.header().as_ptr();
        // SAFETY: the chunk is free, the old head is in this list, and nobody else writes the links of either.
        unsafe {
            (*new).fd = self.head;
            (*new).bk = ptr::null_mut();
            if !self.head.is_null() {
                (*self.head).bk = new;
            }
        }
        self.head = new;
    }

    /// Takes the chunk at the head out of the list.
    pub fn pop(&mut self) -> Option<Chunk> {
        let head = NonNull::new(self.head)?;
        // SAFETY: the head of the list is a chunk in the list.
        unsafe {
            let chunk = Chunk::from_header(head);
            self.unlink(&chunk).ok()?;
            Some(chunk)
        }
    }

    /// Takes a chunk out of the list, wherever it is, and joins its neighbours.
    ///
    /// # Errors
    /// [`CorruptedLink`], and the list is as it was, if `fd.bk` or `bk.fd` doesn't point back to the chunk; where `bk` is
    /// null, the head of the list has to point to it.
    ///
    /// # Safety
    /// The chunk was pushed into this list. Its links and its neighbours' may be wrong, but each is null or points to
    /// memory that may be read as a header.
    pub unsafe fn unlink(&mut self, chunk: &Chunk) -> Result<(), CorruptedLink> {
        let this = chunk.header().as_ptr();
        // SAFETY: every link is null or can be followed (see `# Safety`), and all are checked before one is written.
        unsafe {
            let (fd, bk) = ((*this).fd, (*this).bk);
            let points_here = if bk.is_null() { self.head } else { (*bk).fd };
            if points_here != this || (!fd.is_null() && (*fd).bk != this) {
                return Err(CorruptedLink);
            }
            if bk.is_null() {
                self.head = fd;
            } else {
                (*bk).fd = fd;
            }
            if !fd.is_null() {
                (*fd).bk = bk;
            }
        }
        Ok(())
    }

    /// The chunks of the list, first to last. They stay in the list.
    pub fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        let mut next = self.head;
        core::iter::from_fn(move || {
            let header = NonNull::new(next)?;
            // SAFETY: `push` and `unlink` keep every chunk in the list valid, and `fd` leads to the next one.
            unsafe {
                next = (*header.as_ptr()).fd;
                Some(Listed { chunk: Chunk::from_header(header), list: PhantomData })
            }
        })
    }

    /// The chunk that serves a request, by `fit`, among those of at least `size` bytes. It stays in the list.
    pub fn find(&self, fit: Fit, size: usize) -> Option<Listed<'_>> {
        let mut large_enough = self.iter().filter(|chunk| chunk.size() >= size);
        match fit {
            Fit::First => large_enough.next(),
            Fit::Best => large_enough.reduce(|best, chunk| if chunk.size() < best.size() { chunk } else { best }),
            Fit::Worst => large_enough.reduce(|best, chunk| if chunk.size() > best.size() { chunk } else { best }),
        }
    }

    /// Finds a chunk as [`FreeList::find`] does, and takes it out of the list. `None` if there is none, or if its links are
    /// damaged: then it stays where it is.
    pub fn take(&mut self, fit: Fit, size: usize) -> Option<Chunk> {
        let header = self.find(fit, size)?.header();
        // SAFETY: the header of a chunk in this list.
        unsafe {
            let chunk = Chunk::from_header(header);
            self.unlink(&chunk).ok()?;
            Some(chunk)
        }
    }
}

impl Default for FreeList {
    fn default() -> Self {
        Self::new()
    }
}

/// A `malloc` over a heap of fixed size: a free list, and the top chunk for what the list can't serve.
///
/// A chunk is never split and never joined with another: that is lab 4.
#[derive(Debug)]
pub struct ListHeap {
    free: FreeList,
    top: Chunk,
    fit: Fit,
}

impl ListHeap {
    /// Makes a heap of the bytes in `region`: one top chunk from end to end. Its `PREV_INUSE` is set, since there is
    /// nothing before it.
    ///
    /// # Safety
    /// The region is valid for reads and writes and nobody else's for as long as the heap is used. It is aligned to 16, a
    /// multiple of 16 long, and has at least [`MIN_CHUNK_SIZE`] bytes.
    pub unsafe fn new(region: NonNull<[u8]>, fit: Fit) -> Self {
        // SAFETY: the region is ours and has room for a header, and the size leads to its end.
        let top = unsafe {
            let mut top = Chunk::from_header(region.cast());
            top.set_size_word(SizeWord::new(region.len(), SizeWord::PREV_INUSE));
            top
        };
        Self { free: FreeList::new(), top, fit }
    }

    /// The list of free chunks.
    pub const fn free_list(&self) -> &FreeList {
        &self.free
    }

    /// `request` bytes, aligned to 16: a whole chunk from the list, else one cut from the low end of the top chunk, which
    /// keeps at least [`MIN_CHUNK_SIZE`] bytes for itself. `None`, and nothing has changed, if neither can serve it.
    pub fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        let size = request_to_chunk_size(request)?;
        let mut chunk = self.free.take(self.fit, size).or_else(|| self.cut_from_top(size))?;
        // SAFETY: neither a chunk from the list nor one cut from the top is the top chunk itself.
        unsafe { chunk.mark_in_use() };
        Some(chunk.payload())
    }

    /// Gives a block back: its chunk is marked free and goes to the head of the list.
    ///
    /// # Safety
    /// `payload` comes from [`ListHeap::malloc`] of this heap and has not been freed since.
    pub unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: what `malloc` gave and nobody freed is in use, so it is neither the top chunk nor in the list.
        unsafe {
            let mut chunk = Chunk::from_payload(payload);
            chunk.mark_free();
            self.free.push(chunk);
        }
    }

    /// Cuts a chunk of `size` bytes from the low end of the top chunk.
    fn cut_from_top(&mut self, size: usize) -> Option<Chunk> {
        let rest = self.top.size().checked_sub(size).filter(|rest| *rest >= MIN_CHUNK_SIZE)?;
        // SAFETY: the top chunk is cut in two: `size` bytes lead to the new header, and `rest` bytes to the heap's end.
        unsafe {
            let mut top = Chunk::from_header(self.top.header().byte_add(size));
            top.set_size_word(SizeWord::new(rest, SizeWord::PREV_INUSE));
            let mut chunk = core::mem::replace(&mut self.top, top);
            chunk.set_size_word(chunk.size_word().with_size(size));
            Some(chunk)
        }
    }
}
