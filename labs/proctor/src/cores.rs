//! Which processor core a case runs on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps this thread, and what it starts, on one core until it is dropped.
pub struct OneCore {
    before: libc::cpu_set_t,
    core: usize,
}

/// How many cases run on each core.
static CASES: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn cases() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    CASES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OneCore {
    /// The core with the fewest cases, of those that this process may use.
    pub fn keep() -> Option<Self> {
        // SAFETY: plain system calls on sets of the C library, for which all zeroes is the empty one.
        unsafe {
            let mut before: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut before) != 0 {
                return None;
            }
            let mut cases = cases();
            let allowed = (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &before));
            let core = allowed.min_by_key(|core| cases.get(core).copied().unwrap_or_default())?;
            *cases.entry(core).or_default() += 1;
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut one);
            // Refused, all is slower, and nothing else.
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one);
            Some(OneCore { before, core })
        }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        *cases().entry(self.core).or_insert(1) -= 1;
        // SAFETY: a plain system call on the set that was in force before.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.before) };
    }
}
