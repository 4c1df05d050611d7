//! What lab 5's candidate can be asked.

use candidate::words;
use heapkit::referee::Call;
use heapkit::workload::Op;
use std::fmt;

words! {
    /// One function of the lab, with its arguments. Blocks are named by where they start.
    pub enum Question {
        /// A malloc on the examiner's system.
        New,
        /// One call; the answer is the block, and the word that leads to the list.
        Call { call: Call },
        /// Many operations on one malloc; the answer is where the block of each then is, and the word that leads to the list.
        Play { ops: Vec<Op> },
        /// Another malloc, on Linux, and so many operations of every kind on it, drawn from the seed; the answer is what a program
        /// notices, and at which operation.
        Linux { seed: u64, steps: usize, most: usize },
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::New => f.write_str("Malloc::new"),
            Question::Call { call } => write!(f, "{call}"),
            Question::Play { ops } => write!(f, "{} operations", ops.len()),
            Question::Linux { steps, most, .. } => write!(f, "{steps} operations of up to {most} bytes, on Linux"),
        }
    }
}
