//! The mallocs that are measured.

use crate::play::{self, Books, Memory, Subject};
use heapkit::os::{LinuxOs, Os};
use heapkit::workload::Op;
use lab05::Malloc;
use lab06::FastMalloc;
use lab08::{Cache, SharedMalloc};
use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::{self, NonNull};

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Lab05,
    Lab06,
    Lab08,
    Glibc,
    Dlmalloc,
    Talc,
    Rlsf,
    Mimalloc,
}

impl Kind {
    pub const ALL: [Kind; 8] =
        [Kind::Lab05, Kind::Lab06, Kind::Lab08, Kind::Glibc, Kind::Dlmalloc, Kind::Talc, Kind::Rlsf, Kind::Mimalloc];

    pub fn name(self) -> &'static CStr {
        match self {
            Kind::Lab05 => c"lab05",
            Kind::Lab06 => c"lab06",
            Kind::Lab08 => c"lab08",
            Kind::Glibc => c"glibc",
            Kind::Dlmalloc => c"dlmalloc",
            Kind::Talc => c"talc",
            Kind::Rlsf => c"rlsf",
            Kind::Mimalloc => c"mimalloc",
        }
    }
}

/// How long a call takes, in nanoseconds, on a new malloc of this kind, whose memory stays its own once it has it: what a malloc
/// gives back to the system, and takes again, is another question.
pub fn nanoseconds_in_memory(kind: Kind, ops: &[Op]) -> f64 {
    let heap = Heap::new();
    let arena = Arena::new();
    match kind {
        Kind::Lab05 => play::nanoseconds(Lab05(Malloc::new(&heap)), ops),
        Kind::Lab06 => play::nanoseconds(Lab06(FastMalloc::new(&heap)), ops),
        Kind::Lab08 => play::nanoseconds(Lab08::new(&heap), ops),
        Kind::Glibc => {
            // SAFETY: two limits, as large as they may be.
            unsafe {
                libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
                libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
            }
            play::nanoseconds(Glibc, ops)
        }
        Kind::Dlmalloc => play::nanoseconds(Dl(dlmalloc::Dlmalloc::new_with_allocator(&arena)), ops),
        Kind::Talc | Kind::Rlsf | Kind::Mimalloc => nanoseconds(kind, ops),
    }
}

/// The same with the system: each malloc takes and gives back as it likes.
pub fn nanoseconds(kind: Kind, ops: &[Op]) -> f64 {
    match kind {
        Kind::Lab05 => play::nanoseconds(Lab05(Malloc::new(LinuxOs)), ops),
        Kind::Lab06 => play::nanoseconds(Lab06(FastMalloc::new(LinuxOs)), ops),
        Kind::Lab08 => play::nanoseconds(Lab08::new(LinuxOs), ops),
        Kind::Glibc => play::nanoseconds(Glibc, ops),
        Kind::Dlmalloc => play::nanoseconds(Dl(dlmalloc::Dlmalloc::new()), ops),
        Kind::Talc => play::nanoseconds(Layouts(Talc::new()), ops),
        Kind::Rlsf => play::nanoseconds(Rlsf::new(), ops),
        Kind::Mimalloc => play::nanoseconds(Layouts(MiMalloc), ops),
    }
}

/// What memory it takes, if somebody counts it.
pub fn memory(kind: Kind, ops: &[Op]) -> Option<Memory> {
    let ledger = Ledger::new();
    Some(match kind {
        Kind::Lab05 => play::memory(Lab05(Malloc::new(&ledger)), &ledger, ops),
        Kind::Lab06 => play::memory(Lab06(FastMalloc::new(&ledger)), &ledger, ops),
        Kind::Lab08 => play::memory(Lab08::new(&ledger), &ledger, ops),
        Kind::Glibc => play::memory(Glibc, &Glibc, ops),
        Kind::Dlmalloc => {
            let arena = Arena::new();
            play::memory(Dl(dlmalloc::Dlmalloc::new_with_allocator(&arena)), &arena, ops)
        }
        Kind::Talc | Kind::Rlsf | Kind::Mimalloc => return None,
    })
}

