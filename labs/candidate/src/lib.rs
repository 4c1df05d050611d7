//! The candidate's side of the exam: a program that runs a learner's code, and only answers.
//!
//! A question comes, one function of the learner is called, an answer of plain words goes back. Nothing here knows what the right
//! answer is, and nothing that this process says about itself counts: the examiner, another process, sees the heap through
//! memory that both share, and judges.
//!
//! * [`wire`]: what both processes speak. The examiner uses it too.
//! * [`Memory`]: the arena under test. [`AskedOs`]: a system that asks the examiner.
//! * [`start_threads`]: threads of which one goes on at a time, the examiner says which. [`AskedFlag`]: what their locks are made of.
//! * `note`: what the examiner finds when this process has crashed. `pieces`: where its own memory comes from.

mod blocks;
mod connection;
mod linux;
mod memory;
mod note;
mod os;
mod pieces;
mod threads;
pub mod wire;

pub use blocks::Blocks;
pub use linux::play_on_linux;
pub use memory::Memory;
pub use os::AskedOs;
pub use pieces::Pieces;
pub use threads::{AskedFlag, mark, start_threads};

use connection::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use wire::{ANSWER, Ticket, Words};

/// A lab's candidate: what stays between two questions, and how each is answered.
pub trait Candidate {
    /// What it can be asked.
    type Question: Words;

    /// Before the first question.
    fn new(memory: Memory) -> Self;

    /// Answers one.
    fn answer(&mut self, question: Self::Question) -> Answer;
}

/// An answer: its words, as [`Words`] writes them.
pub struct Answer(Vec<u64>);

impl Answer {
    /// Says this.
    pub fn say(answer: impl Words) -> Self {
        let mut words = Vec::new();
        answer.write(&mut words);
        Answer(words)
    }

    /// It is done: there is nothing to say.
    pub fn done() -> Self {
        Answer::say(())
    }
}

/// The `main` of a candidate, and where its own memory comes from: `candidate::main!(Lab03);`
#[macro_export]
macro_rules! main {
    ($candidate:ty) => {
        #[global_allocator]
        static PIECES: $crate::Pieces = $crate::Pieces::new();

        fn main() -> std::process::ExitCode {
            $crate::run::<$candidate>()
        }
    };
}

/// Answers in the middle of a question, and waits for the next one: for what a learner's function lends only until it returns.
pub fn go_on<Q: Words>(memory: Memory, Answer(answer): Answer) -> Q {
    Connection::send(ANSWER, &answer);
    let question = Connection::next(memory).and_then(|words| Q::read(&mut wire::Reader::new(&words)));
    // An examiner that is gone asks no more.
    question.unwrap_or_else(|| std::process::exit(0))
}

/// Answers the examiner's questions until there are no more.
pub fn run<C: Candidate>() -> ExitCode {
    let Some(ticket) = std::env::var(wire::TICKET).ok().and_then(|line| Ticket::read(&line)) else {
        eprintln!("This program answers the questions of a lab's exam, which starts it: cargo test -p labNN");
        return ExitCode::from(2);
    };
    let memory = match Memory::map(&ticket) {
        Ok(memory) => memory,
        Err(e) => {
            eprintln!("the exam's memory: {e}");
            return ExitCode::from(2);
        }
    };
    note::set_up(&ticket, memory);
    Connection::open(ticket.socket);
    let mut candidate = C::new(memory);
    while let Some(words) = Connection::next(memory) {
        let Some(question) = C::Question::read(&mut wire::Reader::new(&words)) else { return ExitCode::from(2) };
        // The panic hook has noted what there is to say.
        let Ok(Answer(answer)) = catch_unwind(AssertUnwindSafe(|| candidate.answer(question))) else {
            return ExitCode::from(1);
        };
        Connection::send(ANSWER, &answer);
    }
    ExitCode::SUCCESS
}
