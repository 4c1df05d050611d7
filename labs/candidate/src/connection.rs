//! The line to the examiner.

use crate::Memory;
use crate::wire::LONGEST;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};

/// The one line of this process. Calls of the system go over it in the middle of an answer, so it is in nobody's hands.
pub struct Connection;

thread_local! {
    /// Closed with the process, not with the thread: it never owns its descriptor alone.
    static SOCKET: RefCell<Option<ManuallyDrop<BufReader<File>>>> = const { RefCell::new(None) };
    /// Where the break is.
    static BREAK: Cell<usize> = const { Cell::new(0) };
}

impl Connection {
    /// Opens the line.
    pub fn open(socket: RawFd) {
        // SAFETY: the ticket says that this descriptor is the line's, and it is never closed.
        let file = unsafe { File::from_raw_fd(socket) };
        SOCKET.set(Some(ManuallyDrop::new(BufReader::new(file))));
    }

    /// Where the break is.
    pub fn program_break() -> usize {
        BREAK.get()
    }

    /// The words of the next question or answer, after what has changed is done; `None` if there are no more.
    pub fn next(memory: Memory) -> Option<Vec<u64>> {
        let mut count = [0; 8];
        with(|socket| socket.read_exact(&mut count)).ok()?;
        let count = usize::try_from(u64::from_ne_bytes(count)).ok().filter(|count| *count <= LONGEST)?;
        let mut bytes = vec![0; 8 * count];
        with(|socket| socket.read_exact(&mut bytes)).ok()?;
        let mut words = bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?)));
        for _ in 0..words.next()? {
            let mut place = || words.next().and_then(|word| usize::try_from(word).ok());
            let (start, end, open) = (place()?, place()?, place()?);
            memory.protect(start, end, open != 0);
        }
        BREAK.set(words.next()?.try_into().ok()?);
        Some(words.collect())
    }

    /// Sends a frame.
    pub fn send(kind: u64, words: &[u64]) {
        let count = 1 + words.len() as u64;
        let bytes: Vec<u8> = [count, kind].iter().chain(words).flat_map(|word| word.to_ne_bytes()).collect();
        if with(|socket| socket.get_mut().write_all(&bytes)).is_err() {
            // Nobody listens any more.
            std::process::exit(1);
        }
    }
}

fn with<T>(work: impl FnOnce(&mut BufReader<File>) -> io::Result<T>) -> io::Result<T> {
    SOCKET.with_borrow_mut(|socket| work(socket.as_mut().ok_or(io::ErrorKind::NotConnected)?))
}