/// Linux, and what a malloc has from it.
struct Ledger {
    start: usize,
    heap: Cell<usize>,
    mapped: Cell<usize>,
}

impl Ledger {
    fn new() -> Self {
        Ledger { start: LinuxOs.program_break().addr().get(), heap: Cell::new(0), mapped: Cell::new(0) }
    }
}

// SAFETY: Linux, which hands out memory; the ledger only counts along.
unsafe impl Os for Ledger {
    fn program_break(&self) -> NonNull<u8> {
        LinuxOs.program_break()
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        self.heap.update(|heap| heap.strict_add_signed(delta));
        // SAFETY: the contract is the same one.
        unsafe { LinuxOs.sbrk(delta) }
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        self.mapped.update(|mapped| mapped + len);
        LinuxOs.mmap(len)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        self.mapped.update(|mapped| mapped - len);
        // SAFETY: the contract is the same one.
        unsafe { LinuxOs.munmap(start, len) }
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        self.mapped.update(|mapped| mapped - len + new_len);
        // SAFETY: the contract is the same one.
        unsafe { LinuxOs.mremap(start, len, new_len) }
    }
}

/// A break in a reservation of its own: what it has gone over once, is memory.
struct Heap {
    start: NonNull<u8>,
    used: Cell<usize>,
}

impl Heap {
    fn new() -> Self {
        Heap { start: NonNull::new(reserve()).expect("no null"), used: Cell::new(0) }
    }
}

// SAFETY: the break stays in the reservation, which is nobody else's.
unsafe impl Os for Heap {
    fn program_break(&self) -> NonNull<u8> {
        // SAFETY: inside the reservation.
        unsafe { self.start.add(self.used.get()) }
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        let was = self.program_break();
        self.used.set(self.used.get().checked_add_signed(delta).filter(|used| *used <= RESERVED)?);
        Some(was)
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        LinuxOs.mmap(len)
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        // SAFETY: the contract is the same one.
        unsafe { LinuxOs.munmap(start, len) }
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        unsafe { LinuxOs.mremap(start, len, new_len) }
    }
}

impl Books for Ledger {
    fn in_heap(&self, at: *const u8) -> Option<usize> {
        at.addr().checked_sub(self.start).filter(|at| *at < self.heap.get())
    }

    fn heap(&self) -> usize {
        self.heap.get()
    }

    fn mapped(&self) -> usize {
        self.mapped.get()
    }
}

fn or_null(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

macro_rules! our_subject {
    ($name:ident, $malloc:ident) => {
        struct $name<O>($malloc<O>);

        impl<O: Os> Subject for $name<O> {
            unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
                or_null(self.0.malloc(size))
            }

            unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
                or_null(self.0.calloc(1, size))
            }

            unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
                or_null(self.0.aligned(align, size))
            }

            unsafe fn realloc(&mut self, block: *mut u8, _: usize, _: usize, size: usize) -> *mut u8 {
                // SAFETY: a block of this malloc.
                unsafe { or_null(self.0.realloc(NonNull::new_unchecked(block), size)) }
            }

            unsafe fn free(&mut self, block: *mut u8, _: usize, _: usize) {
                // SAFETY: a block of this malloc.
                unsafe { self.0.free(NonNull::new_unchecked(block)) }
            }
        }
    };
}

our_subject!(Lab05, Malloc);
our_subject!(Lab06, FastMalloc);

/// Lab 8's, on one thread with its cache.
struct Lab08<O> {
    malloc: SharedMalloc<O>,
    cache: Cache,
}

impl<O: Os + Copy> Lab08<O> {
    fn new(os: O) -> Self {
        Lab08 { malloc: SharedMalloc::new(os, |found| panic!("{found}")), cache: Cache::new() }
    }
}

impl<O: Os + Copy> Subject for Lab08<O> {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
        or_null(self.malloc.malloc(&mut self.cache, size))
    }

    unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
        or_null(self.malloc.calloc(&mut self.cache, 1, size))
    }

    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
        or_null(self.malloc.aligned(&mut self.cache, align, size))
    }

    unsafe fn realloc(&mut self, block: *mut u8, _: usize, _: usize, size: usize) -> *mut u8 {
        // SAFETY: a block of this malloc.
        unsafe { or_null(self.malloc.realloc(&mut self.cache, NonNull::new_unchecked(block), size)) }
    }

    unsafe fn free(&mut self, block: *mut u8, _: usize, _: usize) {
        // SAFETY: a block of this malloc.
        unsafe { self.malloc.free(&mut self.cache, NonNull::new_unchecked(block)) }
    }
}

