//! Fresh workloads: an instructor grades with some that nobody has seen, and a learner plays the same ones at home.

use crate::report::SEED;
use heapkit::workload::Rng;

/// Whether the variable holds a seed, or nothing.
///
/// # Errors
/// One line, if it holds anything else: whoever set it wants other workloads than the usual ones.
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

/// The seed of a workload: `own`, the usual one, unless this run has a seed.
pub fn of_workload(own: u64) -> u64 {
    of_this_run().map_or(own, |seed| Rng::new(seed ^ own.rotate_left(32)).bits())
}

fn set() -> Option<String> {
    std::env::var_os(SEED).filter(|text| !text.is_empty()).map(|text| text.to_string_lossy().into_owned())
}
