//! The flight recorder: memory shared between a case's process and the one that watches it.
//!
//! The heap under test lives in it, beside the journal and the finding. So whatever ends the process, the watcher
//! still has the heap as it was, the step under way, and what was known.

use heapkit::journal::{Journal, Story};
use heapkit::memory::{Heap, PAGE};
use heapkit::os::{Layout, Mapping};
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest heap a case can have, in bytes.
pub const MAX_HEAP: usize = 1024 * PAGE;

/// How many mappings it knows.
const MAPPINGS: usize = 200;

/// A stretch of the recorder, each in pages of its own.
#[derive(Clone, Copy)]
struct Section {
    at: usize,
    len: usize,
}

const WORDS: Section = Section { at: 0, len: PAGE };
const STORY: Section = Section { at: WORDS.at + WORDS.len, len: 16 * PAGE };
const FINDING: Section = Section { at: STORY.at + STORY.len, len: 16 * PAGE };
const PLACE: Section = Section { at: FINDING.at + FINDING.len, len: PAGE };
const MEASURED: Section = Section { at: PLACE.at + PLACE.len, len: PAGE };
const WORKLOAD: Section = Section { at: MEASURED.at + MEASURED.len, len: 16 * PAGE };
const LAYOUT: Section = Section { at: WORKLOAD.at + WORKLOAD.len, len: 16 * PAGE };
const BEFORE: Section = Section { at: LAYOUT.at + LAYOUT.len, len: MAX_HEAP };
const HEAP: Section = Section { at: BEFORE.at + BEFORE.len, len: MAX_HEAP };
const LEN: usize = HEAP.at + HEAP.len;
/// Behind all that is mapped: the word that proves that the body ran to its end. It can only be read by a system call, so
/// code that looks through its process's memory doesn't find it.
const TOKEN: u64 = LEN as u64;

/// Where the body of a case has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At its own end: every check has been made.
    Whole,
    /// When the watcher's workload had been played: nothing else has been checked.
    Replay,
}

impl End {
    /// What proves it. The watcher knows which of them it asked for.
    pub fn proof(self, token: u64) -> u64 {
        match self {
            End::Whole => token,
            End::Replay => !token,
        }
    }
}

/// Single words that are set at a known time.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Word {
    /// The token, once the body has run to its end.
    Finished,
    /// The address of the heap in the case's process.
    HeapBase,
    /// Its length, 0 while there is none.
    HeapLen,
    /// 1 for a heap without headers: it can't be drawn.
    Bare,
    /// The length of the heap before the last step.
    LenBefore,
    /// Whether [`Recorder::before`] holds the heap as it was before the last step.
    HasBefore,
    /// The address that a crash was about.
    FaultAddress,
    /// One of [`access`].
    FaultAccess,
    /// The stack pointer at the crash.
    StackPointer,
    /// 1 once the time is up.
    TimeUp,
}

/// What the faulting instruction was doing.
pub mod access {
    /// The processor doesn't say.
    #[cfg_attr(target_arch = "x86_64", expect(dead_code))]
    pub const UNKNOWN: u64 = 0;
    /// It read.
    pub const READ: u64 = 1;
    /// It wrote.
    pub const WRITE: u64 = 2;
}

/// The shared memory. Mapped until the process ends, in the watcher until it is dropped.
pub struct Recorder {
    memory: *mut u8,
    file: OwnedFd,
}

// SAFETY: the recorder's words are atomics; its texts are written by one thread of the case's process, and read by the
// watcher when that process is gone.
unsafe impl Send for Recorder {}
// SAFETY: as above.
unsafe impl Sync for Recorder {}

