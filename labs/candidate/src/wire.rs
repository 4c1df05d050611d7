//! What the examiner and the candidate speak, and the names of the environment variables around them.
//!
//! Both send *frames*: a word that counts, and so many words of 64 bits. The examiner's begin with what has changed: which pages
//! to open or close, and where the break is, and with the thread that goes on; then comes a question, or the answer to a call. The
//! candidate's begin with what they are: [`ANSWER`], a call of the system, or a step of a thread.
//!
//! Addresses are offsets from the start of the heap ([`heapkit::memory`]). What lies in the heap itself are real addresses of the
//! candidate, where the heap starts at [`BASE`].

use heapkit::image::Offset;
use heapkit::memory::{ARENA, GUARD, PAGE, START};
use heapkit::referee::{Call, Fit};
use heapkit::workload::Op;
use std::os::fd::RawFd;

/// Holds the candidate's [`Ticket`].
pub const TICKET: &str = "PROCTOR_TICKET";
/// Names the file to write the report to.
pub const REPORT_FILE: &str = "PROCTOR_REPORT";
/// Holds the number from which all inputs are drawn.
pub const SEED: &str = "PROCTOR_SEED";
/// Names the candidate and what confines it, a word on each line, where it isn't the program beside the exam.
pub const CANDIDATE: &str = "PROCTOR_CANDIDATE";
/// Set for an exam that only compiles the programs which must not compile.
pub const TYPES: &str = "PROCTOR_TYPES";

/// The address of the heap's first byte in every candidate: 32 TiB, where no kernel or sanitizer puts anything by itself.
pub const BASE: usize = (32 << 40) + START;

/// The shared file: notes first, then the arena.
pub const NOTE: usize = 16 * PAGE;
/// Where the arena starts in the file.
pub const ARENA_AT: usize = GUARD;

/// Memory that a candidate may have for itself, in bytes: a request for 64 GiB must fail, a debug build must run.
pub const OWN_MEMORY: u64 = 8 << 30;
/// Its address space. The arena is only addresses.
pub const ADDRESS_SPACE: u64 = ARENA as u64 + OWN_MEMORY;

/// What the examiner hands to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The descriptor of the shared memory.
    pub memory: RawFd,
    /// The descriptor of the socket.
    pub socket: RawFd,
    /// Whether to find out where in the code a crash was. That takes longer than most cases.
    pub locate: bool,
}

impl Ticket {
    /// The ticket in one line.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.memory, self.socket, self.locate)
    }

    /// Reads one.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let ticket = Ticket {
            memory: words.next()?.parse().ok()?,
            socket: words.next()?.parse().ok()?,
            locate: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(ticket)
    }
}

/// The candidate's frames: an answer to the question.
pub const ANSWER: u64 = 0;
/// `sbrk(delta)`: the answer is where the break was, if it moved.
pub const SBRK: u64 = 1;
/// `mmap(len)`: where the mapping starts, if there is one.
pub const MMAP: u64 = 2;
/// `munmap(start, len)`.
pub const MUNMAP: u64 = 3;
/// `mremap(start, len, new_len)`: where the mapping now starts, if its length has changed.
pub const MREMAP: u64 = 4;

/// `discard(start, len)`.
pub const DISCARD: u64 = 7;

/// A flag is looked at or changed: one of [`step`], the flag's address, a value, and the order. The answer is what the flag was.
pub const FLAG: u64 = 5;
/// A thread is at a place that the lab's candidate names by a number. The answer has no words.
pub const MARK: u64 = 6;

/// What is done to a flag. Its order is counted from 0 on: relaxed, release, acquire, both, sequentially consistent.
pub mod step {
    /// `load`
    pub const LOAD: u64 = 0;
    /// `store`
    pub const STORE: u64 = 1;
    /// `swap`
    pub const SWAP: u64 = 2;
    /// `pause`
    pub const PAUSE: u64 = 3;
}

/// So many threads a candidate has at most, the main one included.
pub const THREADS: usize = 17;

/// No frame is longer, in words: a walk over the largest heap of any case is shorter.
pub const LONGEST: usize = 4 << 20;

/// Places in the note, in words from its start. Texts have a length, then bytes.
pub mod note {
    /// One of the kinds below.
    pub const KIND: usize = 0;
    /// The address that a crash was about; `u64::MAX` if the processor doesn't say.
    pub const ADDRESS: usize = 1;
    /// One of [`READ`], [`WRITE`], or 0.
    pub const ACCESS: usize = 2;
    /// The stack pointer at the crash.
    pub const STACK: usize = 3;
    /// What a panic said.
    pub const MESSAGE: usize = 8;
    /// Where in the learner's code it happened, and on a second line, where that was called from.
    pub const PLACE: usize = 4096;

    /// A panic.
    pub const PANICKED: u64 = 1;
    /// A fault of memory.
    pub const FAULT: u64 = 2;
    /// The examiner wanted to know where it is.
    pub const INTERRUPTED: u64 = 3;

    /// The faulting instruction was reading.
    pub const READ: u64 = 1;
    /// The faulting instruction was writing.
    pub const WRITE: u64 = 2;

    /// Whether a fault at `address` is that of a full stack: it happens near the stack pointer.
    pub fn is_stack_overflow(address: u64, stack_pointer: u64) -> bool {
        address.abs_diff(stack_pointer) < 64 << 10
    }
}

/// What can be said in words of 64 bits.
pub trait Words: Sized {
    /// Appends its words.
    fn write(&self, to: &mut Vec<u64>);

    /// Reads it back; `None` if these are no words of it.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Reads words one after the other.
pub struct Reader<'a>(&'a [u64]);