/// The C library's own.
struct Glibc;

impl Subject for Glibc {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { libc::malloc(size) }.cast()
    }

    unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { libc::calloc(1, size) }.cast()
    }

    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { libc::memalign(align, size) }.cast()
    }

    unsafe fn realloc(&mut self, block: *mut u8, _: usize, _: usize, size: usize) -> *mut u8 {
        // SAFETY: a block of the C library's.
        unsafe { libc::realloc(block.cast(), size) }.cast()
    }

    unsafe fn free(&mut self, block: *mut u8, _: usize, _: usize) {
        // SAFETY: a block of the C library's.
        unsafe { libc::free(block.cast()) }
    }
}

impl Books for Glibc {
    fn in_heap(&self, at: *const u8) -> Option<usize> {
        let end = LinuxOs.program_break().addr().get();
        at.addr().checked_sub(end - self.heap()).filter(|at| *at < self.heap())
    }

    fn heap(&self) -> usize {
        // SAFETY: it only asks.
        unsafe { libc::mallinfo2() }.arena
    }

    fn mapped(&self) -> usize {
        // SAFETY: it only asks.
        unsafe { libc::mallinfo2() }.hblkhd
    }
}

struct Dl<A>(dlmalloc::Dlmalloc<A>);

impl<A: dlmalloc::Allocator> Subject for Dl<A> {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { self.0.malloc(size, 16) }
    }

    unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { self.0.calloc(size, 16) }
    }

    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { self.0.malloc(size, align) }
    }

    unsafe fn realloc(&mut self, block: *mut u8, align: usize, old: usize, size: usize) -> *mut u8 {
        // SAFETY: a block of this malloc, with its size and alignment.
        unsafe { self.0.realloc(block, old, align, size) }
    }

    unsafe fn free(&mut self, block: *mut u8, align: usize, size: usize) {
        // SAFETY: a block of this malloc, with its size and alignment.
        unsafe { self.0.free(block, size, align) }
    }
}

/// Addresses for a heap in one piece: pages that nobody touches cost nothing.
const RESERVED: usize = 4 << 30;

/// For dlmalloc's books: what it takes piece by piece lies side by side here, and what it takes for a single block is a mapping.
struct Arena {
    start: *mut u8,
    used: Cell<usize>,
    mapped: Cell<usize>,
}

/// dlmalloc's own: a chunk of this size or more has a mapping.
const DLMALLOC_MAPS: usize = 256 << 10;

impl Arena {
    fn new() -> Self {
        Arena { start: reserve(), used: Cell::new(0), mapped: Cell::new(0) }
    }

    fn is_mapping(&self, at: *mut u8) -> bool {
        !(self.start.addr()..self.start.addr() + RESERVED).contains(&at.addr())
    }
}

// SAFETY: each piece of the reservation is handed out once.
unsafe impl dlmalloc::Allocator for &Arena {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size >= DLMALLOC_MAPS {
            self.mapped.update(|mapped| mapped + size);
            return (LinuxOs.mmap(size).map_or(ptr::null_mut(), NonNull::as_ptr), size, 0);
        }
        let at = self.used.get();
        self.used.set(at + size);
        // SAFETY: inside the reservation.
        (unsafe { self.start.add(at) }, size, 0)
    }

    fn remap(&self, at: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        if !self.is_mapping(at) {
            return ptr::null_mut();
        }
        let flags = if can_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: a mapping of its own.
        let moved = unsafe { libc::mremap(at.cast(), old, new, flags) };
        if moved == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        self.mapped.update(|mapped| mapped - old + new);
        moved.cast()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, at: *mut u8, size: usize) -> bool {
        let is_mapping = self.is_mapping(at);
        if is_mapping {
            self.mapped.update(|mapped| mapped - size);
            // SAFETY: a mapping of its own.
            unsafe { libc::munmap(at.cast(), size) };
        }
        is_mapping
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

// SAFETY: this program has one thread.
unsafe impl Sync for Arena {}

impl Books for Arena {
    fn in_heap(&self, at: *const u8) -> Option<usize> {
        at.addr().checked_sub(self.start.addr()).filter(|at| *at < self.used.get())
    }

    fn heap(&self) -> usize {
        self.used.get()
    }

    fn mapped(&self) -> usize {
        self.mapped.get()
    }
}

/// Fresh addresses, which become memory where somebody touches them.
fn reserve() -> *mut u8 {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping at a place of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), RESERVED, access, kind, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "no addresses left");
    start.cast()
}

