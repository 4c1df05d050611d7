//! The line to the examiner, and the threads that share it.

use crate::wire::{LONGEST, THREADS};
use crate::{Memory, note};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// The one line of this process. Calls of the system go over it in the middle of an answer, so it is in nobody's hands.
///
/// Each of the examiner's frames is for one thread, and that one alone goes on until it has sent a frame of its own.
pub struct Connection;

/// Closed with the process: it never owns its descriptor alone.
static SOCKET: Mutex<Option<ManuallyDrop<BufReader<File>>>> = Mutex::new(None);
/// Where the break is.
static BREAK: AtomicUsize = AtomicUsize::new(0);
/// What has come for threads that did not read it themselves.
static BOXES: [Letterbox; THREADS] = [const { Letterbox { words: Mutex::new(None), came: Condvar::new() } }; THREADS];

thread_local! {
    /// This thread's number.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

struct Letterbox {
    words: Mutex<Option<Vec<u64>>>,
    came: Condvar,
}

impl Letterbox {
    fn put(&self, words: Vec<u64>) {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).replace(words);
        self.came.notify_one();
    }

    fn wait(&self) -> Vec<u64> {
        // The examiner asks the thread that goes on where it is, and no other.
        note::is_asked(false);
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(words) = words.take() {
                note::is_asked(true);
                return words;
            }
            words = self.came.wait(words).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Connection {
    /// Opens the line.
    pub fn open(socket: RawFd) {
        // SAFETY: the ticket says that this descriptor is the line's, and it is never closed.
        let file = unsafe { File::from_raw_fd(socket) };
        let reader = ManuallyDrop::new(BufReader::new(file));
        SOCKET.lock().unwrap_or_else(PoisonError::into_inner).replace(reader);
    }

    /// Where the break is.
    pub fn program_break() -> usize {
        BREAK.load(Ordering::Relaxed)
    }

    /// From now on this thread is number `number`. The main one is number 0.
    pub fn is_thread(number: usize) {
        OWN.set(number);
    }

    /// The words of this thread's next question or answer, after what has changed is done; `None` if there are no more. For the thread
    /// that has sent the last frame.
    pub fn next(memory: Memory) -> Option<Vec<u64>> {
        let (thread, words) = Self::receive(memory)?;
        if thread == OWN.get() {
            return Some(words);
        }
        BOXES.get(thread)?.put(words);
        Some(Self::wait())
    }

    /// The words of this thread's next question, which another thread receives. The examiner's frames are read by the thread that
    /// has sent the last one.
    pub fn wait() -> Vec<u64> {
        BOXES[OWN.get()].wait()
    }

    /// A frame, and the thread that it is for.
    fn receive(memory: Memory) -> Option<(usize, Vec<u64>)> {
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
        BREAK.store(words.next()?.try_into().ok()?, Ordering::Relaxed);
        Some((words.next()?.try_into().ok()?, words.collect()))
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

    /// Sends a call, and waits for the words of the answer to it.
    pub fn ask(memory: Memory, kind: u64, words: &[u64]) -> Vec<u64> {
        Self::send(kind, words);
        // An examiner that is gone needs no answer any more.
        Self::next(memory).unwrap_or_else(|| std::process::exit(1))
    }
}

fn with<T>(work: impl FnOnce(&mut BufReader<File>) -> io::Result<T>) -> io::Result<T> {
    let mut socket = SOCKET.lock().unwrap_or_else(PoisonError::into_inner);
    work(socket.as_mut().ok_or(io::ErrorKind::NotConnected)?)
}