impl Recorder {
    /// A new one, all zero.
    ///
    /// # Errors
    /// What the system says, if it has no memory or no descriptor left.
    pub fn create() -> io::Result<Self> {
        // SAFETY: a plain system call with a C string. CLOEXEC: the one case that is to inherit it clears that.
        let fd =
            unsafe { libc::memfd_create(c"flight-recorder".as_ptr(), libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, and nobody else's.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain system calls on our own file. Sealed: a case that made it shorter would pull the memory away from under
        // the watcher.
        let made = unsafe {
            libc::ftruncate(file.as_raw_fd(), (LEN + PAGE) as i64) == 0
                && libc::fcntl(
                    file.as_raw_fd(),
                    libc::F_ADD_SEALS,
                    libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL,
                ) == 0
        };
        if !made {
            return Err(io::Error::last_os_error());
        }
        Self::map(file)
    }

    /// Puts the token where [`Recorder::finish`] finds it.
    ///
    /// # Errors
    /// What the system says.
    pub fn hide_token(&self, token: u64) -> io::Result<()> {
        File::from(self.file.try_clone()?).write_all_at(&token.to_ne_bytes(), TOKEN)
    }

    /// Proves that the body has come to its end: the case's own, or that of the watcher's workload.
    pub fn finish(&self, end: End) {
        let mut token = [0; 8];
        if self.file.try_clone().is_ok_and(|file| File::from(file).read_exact_at(&mut token, TOKEN).is_ok()) {
            self.set(Word::Finished, end.proof(u64::from_ne_bytes(token)));
        }
    }

    /// The one that the watcher left open under the number `fd`.
    ///
    /// # Safety
    /// `fd` is an open recorder that nobody else in this process owns.
    ///
    /// # Errors
    /// What the system says, if it can't be mapped.
    pub unsafe fn inherit(fd: i32) -> io::Result<Self> {
        // SAFETY: the caller promises it.
        Self::map(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn map(file: OwnedFd) -> io::Result<Self> {
        // SAFETY: maps our own file at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Recorder { memory: memory.cast(), file })
        }
    }

    /// The descriptor's number, for the case's process.
    pub fn fd(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// Sets a word. Safe in a signal handler.
    pub fn set(&self, word: Word, value: u64) {
        self.atomic(word).store(value, Ordering::SeqCst);
    }

    /// Reads a word.
    pub fn get(&self, word: Word) -> u64 {
        self.atomic(word).load(Ordering::SeqCst)
    }

    fn atomic(&self, word: Word) -> &AtomicU64 {
        // SAFETY: the first page is words, aligned because pages are, and only used as atomics.
        unsafe { &*self.memory.cast::<AtomicU64>().add(word as usize) }
    }

    /// The journal of this case, empty.
    pub fn journal(&self) -> Journal {
        // SAFETY: the section lies in the recorder, is aligned to a page, and used for nothing else.
        unsafe { Journal::over(self.memory.add(STORY.at), STORY.len) }
    }

    /// Maps a fresh heap of `len` bytes out of the recorder.
    ///
    /// # Errors
    /// What the system says, if it can't be mapped.
    pub fn heap(&self, len: usize) -> io::Result<Heap> {
        assert!(len <= MAX_HEAP, "a case's heap has at most {MAX_HEAP} bytes, not {len}");
        let heap = Heap::shared(self.file.as_fd(), HEAP.at, len)?;
        heap.refresh();
        self.set(Word::HeapBase, heap.start().addr().get() as u64);
        self.set(Word::HeapLen, len as u64);
        self.set(Word::Bare, 0);
        self.set(Word::HasBefore, 0);
        self.set_text(LAYOUT, "");
        Ok(heap)
    }

    /// Maps memory for a simulated system, all of it inaccessible: no heap yet.
    ///
    /// # Errors
    /// What the system says, if it can't be mapped.
    pub fn room(&self) -> io::Result<Heap> {
        let room = Heap::shared(self.file.as_fd(), HEAP.at, MAX_HEAP)?;
        self.set(Word::HeapBase, room.start().addr().get() as u64);
        self.set(Word::HasBefore, 0);
        self.set_layout(&Layout::default());
        Ok(room)
    }

    /// Writes down who has which memory.
    pub fn set_layout(&self, layout: &Layout) {
        self.set(Word::HeapLen, layout.end as u64);
        // A crash in a mapping is most likely in one of the latest.
        let mappings = &layout.mappings[layout.mappings.len().saturating_sub(MAPPINGS)..];
        let mut text = format!("{}", layout.mappings.len() - mappings.len());
        for foreign in &layout.foreign {
            let _ = write!(text, " f:{}:{}", foreign.start, foreign.end);
        }
        for mapping in mappings {
            let _ = write!(text, " m:{}:{}:{}", mapping.start, mapping.len, u8::from(mapping.alive));
        }
        self.set_text(LAYOUT, &text);
    }

    /// Who has which memory, and how many mappings have been left out.
    pub fn layout(&self) -> (Layout, usize) {
        let mut layout = Layout { end: self.get(Word::HeapLen) as usize, ..Layout::default() };
        let text = self.text(LAYOUT).unwrap_or_default();
        let mut words = text.split(' ');
        let left_out = words.next().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0) as usize;
        for word in words {
            let numbers: Vec<usize> = word.split(':').skip(1).filter_map(|number| number.parse().ok()).collect();
            // The case's process may have written anything here.
            let Some(kind) = word.bytes().next() else { continue };
            match (kind, numbers.as_slice()) {
                (b'f', &[start, end]) => layout.foreign.push(start..end),
                (_, &[start, len, alive]) => layout.mappings.push(Mapping { start, len, alive: alive == 1 }),
                _ => {}
            }
        }
        (layout, left_out)
    }

    /// Keeps a copy of the heap as it is now.
    pub fn keep_before(&self, heap: &Heap) {
        // SAFETY: both are at least `heap.len()` bytes long, and they don't overlap.
        unsafe { heap.start().as_ptr().copy_to_nonoverlapping(self.memory.add(BEFORE.at), heap.len()) };
        self.set(Word::LenBefore, heap.len() as u64);
        self.set(Word::HasBefore, 1);
    }

    /// Writes the finding.
    pub fn set_finding(&self, json: &str) {
        self.set_text(FINDING, json);
    }

    /// Writes down a place in the learner's code.
    pub fn set_place(&self, place: &str) {
        self.set_text(PLACE, place);
    }

    /// Writes down what was measured.
    pub fn set_measured(&self, line: &str) {
        self.set_text(MEASURED, line);
    }

    /// What was measured, if anything was.
    pub fn measured(&self) -> Option<String> {
        self.text(MEASURED)
    }

    /// Writes down the workload that is being played.
    pub fn set_workload(&self, workload: &str) {
        self.set_text(WORKLOAD, workload);
    }

    /// The story so far.
    pub fn story(&self) -> Story {
        Journal::read(&self.bytes(STORY))
    }

    /// The finding, if there is one.
    pub fn finding(&self) -> Option<String> {
        self.text(FINDING)
    }

    /// The place in the learner's code, if one was found.
    pub fn place(&self) -> Option<String> {
        self.text(PLACE)
    }

    /// The workload that was being played, if any.
    pub fn workload(&self) -> Option<String> {
        self.text(WORKLOAD)
    }

    /// The heap as it is.
    pub fn heap_bytes(&self) -> Option<Vec<u8>> {
        self.heap_copy(HEAP, Word::HeapLen)
    }

    /// The heap as it was before the last step.
    pub fn before(&self) -> Option<Vec<u8>> {
        self.heap_copy(BEFORE, Word::LenBefore).filter(|_| self.get(Word::HasBefore) == 1)
    }

    fn heap_copy(&self, section: Section, len: Word) -> Option<Vec<u8>> {
        let len = usize::try_from(self.get(len)).ok().filter(|len| (1..=MAX_HEAP).contains(len))?;
        Some(self.bytes(Section { len, ..section }))
    }

    /// A text section holds its length and then its bytes.
    fn set_text(&self, section: Section, text: &str) {
        let text = &text.as_bytes()[..text.len().min(section.len - 8)];
        // SAFETY: length and text fit into the section, which is inside the recorder.
        unsafe {
            let start = self.memory.add(section.at);
            start.add(8).copy_from_nonoverlapping(text.as_ptr(), text.len());
            start.cast::<u64>().write_volatile(text.len() as u64);
        }
    }

    fn text(&self, section: Section) -> Option<String> {
        let bytes = self.bytes(section);
        let (len, text) = bytes.split_first_chunk::<8>()?;
        let len = usize::try_from(u64::from_ne_bytes(*len)).ok().filter(|&len| len > 0)?;
        Some(String::from_utf8_lossy(&text[..len.min(text.len())]).into_owned())
    }

    fn bytes(&self, section: Section) -> Vec<u8> {
        let mut copy = vec![0; section.len];
        // SAFETY: the section is inside the recorder.
        unsafe { self.memory.add(section.at).copy_to_nonoverlapping(copy.as_mut_ptr(), section.len) };
        copy
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: our own mapping, of which no pointer is left: heaps are mapped on their own.
        unsafe { libc::munmap(self.memory.cast(), LEN) };
    }
}
