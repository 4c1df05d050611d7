//! The bytes a lab's code may touch.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Fresh heap memory holds this byte everywhere, so that code which assumes zeroes is found out.
pub const FRESH: u8 = 0xa5;

/// The smallest unit in which the kernel hands out memory here.
pub const PAGE: usize = 4096;

/// As wide as the largest heap: a stray write lands in nothing, and the process dies at that instruction.
const GUARD: usize = 1 << 20;

/// Every heap starts so far behind a multiple of [`GUARD`]: what depends on the alignment of addresses is the same in each
/// run, and nobody gets more than a page's alignment for nothing.
const START: usize = 9 * PAGE;

/// A heap of a fixed size between two stretches of inaccessible memory.
///
/// A handle: copies name the same bytes. They stay mapped until the process ends.
#[derive(Clone, Copy)]
pub struct Heap {
    start: NonNull<u8>,
    len: usize,
}

impl Heap {
    /// Reserves `len` bytes, a multiple of [`PAGE`], of this process's own.
    ///
    /// # Errors
    /// What the system says, if it has no memory.
    pub fn reserve(len: usize) -> io::Result<Self> {
        let heap = Self::zeroed(len)?;
        heap.refresh();
        Ok(heap)
    }

    /// The same, but every byte is zero, as the system gives it.
    ///
    /// # Errors
    /// What the system says, if it has no memory.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        Self::between_guards(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Maps `len` bytes of the file `fd`, from `offset` on; both are multiples of [`PAGE`].
    /// Whoever else maps the file sees the heap too. Its bytes are those of the file.
    ///
    /// # Errors
    /// What the system says, if the file can't be mapped.
    pub fn shared(fd: BorrowedFd<'_>, offset: usize, len: usize) -> io::Result<Self> {
        Self::between_guards(len, libc::MAP_SHARED, fd.as_raw_fd(), offset)
    }

    fn between_guards(len: usize, flags: i32, fd: i32, offset: usize) -> io::Result<Self> {
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        assert!(len > 0 && len.is_multiple_of(PAGE), "a heap is whole pages, and {len} bytes are not");
        // SAFETY: a fresh reservation at an address of the kernel's choice touches no memory in use.
        let reserved = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * GUARD + START + len + GUARD,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if reserved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = reserved.addr() + GUARD;
        let before = at.next_multiple_of(GUARD) + START - reserved.addr();
        // SAFETY: `before` is less than two guards and `START`, so the `len` bytes behind it are inside the reservation,
        // which nobody uses yet, with a guard behind them.
        let start = unsafe {
            let at = reserved.byte_add(before);
            libc::mmap(at, len, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_FIXED, fd, offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Heap { start, len })
    }

    /// Makes the whole heap fresh again: every byte is [`FRESH`].
    pub fn refresh(&self) {
        self.fill(0..self.len, FRESH);
    }

    /// Writes `byte` over a part of the heap.
    pub fn fill(&self, range: Range<usize>, byte: u8) {
        assert!(range.end <= self.len, "{range:?} is outside a heap of {} bytes", self.len);
        // SAFETY: inside the heap, whose bytes are mapped; only raw pointers to them exist.
        unsafe { self.start.add(range.start).write_bytes(byte, range.len()) };
    }

    /// Makes whole pages accessible.
    pub fn open(&self, pages: Range<usize>) {
        self.protect(pages, libc::PROT_READ | libc::PROT_WRITE);
    }

    /// Makes whole pages inaccessible: who touches them dies at that instruction.
    pub fn close(&self, pages: Range<usize>) {
        self.protect(pages, libc::PROT_NONE);
    }

    fn protect(&self, pages: Range<usize>, access: i32) {
        let whole = pages.start.is_multiple_of(PAGE) && pages.end.is_multiple_of(PAGE);
        assert!(whole && pages.end <= self.len, "{pages:?} are no pages of a heap of {} bytes", self.len);
        // SAFETY: the pages are the heap's own, and only raw pointers to them exist.
        let result = unsafe { libc::mprotect(self.start.add(pages.start).as_ptr().cast(), pages.len(), access) };
        assert_eq!(result, 0, "mprotect: {}", io::Error::last_os_error());
    }

    /// The first `len` bytes as a heap of their own.
    pub fn first(&self, len: usize) -> Self {
        assert!(0 < len && len <= self.len, "a heap of {} bytes has no {len}", self.len);
        Heap { len, ..*self }
    }

    /// The first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "a heap is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All the bytes, as a pointer: what an allocator is given to manage.
    pub fn region(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, self.len)
    }

    /// The pointer to the byte at `offset`.
    ///
    /// # Panics
    /// If the heap has no such byte.
    pub fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "{offset:#x} is outside a heap of {:#x} bytes", self.len);
        // SAFETY: inside the heap, as just checked.
        unsafe { self.start.add(offset) }
    }

    /// How far behind the heap's start `pointer` points, as a signed distance: negative means before it.
    pub fn offset_of<T: ?Sized>(&self, pointer: *const T) -> isize {
        pointer.addr().wrapping_sub(self.start.addr().get()).cast_signed()
    }

    /// Reads the word at `offset`, a multiple of 8.
    pub fn word(&self, offset: usize) -> usize {
        // SAFETY: `at` checks the bounds; heaps are page-aligned, so multiples of 8 are aligned.
        unsafe { self.at(offset).cast::<usize>().read_volatile() }
    }

    /// Writes the word at `offset`, a multiple of 8.
    pub fn set_word(&self, offset: usize, word: usize) {
        // SAFETY: as in `word`.
        unsafe { self.at(offset).cast::<usize>().write_volatile(word) }
    }

    /// Writes a chunk header: the `prev_size` word and the word with size and flags.
    pub fn set_header(&self, offset: usize, prev_size: usize, size_and_flags: usize) {
        self.set_word(offset, prev_size);
        self.set_word(offset + crate::format::SIZE_WORD, size_and_flags);
    }

    /// A copy of the heap's bytes as they are now.
    pub fn bytes(&self) -> Vec<u8> {
        let mut copy = vec![0; self.len];
        // SAFETY: both are `len` bytes long and can't overlap.
        unsafe { self.start.as_ptr().copy_to_nonoverlapping(copy.as_mut_ptr(), self.len) };
        copy
    }
}

/// Makes memory inaccessible for good, and its address unusable for anything else.
///
/// # Safety
/// Whole pages of a [`Heap`] that nobody uses any more.
pub(crate) unsafe fn take_away(start: NonNull<u8>, len: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: nobody uses these pages of a heap any more, so nothing is lost by mapping over them.
    unsafe { libc::mmap(start.as_ptr().cast(), len, libc::PROT_NONE, flags, -1, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_heap_holds_no_zeroes() {
        let heap = Heap::reserve(PAGE).unwrap();
        assert!(heap.bytes().iter().all(|&byte| byte == FRESH));
    }

    #[test]
    fn offsets_count_from_the_start_of_the_heap() {
        let heap = Heap::reserve(PAGE).unwrap();
        assert_eq!(heap.offset_of(heap.at(0x50).as_ptr()), 0x50);
        assert_eq!(heap.offset_of(heap.start().as_ptr().wrapping_sub(8)), -8);
    }
}
