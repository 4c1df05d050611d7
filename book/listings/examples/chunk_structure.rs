//! What is in front of the bytes that `malloc` returns: the chapter's `chunk_structure.c`, every number computed.

use std::hint::black_box;
use std::mem::offset_of;

// ANCHOR: header
/// The words of a chunk, as glibc has them.
#[repr(C)]
struct Header {
    /// If the chunk before is free: its size.
    prev_size: usize,
    /// This chunk's size, and three flags.
    size_word: usize,
    /// Your data. If free: the next one.
    fd: *mut Header,
    /// Your data. If free: the one before.
    bk: *mut Header,
}
// ANCHOR_END: header

// ANCHOR: read
/// The size word in front of a block of glibc's malloc.
///
/// Don't do this in a program that has to work: no standard promises these bytes.
///
/// # Safety
/// `payload` comes from glibc's malloc.
unsafe fn size_word(payload: *mut u8) -> usize {
    let header = payload.wrapping_byte_sub(offset_of!(Header, fd)).cast::<Header>();
    // SAFETY: in glibc, a header lies before every block. Volatile, since the compiler
    // knows malloc and may assume that nobody reads outside of a block.
    unsafe { (&raw const (*header).size_word).read_volatile() }
}
// ANCHOR_END: read

// ANCHOR: examine
fn examine_chunk() {
    let request = 10 * size_of::<i32>();
    let payload = malloc(request);
    // SAFETY: a live block of glibc.
    let word = unsafe { size_word(payload) };
    // SAFETY: a live block.
    let usable = unsafe { libc::malloc_usable_size(payload.cast()) };
    free(payload);

    // Why is the chunk larger than the request? Look at blocks for 0 to 2000 bytes.
    let mut blocks = [std::ptr::null_mut(); 2001];
    for (request, block) in blocks.iter_mut().enumerate() {
        *block = malloc(request);
    }
    // SAFETY: live blocks of glibc.
    let sizes = blocks.map(|block| unsafe { size_word(block) } & !0b111);
    let smallest = sizes.into_iter().min().unwrap_or(0);
    // A bit that is 0 in every address is 0 in the OR of them all.
    let address_bits = blocks.iter().fold(0, |bits, block| bits | block.addr());
    blocks.into_iter().for_each(free);
    // ANCHOR_END: examine

    // Print at the end: println! allocates too.
    let size = word & !0b111;
    println!("request               {request:>2} bytes");
    println!("header                {:>2} bytes before the payload", offset_of!(Header, fd));
    println!("size word           {word:#x}");
    println!("chunk size            {size:>2} bytes");
    println!("usable                {usable:>2} bytes");
    println!();
    println!("Why is the chunk larger than the request?");
    println!("1. a chunk costs      {:>2} bytes", size - usable);
    println!("2. payloads start at  {:>2}, or a multiple of it", 1 << address_bits.trailing_zeros());
    println!("3. smallest chunk     {smallest:>2} bytes");
    println!();
    let [prev_size, size_word] = [offset_of!(Header, prev_size), offset_of!(Header, size_word)];
    let [fd, bk] = [offset_of!(Header, fd), offset_of!(Header, bk)];
    println!("The words of a header: prev_size +{prev_size}, size_word +{size_word}, fd +{fd}, bk +{bk};");
    println!("together {} bytes", size_of::<Header>());
}

/// `request` bytes of the C library's heap.
fn malloc(request: usize) -> *mut u8 {
    // SAFETY: malloc takes any size. black_box: the optimiser may remove a malloc whose block nobody uses.
    black_box(unsafe { libc::malloc(request) }).cast()
}

/// Gives back a block that [`malloc`] returned, once.
fn free(block: *mut u8) {
    // SAFETY: this program frees each of its blocks once.
    unsafe { libc::free(block.cast()) }
}

fn main() {
    examine_chunk();
}
