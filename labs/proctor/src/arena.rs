//! The memory that examiner and candidate share, on the examiner's side.

use crate::finding::Finding;
use candidate::wire::{ARENA_AT, BASE, NOTE, note};
use heapkit::memory::{ARENA, Arena, PAGE};
use heapkit::snapshot::Snapshot;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// A file in memory. The examiner never maps it: it reads and writes copies, so that nothing changes under its eyes.
#[derive(Clone, Debug)]
pub struct SharedArena(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    /// Pages that the candidate has still to open or close: start, end, and whether to open them.
    orders: RefCell<Vec<(usize, usize, bool)>>,
}

impl SharedArena {
    /// A new one, all zero, all closed.
    ///
    /// # Errors
    /// What the system says, if it has no memory or no descriptor left.
    pub fn create() -> io::Result<Self> {
        let flags = libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC;
        // SAFETY: a plain system call with a C string.
        let fd = unsafe { libc::memfd_create(c"arena".as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len((ARENA_AT + ARENA) as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: a plain system call on our own file. A candidate can't take the memory away from us, then.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(SharedArena(Rc::new(Shared { file, orders: RefCell::default() })))
    }

    /// The same memory for a candidate to inherit. Not a copy of our descriptor: the candidate could have that write at the end only.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_again(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(format!("/proc/self/fd/{}", self.descriptor()))
    }

    fn descriptor(&self) -> RawFd {
        self.0.file.as_raw_fd()
    }

    /// What the candidate has to open or close before it goes on.
    pub fn take_orders(&self) -> Vec<(usize, usize, bool)> {
        self.0.orders.take()
    }

    /// Everything closed and zero, as at the start.
    pub fn reset(&self) {
        self.0.orders.borrow_mut().clear();
        self.close(0..ARENA);
        self.discard(0..ARENA);
    }

    /// A word of the candidate's note.
    pub fn note(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        // Past the end there is nothing to read, and inside the file nothing fails.
        let _ = self.0.file.read_exact_at(&mut word, (8 * at) as u64);
        u64::from_ne_bytes(word)
    }

    /// A text of the candidate's note, if there is one. It may say anything.
    pub fn note_text(&self, at: usize) -> Option<String> {
        let most = if at < note::PLACE { 8 * (note::PLACE - at - 1) } else { NOTE - 8 * (at + 1) };
        let len = usize::try_from(self.note(at)).ok().filter(|len| (1..=most).contains(len))?;
        let mut text = vec![0; len];
        self.0.file.read_exact_at(&mut text, (8 * (at + 1)) as u64).ok()?;
        let printable = |c: &char| !c.is_control() || *c == '\n';
        Some(String::from_utf8_lossy(&text).chars().filter(printable).collect())
    }

    /// The stretches of `range` that hold anything, in order.
    fn held(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let seek = |at: usize, whence| {
            // SAFETY: a plain system call. Where the descriptor is afterwards, nobody asks.
            let found = unsafe { libc::lseek(self.descriptor(), (ARENA_AT + at) as libc::off_t, whence) };
            usize::try_from(found).ok().map(|found| found - ARENA_AT)
        };
        let mut held = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let Some(start) = seek(at, libc::SEEK_DATA).filter(|start| *start < range.end) else { break };
            let end = seek(start, libc::SEEK_HOLE).unwrap_or(range.end).min(range.end);
            held.push(start.max(range.start)..end);
            at = end;
        }
        held
    }
}

/// Ends the case if `len` bytes at `at` are not all in the arena. The examiner looks where the candidate's answers lead: it is the
/// candidate who has named such a place.
fn expect_inside(at: usize, len: usize) {
    if at.checked_add(len).is_none_or(|end| end > ARENA) {
        let what = "Your code names a place that is in no heap and in no mapping.";
        let seen = format!("{at:#x} bytes after the start of the heap");
        Finding::new(what).expected("a place in the heap, or in a mapping", seen).end_case();
    }
}

impl Arena for SharedArena {
    fn base(&self) -> usize {
        BASE
    }

    fn read(&self, at: usize, into: &mut [u8]) {
        expect_inside(at, into.len());
        self.0.file.read_exact_at(into, (ARENA_AT + at) as u64).expect("the arena can be read");
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        expect_inside(at, bytes.len());
        self.0
            .file
            .write_all_at(bytes, (ARENA_AT + at) as u64)
            .expect("the arena can be written: is the machine out of memory?");
    }

    fn snapshot(&self, range: Range<usize>) -> Snapshot {
        expect_inside(range.start, range.len());
        let copy = |held: Range<usize>| {
            let mut bytes = vec![0; held.len()];
            self.read(held.start, &mut bytes);
            (held.start, bytes)
        };
        Snapshot::sparse(BASE, range.clone(), self.held(range).into_iter().map(copy).collect())
    }

    fn open(&self, pages: Range<usize>) {
        self.0.orders.borrow_mut().push((pages.start, pages.end, true));
    }

    fn close(&self, pages: Range<usize>) {
        self.0.orders.borrow_mut().push((pages.start, pages.end, false));
    }

    fn discard(&self, pages: Range<usize>) {
        let flags = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let (start, len) = ((ARENA_AT + pages.start) as libc::off_t, pages.len() as libc::off_t);
        // SAFETY: a plain system call on our own file.
        let done = unsafe { libc::fallocate(self.descriptor(), flags, start, len) };
        assert_eq!(done, 0, "fallocate: {}", io::Error::last_os_error());
    }

    fn touched(&self, pages: Range<usize>) -> usize {
        self.held(pages).iter().map(|held| held.len() / PAGE).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_place_outside_of_all_memory_is_the_candidates_mistake() {
        let arena = SharedArena::create().unwrap();
        assert_eq!(arena.word(ARENA - 8), 0);
        for at in [ARENA - 7, 1 << 60, usize::MAX - 7] {
            let looks: [&dyn Fn(); 3] =
                [&|| _ = arena.word(at), &|| arena.set_word(at, 1), &|| _ = arena.snapshot(at..usize::MAX)];
            for look in looks {
                let ended = catch_unwind(AssertUnwindSafe(look)).unwrap_err();
                assert_eq!(ended.downcast::<Finding>().unwrap().verdict, Verdict::Wrong);
            }
        }
    }
}
