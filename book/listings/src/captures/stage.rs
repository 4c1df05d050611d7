//! A heap under a reference lab's allocator: what the figures and facts are about.

use heapkit::draw::{self, Row};
use heapkit::image::{Image, ListHead, Raw};
use heapkit::memory::{Arena, PrivateArena};
use lab02::Chunk;
use lab03::{Fit, ListHeap};
use lab04::CoalescingHeap;
use std::ptr::NonNull;

/// The allocator of a lab.
pub trait Reference {
    /// Makes a heap of the bytes in `region`.
    ///
    /// # Safety
    /// Nobody else uses the region; it is whole pages.
    unsafe fn new(region: NonNull<[u8]>, fit: Fit) -> Self;
    fn malloc(&mut self, request: usize) -> Option<NonNull<u8>>;
    /// # Safety
    /// The payload is live.
    unsafe fn free(&mut self, payload: NonNull<u8>);
    /// The address of the list's first chunk.
    fn list_head(&self) -> usize;
}

macro_rules! is_reference {
    ($allocator:ty) => {
        impl Reference for $allocator {
            unsafe fn new(region: NonNull<[u8]>, fit: Fit) -> Self {
                // SAFETY: whole pages that nobody else uses are aligned, long enough, and ours (see `Reference::new`).
                unsafe { <$allocator>::new(region, fit) }
            }

            fn malloc(&mut self, request: usize) -> Option<NonNull<u8>> {
                self.malloc(request)
            }

            unsafe fn free(&mut self, payload: NonNull<u8>) {
                // SAFETY: a live payload of this heap (see `Reference::free`).
                unsafe { self.free(payload) }
            }

            fn list_head(&self) -> usize {
                self.free_list().head().addr()
            }
        }
    };
}

is_reference!(ListHeap);
is_reference!(CoalescingHeap);

/// A heap under an allocator, and the blocks that were asked for.
pub struct Stage<A> {
    pub arena: PrivateArena,
    len: usize,
    pub allocator: A,
    blocks: Vec<NonNull<u8>>,
}

impl<A: Reference> Stage<A> {
    /// A fresh heap of `len` bytes.
    pub fn new(len: usize, fit: Fit) -> Result<Self, String> {
        let arena = PrivateArena::heap(len).map_err(|e| format!("no memory for a figure: {e}"))?;
        // SAFETY: whole pages that nobody else uses.
        let allocator = unsafe { A::new(arena.region(len), fit) };
        Ok(Stage { arena, len, allocator, blocks: Vec::new() })
    }

    /// The same, after a `malloc` of each size.
    pub fn with(len: usize, fit: Fit, sizes: &[usize]) -> Result<Self, String> {
        let mut stage = Self::new(len, fit)?;
        for &size in sizes {
            stage.malloc(size).ok_or_else(|| format!("a figure's heap has no room for {size} bytes"))?;
        }
        Ok(stage)
    }

    /// The offset of the new block's chunk.
    pub fn malloc(&mut self, size: usize) -> Option<usize> {
        let block = self.allocator.malloc(size)?;
        self.blocks.push(block);
        Some(self.chunk(self.blocks.len() - 1))
    }

    pub fn free(&mut self, block: usize) {
        // SAFETY: each figure frees a live block once.
        unsafe { self.allocator.free(self.blocks[block]) }
    }

    /// Where the chunk of a block starts.
    pub fn chunk(&self, block: usize) -> usize {
        self.arena.offset_of(self.blocks[block].as_ptr()) - heapkit::format::PAYLOAD
    }

    /// The chunk of a block.
    pub fn lend(&self, block: usize) -> Chunk {
        // SAFETY: the payload of a chunk of this heap.
        unsafe { Chunk::from_payload(self.blocks[block]) }
    }

    pub fn look<T>(&self, see: impl FnOnce(&Raw<'_>, Image) -> T) -> T {
        let bytes = self.arena.snapshot(0..self.len);
        let raw = Raw::new(&bytes);
        let image = Image::decode(&raw, &[ListHead::free_list(self.allocator.list_head())]);
        see(&raw, image)
    }

    /// The heap with a list that isn't the allocator's.
    pub fn image_with(&self, list_head: usize) -> Image {
        Image::decode(&Raw::new(&self.arena.snapshot(0..self.len)), &[ListHead::free_list(list_head)])
    }

    pub fn image(&self) -> Image {
        self.look(|_, image| image)
    }

    /// The words of the chunks from one block's chunk up to another's.
    pub fn rows(&self, from: usize, to: usize) -> Vec<Row> {
        let range = self.chunk(from)..self.chunk(to);
        self.look(|raw, image| draw::rows(raw, &image, range))
    }

    /// The chunks of the first blocks, with these names.
    pub fn names<'a>(&self, names: &[&'a str]) -> Vec<(usize, &'a str)> {
        names.iter().enumerate().map(|(block, name)| (self.chunk(block), *name)).collect()
    }

    /// The picture as text, as it stands under a failing case.
    pub fn text(&self) -> String {
        self.look(|_, image| {
            let list = image.list().map(draw::list).unwrap_or_default();
            format!("{}list: {list}\n", draw::heap(&image, &[]))
        })
    }
}
