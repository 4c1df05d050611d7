//! What a process says about its malloc: counters and, when it breaks, a sentence and the chunks around the block in question.

#[expect(dead_code, reason = "cargo lab reads more of it")]
mod layout;

use crate::os::{Counted, HEAP_START};
use crate::threads;
use heapkit::format::{FLAGS, MIN_CHUNK, PAYLOAD, SIZE_WORD};
use heapkit::os::Os;
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

pub use layout::{Call, Counter};
use layout::{LOADED, PARENT, PATH, PICTURE, PICTURE_CHUNKS, SENTENCE, SENTENCE_BYTES, WORDS};

type Words = [AtomicU64; WORDS];

/// Until there is a file, what the system hands out is counted here.
static EARLY: Words = [const { AtomicU64::new(0) }; WORDS];
static FILE: AtomicPtr<Words> = AtomicPtr::new(ptr::null_mut());

fn file() -> Option<&'static Words> {
    // SAFETY: null, or a mapping of so many words that stays.
    unsafe { FILE.load(Ordering::Acquire).as_ref() }
}

/// Changes a counter, and its peak if it has one. Negative changes wrap.
pub fn add(counter: Counter, change: i64) {
    let words = file().unwrap_or(&EARLY);
    let place = counter as usize;
    let now = words[place].fetch_add(change as u64, Ordering::Relaxed).wrapping_add(change as u64);
    // A block from before the file was there may be freed: that is no peak.
    if matches!(counter, Counter::Alive | Counter::Taken) && now <= i64::MAX as u64 {
        words[place + 1].fetch_max(now, Ordering::Relaxed);
    }
}

/// Whether somebody wants to know about calls.
pub fn is_wanted() -> bool {
    !FILE.load(Ordering::Relaxed).is_null()
}

/// Counts a call, and how many more bytes are in use now.
pub fn count(call: Call, change: i64) {
    if let Some(words) = file() {
        words[Counter::Calls as usize + call as usize].fetch_add(1, Ordering::Relaxed);
        add(Counter::Alive, change);
    }
}

/// Maps the file, if this process's parent wants a report.
pub fn open() {
    let Some(parent) = variable(PARENT).and_then(|parent| parent.to_str().ok()?.parse::<i32>().ok()) else { return };
    let Some(path) = variable(PATH) else { return };
    // SAFETY: none of these calls touches memory of ours. The new mapping has the length of the file's, and stays.
    let words = unsafe {
        if libc::getppid() != parent {
            return;
        }
        let descriptor = libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(ptr::null_mut(), size_of::<Words>(), access, libc::MAP_SHARED, descriptor, 0);
        libc::close(descriptor);
        if start == libc::MAP_FAILED {
            return;
        }
        &*start.cast::<Words>()
    };
    // What this process was before an `exec` doesn't count.
    for (word, early) in words.iter().zip(&EARLY) {
        word.store(early.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    words[0].store(LOADED, Ordering::Relaxed);
    FILE.store(ptr::from_ref(words).cast_mut(), Ordering::Release);
    on_signals();
}

/// The child of a fork is another process, and its parent is another one, too.
pub fn close() {
    FILE.store(ptr::null_mut(), Ordering::Relaxed);
}

/// A variable of the environment. (`std::env::var` would allocate.)
fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: this is called when the library is loaded, before the program can change a variable.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// Writes the sentence to standard error and into the report, with a picture, and ends the process.
pub fn break_with(sentence: fmt::Arguments<'_>) -> ! {
    say(sentence);
    // SAFETY: the process ends here.
    unsafe { libc::abort() }
}

fn say(sentence: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; SENTENCE_BYTES], len: 0 };
    let _ = line.write_fmt(sentence);
    if !is_wanted() {
        // It may have broken before the library was loaded.
        open();
    }
    if let Some(words) = file() {
        for (word, bytes) in words[SENTENCE..].iter().zip(line.bytes.chunks(8)) {
            word.store(u64::from_le_bytes(bytes.try_into().unwrap_or_default()), Ordering::Relaxed);
        }
        words[Counter::SentenceLength as usize].store(line.len as u64, Ordering::Relaxed);
        // The signal that ends the process needs no handler any more.
        default_signals();
        draw(words, threads::doing().1.addr());
    }
    line.bytes[line.len.min(SENTENCE_BYTES - 1)] = b'\n';
    // SAFETY: the line's own bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), (line.len + 1).min(SENTENCE_BYTES)) };
}

/// A line that needs no memory but the stack's. What is too long is cut off.
struct Line {
    bytes: [u8; SENTENCE_BYTES],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..][..part.len()].copy_from_slice(part);
        self.len += part.len();
        Ok(())
    }
}

/// Walks over the main arena, and keeps the chunks around the one whose payload is at `payload`: half of them come before it. If it
/// isn't there, or the walk ends before it, the last ones.
fn draw(words: &Words, payload: usize) {
    let start = HEAP_START.load(Ordering::Relaxed);
    let end = Counted.program_break().addr().get();
    if start.is_null() {
        return;
    }
    let first = start.addr().next_multiple_of(16);
    let mut at = first;
    let (mut seen, mut marked) = (0_usize, 0_usize);
    let mut walk = 1;
    while at != end {
        if end - at < MIN_CHUNK.min(end) {
            walk = 2;
            break;
        }
        // SAFETY: the header is between the heap's start and its end, so it can be read.
        let word = unsafe { start.byte_add(at - start.addr() + SIZE_WORD).cast::<usize>().read() };
        let place = PICTURE + seen % PICTURE_CHUNKS * 2;
        words[place].store(at as u64, Ordering::Relaxed);
        words[place + 1].store(word as u64, Ordering::Relaxed);
        seen += 1;
        if at + PAYLOAD == payload {
            marked = seen;
        }
        let size = word & !FLAGS;
        if size < 16 || !size.is_multiple_of(16) || size > end - at {
            walk = 2;
            break;
        }
        at += size;
        if marked > 0 && seen >= marked + PICTURE_CHUNKS / 2 {
            break;
        }
    }
    words[Counter::Chunks as usize].store(seen as u64, Ordering::Relaxed);
    words[Counter::Marked as usize].store(marked as u64, Ordering::Relaxed);
    words[Counter::Walk as usize].store(walk, Ordering::Relaxed);
}

const DEADLY: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// Has the heap drawn if a signal ends the process.
fn on_signals() {
    for signal in DEADLY {
        // SAFETY: the handler is used once, and its signal then does what it always does. A program's own handler replaces it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

fn default_signals() {
    for signal in DEADLY {
        // SAFETY: the system's own way to handle it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

extern "C" fn handle(signal: libc::c_int) {
    if let (Some(words), (call, block)) = (file(), threads::doing()) {
        draw(words, block.addr());
        // Inside the malloc it is the malloc that broke. Elsewhere it may as well be the program.
        if let Some(call) = call {
            say(format_args!("{}: signal {signal} inside the malloc", Doing(call, block)));
        }
    }
    // SAFETY: the handler is used once, so this time the signal ends the process.
    unsafe { libc::raise(signal) };
}

/// A call, as a sentence names it.
pub struct Doing(pub Call, pub *const u8);

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(call, block) = *self;
        if block.is_null() { write!(f, "{}()", call.name()) } else { write!(f, "{}({block:p})", call.name()) }
    }
}
