//! Blocks of the C library's `malloc`, and the words around them.
//!
//! The words are where glibc puts them on a 64-bit machine. Another C library has other words there, and a listing that
//! prints them prints something else.

use std::hint::black_box;

/// `request` bytes of the C library's heap.
pub fn malloc(request: usize) -> *mut u8 {
    // SAFETY: malloc takes any size.
    let block = unsafe { libc::malloc(request) };
    assert!(!block.is_null(), "the C library has no memory left");
    // The optimiser may remove a malloc whose block nobody looks at.
    black_box(block.cast())
}

/// Gives a block back.
///
/// # Safety
/// `block` comes from [`malloc`] and has not been freed since.
pub unsafe fn free(block: *mut u8) {
    // SAFETY: a live block of this malloc (see `# Safety`).
    unsafe { libc::free(black_box(block).cast()) }
}

/// Gives back to the system what glibc can. Other C libraries don't have this function.
pub fn malloc_trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no block in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How many bytes of a block the program may use.
///
/// # Safety
/// `block` comes from [`malloc`] and has not been freed since.
pub unsafe fn usable_size(block: *mut u8) -> usize {
    // SAFETY: a live block of this malloc (see `# Safety`).
    unsafe { libc::malloc_usable_size(block.cast()) }
}

/// The word `distance` bytes after the block's first byte, or before it.
///
/// # Safety
/// The C library is glibc, and the word belongs to its heap.
pub unsafe fn word(block: *mut u8, distance: isize) -> usize {
    // SAFETY: the word belongs to glibc's heap (see `# Safety`). Volatile, since the compiler may assume that nobody reads outside of a block, or in a freed one.
    unsafe { block.wrapping_offset(distance).cast::<usize>().read_volatile() }
}

/// The word with the size of the block's chunk and three flags.
///
/// # Safety
/// As for [`word`].
pub unsafe fn size_word(block: *mut u8) -> usize {
    // SAFETY: glibc keeps the size word 8 bytes before a block.
    unsafe { word(block, -8) }
}

/// The size of the block's chunk.
///
/// # Safety
/// As for [`word`].
pub unsafe fn chunk_size(block: *mut u8) -> usize {
    // SAFETY: a block of glibc has a size word.
    unsafe { size_word(block) & !0b111 }
}

/// Whether the block is a mapping of its own.
///
/// # Safety
/// As for [`word`].
pub unsafe fn is_mapped(block: *mut u8) -> bool {
    // SAFETY: a block of glibc has a size word.
    unsafe { size_word(block) & 0b10 != 0 }
}

/// The size of the chunk after the block's: of the top chunk, if the block was the last one cut from it.
///
/// # Safety
/// As for [`word`], and the block is no mapping.
pub unsafe fn size_after(block: *mut u8) -> usize {
    // SAFETY: chunks lie side by side, so the next size word is one chunk further on.
    unsafe { chunk_size(block.wrapping_add(chunk_size(block))) }
}

/// Asks for small blocks until less than a page of the top chunk is left. No free chunk may lie below it: small blocks would come
/// from there.
pub fn use_up_the_top() {
    // SAFETY: a live block of glibc, cut from the top chunk.
    while unsafe { size_after(malloc(1000)) } >= 4096 {}
}

/// Where `block` is, counted from `first`.
pub fn offset(block: *mut u8, first: *mut u8) -> isize {
    block.addr().wrapping_sub(first.addr()).cast_signed()
}
