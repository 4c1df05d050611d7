//! What threads share.

use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that several threads look at and change: what a lock is made of.
///
/// A lock that is written for any `Flag` runs on the processor's own, an [`AtomicBool`], and on the exam's, which decides at each
/// step which thread goes on.
pub trait Flag: Sync {
    /// A flag that is not set.
    const CLEAR: Self;

    /// What the flag is.
    fn load(&self, order: Ordering) -> bool;

    /// Makes the flag `value`.
    fn store(&self, value: bool, order: Ordering);

    /// Makes the flag `value`, and says what it was, with nobody in between.
    fn swap(&self, value: bool, order: Ordering) -> bool;

    /// This thread can't go on before another one does something: lets that one go on.
    fn pause(&self);
}

impl Flag for AtomicBool {
    const CLEAR: Self = AtomicBool::new(false);

    fn load(&self, order: Ordering) -> bool {
        AtomicBool::load(self, order)
    }

    fn store(&self, value: bool, order: Ordering) {
        AtomicBool::store(self, value, order);
    }

    fn swap(&self, value: bool, order: Ordering) -> bool {
        AtomicBool::swap(self, value, order)
    }

    fn pause(&self) {
        std::thread::yield_now();
    }
}
