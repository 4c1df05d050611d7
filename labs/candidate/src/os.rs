//! A system that is another process.

use crate::Memory;
use crate::connection::Connection;
use crate::wire::{DISCARD, MMAP, MREMAP, MUNMAP, Reader, SBRK, Words};
use heapkit::os::Os;
use std::ptr::NonNull;

/// The examiner's simulated system: every call is a question to it.
#[derive(Clone, Copy, Debug)]
pub struct AskedOs(Memory);

impl AskedOs {
    /// The system whose memory this is.
    pub fn new(memory: Memory) -> Self {
        AskedOs(memory)
    }

    fn ask(self, call: u64, words: &[u64]) -> Option<usize> {
        Option::<usize>::read(&mut Reader::new(&Connection::ask(self.0, call, words))).flatten()
    }
}

// SAFETY: the simulated system hands out each byte of the arena once, and opens its pages before it answers.
unsafe impl Os for AskedOs {
    fn program_break(&self) -> NonNull<u8> {
        self.0.at(Connection::program_break())
    }

    unsafe fn sbrk(&self, delta: isize) -> Option<NonNull<u8>> {
        self.ask(SBRK, &[delta.cast_unsigned() as u64]).map(|at| self.0.at(at))
    }

    fn mmap(&self, len: usize) -> Option<NonNull<u8>> {
        self.ask(MMAP, &[len as u64]).map(|at| self.0.at(at))
    }

    unsafe fn munmap(&self, start: NonNull<u8>, len: usize) {
        self.ask(MUNMAP, &[self.0.offset_of(start.as_ptr()) as u64, len as u64]);
    }

    unsafe fn mremap(&self, start: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
        self.ask(MREMAP, &[self.0.offset_of(start.as_ptr()) as u64, len as u64, new_len as u64]).map(|at| self.0.at(at))
    }

    unsafe fn discard(&self, start: NonNull<u8>, len: usize) {
        self.ask(DISCARD, &[self.0.offset_of(start.as_ptr()) as u64, len as u64]);
    }
}
