//! Which processor core a case runs on.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps this thread, and what it starts, on one core until it is dropped.
pub struct OneCore {
    before: libc::cpu_set_t,
}

impl OneCore {
    /// The next core in turn, of those that this process may use.
    pub fn keep() -> Option<Self> {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        // SAFETY: plain system calls on sets of the C library, for which all zeroes is the empty one.
        unsafe {
            let mut before: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut before) != 0 {
                return None;
            }
            let allowed: Vec<usize> =
                (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &before)).collect();
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % allowed.len().max(1);
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(*allowed.get(turn)?, &mut one);
            // Refused, all is slower, and nothing else.
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one);
            Some(OneCore { before })
        }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        // SAFETY: a plain system call on the set that was in force before.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.before) };
    }
}
