//! Threads whose every step the examiner decides on.

use crate::connection::Connection;
use crate::wire::{ANSWER, FLAG, MARK, Reader, THREADS, Words, step};
use crate::{Answer, Memory, note};
use heapkit::sync::Flag;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// The arena, for flags: a flag is made where nobody can hand it anything.
static MEMORY: OnceLock<Memory> = OnceLock::new();

/// Starts so many threads, numbers 1 to `count`. Each waits for questions of its own, answers them with `answer`, and does a step only
/// when the examiner says so.
pub fn start_threads<Q: Words + 'static>(memory: Memory, count: usize, answer: fn(Memory, usize, Q) -> Answer) {
    MEMORY.get_or_init(|| memory);
    for number in 1..=count.min(THREADS - 1) {
        let work = move || {
            Connection::is_thread(number);
            note::own_stack();
            let mut words = Connection::wait();
            loop {
                let Some(question) = Q::read(&mut Reader::new(&words)) else { std::process::exit(2) };
                // The panic hook has noted what there is to say.
                let Ok(Answer(said)) = catch_unwind(AssertUnwindSafe(|| answer(memory, number, question))) else {
                    std::process::exit(1);
                };
                Connection::send(ANSWER, &said);
                let Some(next) = Connection::next(memory) else { std::process::exit(0) };
                words = next;
            }
        };
        if std::thread::Builder::new().spawn(work).is_err() {
            eprintln!("thread {number} can't be started");
            std::process::exit(2);
        }
    }
}

/// Tells the examiner that this thread is at a place of its own in the learner's call, and waits until it may go on.
pub fn mark(memory: Memory, place: u64) {
    Connection::ask(memory, MARK, &[place]);
}

/// A flag that is the examiner's: it decides when a step happens, and keeps what the flag is. The address is its name, so it takes some
/// room.
#[derive(Debug)]
pub struct AskedFlag(#[expect(dead_code, reason = "its address is all that is used")] u64);

impl AskedFlag {
    fn ask(&self, step: u64, value: bool, order: Ordering) -> bool {
        let order = match order {
            Ordering::Relaxed => 0,
            Ordering::Release => 1,
            Ordering::Acquire => 2,
            Ordering::AcqRel => 3,
            _ => 4,
        };
        let address = (&raw const *self).addr() as u64;
        let memory = MEMORY.get().copied().unwrap_or_else(|| panic!("a flag is used before there are threads"));
        Connection::ask(memory, FLAG, &[step, address, u64::from(value), order]).first() == Some(&1)
    }
}

impl Flag for AskedFlag {
    const CLEAR: Self = AskedFlag(0);

    fn load(&self, order: Ordering) -> bool {
        // The processor's own refuses these, too.
        assert!(!matches!(order, Ordering::Release | Ordering::AcqRel), "a load can't have the order {order:?}");
        self.ask(step::LOAD, false, order)
    }

    fn store(&self, value: bool, order: Ordering) {
        assert!(!matches!(order, Ordering::Acquire | Ordering::AcqRel), "a store can't have the order {order:?}");
        self.ask(step::STORE, value, order);
    }

    fn swap(&self, value: bool, order: Ordering) -> bool {
        self.ask(step::SWAP, value, order)
    }

    fn pause(&self) {
        self.ask(step::PAUSE, false, Ordering::Relaxed);
    }
}