/// A malloc of the Rust world, which is told sizes and alignments.
struct Layouts<A>(A);

fn layout(align: usize, size: usize) -> Layout {
    Layout::from_size_align(size.max(1), align).expect("a workload asks for sizes that there are")
}

impl<A: GlobalAlloc> Subject for Layouts<A> {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: the size is not 0.
        unsafe { self.0.alloc(layout(16, size)) }
    }

    unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: the size is not 0.
        unsafe { self.0.alloc_zeroed(layout(16, size)) }
    }

    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
        // SAFETY: the size is not 0.
        unsafe { self.0.alloc(layout(align, size)) }
    }

    unsafe fn realloc(&mut self, block: *mut u8, align: usize, old: usize, size: usize) -> *mut u8 {
        // SAFETY: a block of this malloc, with its size and alignment.
        unsafe { self.0.realloc(block, layout(align, old), size.max(1)) }
    }

    unsafe fn free(&mut self, block: *mut u8, align: usize, size: usize) {
        // SAFETY: a block of this malloc, with its size and alignment.
        unsafe { self.0.dealloc(block, layout(align, size)) }
    }
}

/// talc and rlsf get all the memory that they will ever need at once, so that they never ask the system.
struct Talc(talc::TalcCell<talc::source::Manual>);

impl Talc {
    fn new() -> Self {
        let cell = talc::TalcCell::new(talc::source::Manual);
        // SAFETY: fresh memory that nobody else uses.
        unsafe { cell.claim(reserve(), RESERVED) };
        Talc(cell)
    }
}

// SAFETY: talc's own.
unsafe impl GlobalAlloc for Talc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract is the same one.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the contract is the same one.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the contract is the same one.
        unsafe { self.0.realloc(block, layout, size) }
    }
}

struct Rlsf(rlsf::Tlsf<'static, usize, usize, 32, 32>);

impl Rlsf {
    fn new() -> Self {
        let mut tlsf = rlsf::Tlsf::new();
        let memory = NonNull::slice_from_raw_parts(NonNull::new(reserve()).expect("no null"), RESERVED);
        // SAFETY: fresh memory that nobody else uses, and that stays.
        unsafe { tlsf.insert_free_block_ptr(memory) };
        Rlsf(tlsf)
    }
}

impl Subject for Rlsf {
    unsafe fn malloc(&mut self, size: usize) -> *mut u8 {
        or_null(self.0.allocate(layout(16, size)))
    }

    unsafe fn calloc(&mut self, size: usize) -> *mut u8 {
        let block = or_null(self.0.allocate(layout(16, size)));
        // SAFETY: a block of so many bytes.
        unsafe { block.write_bytes(0, size) };
        block
    }

    unsafe fn aligned(&mut self, align: usize, size: usize) -> *mut u8 {
        or_null(self.0.allocate(layout(align, size)))
    }

    unsafe fn realloc(&mut self, block: *mut u8, align: usize, _: usize, size: usize) -> *mut u8 {
        // SAFETY: a block of this malloc, with its alignment.
        unsafe { or_null(self.0.reallocate(NonNull::new_unchecked(block), layout(align, size))) }
    }

    unsafe fn free(&mut self, block: *mut u8, align: usize, _: usize) {
        // SAFETY: a block of this malloc, with its alignment.
        unsafe { self.0.deallocate(NonNull::new_unchecked(block), align) }
    }
}