impl<'a> Reader<'a> {
    /// From the first of these on.
    pub fn new(words: &'a [u64]) -> Self {
        Reader(words)
    }

    /// The next word.
    pub fn word(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// What is left.
    pub fn rest(self) -> &'a [u64] {
        self.0
    }
}

impl Words for () {
    fn write(&self, _: &mut Vec<u64>) {}

    fn read(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Words for u64 {
    fn write(&self, to: &mut Vec<u64>) {
        to.push(*self);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.word()
    }
}

impl Words for usize {
    fn write(&self, to: &mut Vec<u64>) {
        to.push(*self as u64);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.word()?.try_into().ok()
    }
}

impl Words for isize {
    fn write(&self, to: &mut Vec<u64>) {
        to.push(self.cast_unsigned() as u64);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(usize::read(from)?.cast_signed())
    }
}

impl Words for f64 {
    fn write(&self, to: &mut Vec<u64>) {
        to.push(self.to_bits());
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(f64::from_bits(from.word()?))
    }
}

impl Words for bool {
    fn write(&self, to: &mut Vec<u64>) {
        to.push(u64::from(*self));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        match from.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Words for String {
    fn write(&self, to: &mut Vec<u64>) {
        self.bytes().map(u64::from).collect::<Vec<_>>().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let bytes: Option<Vec<u8>> = Vec::read(from)?.into_iter().map(|word: u64| word.try_into().ok()).collect();
        String::from_utf8(bytes?).ok()
    }
}

impl Words for Offset {
    fn write(&self, to: &mut Vec<u64>) {
        self.0.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        usize::read(from).map(Offset)
    }
}

impl<T: Words> Words for Option<T> {
    fn write(&self, to: &mut Vec<u64>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        if bool::read(from)? { T::read(from).map(Some) } else { Some(None) }
    }
}

impl<T: Words> Words for Vec<T> {
    fn write(&self, to: &mut Vec<u64>) {
        self.len().write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let len = usize::read(from)?;
        (0..len).map(|_| T::read(from)).collect()
    }
}

impl<A: Words, B: Words> Words for (A, B) {
    fn write(&self, to: &mut Vec<u64>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl<A: Words, B: Words, C: Words> Words for (A, B, C) {
    fn write(&self, to: &mut Vec<u64>) {
        self.0.write(to);
        self.1.write(to);
        self.2.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?, C::read(from)?))
    }
}

/// Gives an enum its [`Words`]: the number of the variant, then its fields.
///
/// ```ignore
/// words! {
///     /// What lab 3 can be asked.
///     pub enum Question {
///         /// `FreeList::pop`
///         Pop,
///         /// `FreeList::find`
///         Find { fit: Fit, size: usize },
///     }
/// }
/// ```
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident $({ $($field:ident: $type:ty),* $(,)? })?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant $({ $(#[allow(missing_docs)] $field: $type),* })?),*
        }

        $crate::words_of! { enum $name { $($variant $({ $($field: $type),* })?),* } }
    };
}

/// As [`words!`], for an enum that is defined elsewhere.
#[macro_export]
macro_rules! words_of {
    (enum $name:ident { $($variant:ident $({ $($field:ident: $type:ty),* $(,)? })?),* $(,)? }) => {
        const _: () = {
            #[derive(Clone, Copy)]
            enum Number { $($variant),* }

            impl $crate::wire::Words for $name {
                fn write(&self, to: &mut Vec<u64>) {
                    match self {
                        $($name::$variant $({ $($field),* })? => {
                            to.push(Number::$variant as u64);
                            $($($crate::wire::Words::write($field, to);)*)?
                        })*
                    }
                }

                fn read(from: &mut $crate::wire::Reader<'_>) -> Option<Self> {
                    let number = from.word()?;
                    $(if number == Number::$variant as u64 {
                        return Some($name::$variant $({ $($field: $crate::wire::Words::read(from)?),* })?);
                    })*
                    None
                }
            }
        };
    };
}

words_of! { enum Fit { First, Best, Worst } }
words_of! {
    enum Call {
        Malloc { request: usize },
        Calloc { count: usize, size: usize },
        Aligned { align: usize, request: usize },
        Realloc { payload: usize, request: usize },
        Free { payload: usize },
    }
}

words_of! {
    enum Op {
        Malloc { id: usize, size: usize },
        Calloc { id: usize, size: usize },
        Aligned { id: usize, align: usize, size: usize },
        Realloc { id: usize, size: usize },
        Free { id: usize },
        Foreign { delta: isize },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<T: Words + PartialEq + std::fmt::Debug>(value: T) {
        let mut words = Vec::new();
        value.write(&mut words);
        assert_eq!(T::read(&mut Reader::new(&words)), Some(value));
    }

    #[test]
    fn what_is_said_is_understood() {
        survives((Some(Offset(7)), vec![1_usize, usize::MAX]));
        survives((-5_isize, true, 0.25));
        survives("a ◄ b".to_owned());
        survives(Call::Aligned { align: 64, request: usize::MAX });
        survives(vec![Fit::First, Fit::Best, Fit::Worst]);
    }

    #[test]
    fn what_was_not_said_is_not_understood() {
        assert_eq!(bool::read(&mut Reader::new(&[2])), None);
        assert_eq!(Fit::read(&mut Reader::new(&[3])), None);
        assert_eq!(Vec::<usize>::read(&mut Reader::new(&[u64::MAX, 1])), None);
    }

    #[test]
    fn a_ticket_survives_being_written_and_read() {
        let ticket = Ticket { memory: 3, socket: 4, locate: true };
        assert_eq!(Ticket::read(&ticket.line()), Some(ticket));
        assert_eq!(Ticket::read("3 4 true 5"), None);
    }
}
