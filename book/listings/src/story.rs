//! The story of the whole malloc: played on the simulated system for the page, and on Linux under `strace`.

use heapkit::os::Os;
use heapkit::workload::{Op, elements};
use lab04::FreeChunks;
use lab05::Malloc;
use lab06::FastMalloc;
use lab08::{Cache, SharedMalloc};
use std::ptr::NonNull;

/// Every way in which the reference of lab 5 calls the system.
pub const STORY: &str =
    "m0:100 m1:200 m2:131000 m3:131000 f3 f2 m4:10485760 f4 m5:300000 m6:40000000 r6:50000000 f6 f5 f1 f0";

/// A whole malloc of the labs.
pub trait Whole {
    /// Takes one step with the blocks so far.
    ///
    /// # Safety
    /// The blocks are live blocks of this malloc, and nobody uses them.
    unsafe fn take(&mut self, blocks: &mut [Option<NonNull<u8>>], op: Op);
}

macro_rules! whole {
    ($malloc:ty, $($parameters:tt)*) => {
        impl<$($parameters)*> Whole for $malloc {
            unsafe fn take(&mut self, blocks: &mut [Option<NonNull<u8>>], op: Op) {
                match op {
                    Op::Malloc { id, size } => blocks[id] = self.malloc(size),
                    Op::Calloc { id, size } => {
                        let (count, each) = elements(size);
                        blocks[id] = self.calloc(count, each);
                    }
                    Op::Aligned { id, align, size } => blocks[id] = self.aligned(align, size),
                    Op::Realloc { id, size } => {
                        // SAFETY: a live block of this malloc (see `# Safety`).
                        blocks[id] = blocks[id].and_then(|block| unsafe { self.realloc(block, size) });
                    }
                    Op::Free { id } => {
                        if let Some(block) = blocks[id].take() {
                            // SAFETY: the same; it is live no more.
                            unsafe { self.free(block) }
                        }
                    }
                    Op::Foreign { .. } => {}
                }
            }
        }
    };
}

whole!(Malloc<O, F>, O: Os, F: FreeChunks);
whole!(FastMalloc<O>, O: Os);
whole!(OneThread<O>, O: Os + Copy);

/// The malloc of lab 8, and the cache of the thread that uses it.
pub struct OneThread<O> {
    /// The malloc.
    pub malloc: SharedMalloc<O>,
    /// The cache.
    pub cache: Cache,
}

impl<O: Os + Copy> OneThread<O> {
    /// A malloc that has asked the system for nothing yet, and a cache without blocks.
    pub fn new(os: O, cache: Cache) -> Self {
        Self { malloc: SharedMalloc::new(os, |found| panic!("{found}")), cache }
    }

    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
        self.malloc.malloc(&mut self.cache, request)
    }

    fn calloc(&mut self, count: usize, size: usize) -> Option<NonNull<u8>> {
        self.malloc.calloc(&mut self.cache, count, size)
    }

    fn aligned(&mut self, align: usize, request: usize) -> Option<NonNull<u8>> {
        self.malloc.aligned(&mut self.cache, align, request)
    }

    /// # Safety
    /// As for [`SharedMalloc::realloc`].
    unsafe fn realloc(&mut self, payload: NonNull<u8>, request: usize) -> Option<NonNull<u8>> {
        // SAFETY: the contract is the same one.
        unsafe { self.malloc.realloc(&mut self.cache, payload, request) }
    }

    /// # Safety
    /// As for [`SharedMalloc::free`].
    unsafe fn free(&mut self, payload: NonNull<u8>) {
        // SAFETY: the contract is the same one.
        unsafe { self.malloc.free(&mut self.cache, payload) }
    }
}
