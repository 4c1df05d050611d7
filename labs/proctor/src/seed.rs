//! Where inputs come from: an instructor grades with some that nobody has seen, and a learner plays the same ones at home.

use candidate::wire::SEED;
use heapkit::workload::Rng;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Whether the variable holds a seed, or nothing.
///
/// # Errors
/// One line, if it holds anything else: somebody wants other inputs than the usual ones.
pub fn check() -> Result<(), String> {
    match set() {
        Some(text) if of_this_run().is_none() => {
            Err(format!("{SEED}={text}: a seed is a number from 0 to {}", u64::MAX))
        }
        _ => Ok(()),
    }
}

/// The seed of this run, if it has one.
pub fn of_this_run() -> Option<u64> {
    set()?.parse().ok()
}

/// The numbers from which the inputs of a case are drawn.
pub fn of_case(name: &str) -> Rng {
    // The same in every process: the hasher has no key.
    let mut hasher = DefaultHasher::new();
    (name, of_this_run()).hash(&mut hasher);
    Rng::new(hasher.finish())
}

fn set() -> Option<String> {
    std::env::var_os(SEED).filter(|text| !text.is_empty()).map(|text| text.to_string_lossy().into_owned())
}
