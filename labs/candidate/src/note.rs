//! What the examiner finds when this process is gone: how it crashed or panicked, and where. It only explains: whether a case has
//! passed, nobody asks here.

use crate::Memory;
use crate::wire::{NOTE, Ticket, note};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

struct Notes {
    words: *mut u64,
    locate: bool,
}

// SAFETY: the note is mapped for good, and written by whoever crashes last; only texts could be torn.
unsafe impl Send for Notes {}
// SAFETY: as above.
unsafe impl Sync for Notes {}

static NOTES: OnceLock<Notes> = OnceLock::new();

impl Notes {
    fn set(&self, at: usize, word: u64) {
        // SAFETY: a word inside the note, which is mapped for good.
        unsafe { self.words.add(at).write_volatile(word) };
    }

    /// A text has its length in the word before.
    fn set_text(&self, at: usize, text: &str, most: usize) {
        let text = &text.as_bytes()[..text.len().min(most)];
        // SAFETY: inside the note: no text is longer than its place.
        unsafe { self.words.add(at + 1).cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        self.set(at, text.len() as u64);
    }

    fn set_place(&self, whereabouts: &Whereabouts) {
        if let Some(place) = &whereabouts.place {
            let text = format!("{place}\n{}", whereabouts.called_from.as_deref().unwrap_or_default());
            self.set_text(note::PLACE, &text, NOTE - 8 * (note::PLACE + 1));
        }
    }
}

/// Notes panics and crashes from now on.
pub fn set_up(ticket: &Ticket, memory: Memory) {
    NOTES.get_or_init(|| Notes { words: memory.note().as_ptr(), locate: ticket.locate });
    std::panic::set_hook(Box::new(note_panic));
    catch_crashes();
}

/// The panic hook: it also sees a panic that can't unwind.
fn note_panic(info: &PanicHookInfo<'_>) {
    let Some(notes) = NOTES.get() else { return };
    let said = info.payload_as_str().unwrap_or("the code panicked");
    let thrown_at = info.location().map(|location| format!("{}:{}:0", location.file(), location.line()));
    // Where `todo!()` is, no search says better.
    let mut whereabouts = Whereabouts::default();
    if !said.starts_with("not yet implemented") {
        whereabouts = Whereabouts::find(notes, false);
    }
    if whereabouts.place.is_none() {
        whereabouts.place = thrown_at.and_then(|at| learner_place(&at));
    }
    notes.set(note::KIND, note::PANICKED);
    notes.set_text(note::MESSAGE, said, 8 * (note::PLACE - note::MESSAGE - 1));
    notes.set_place(&whereabouts);
}

/// Where in the labs' code this thread is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Whereabouts {
    /// The innermost place, as `file:line`.
    place: Option<String>,
    /// The outermost, if it is another one.
    called_from: Option<String>,
}

impl Whereabouts {
    /// Reads them off this thread's stack. `recursion` asks for the place that comes again and again.
    fn find(notes: &Notes, recursion: bool) -> Self {
        if !notes.locate {
            return Self::default();
        }
        Self::of(&std::backtrace::Backtrace::force_capture().to_string(), own_lab(), recursion)
    }

    fn of(trace: &str, lab: &str, recursion: bool) -> Self {
        let all: Vec<String> =
            trace.lines().filter_map(|line| learner_place(line.trim().strip_prefix("at ")?)).collect();
        // What an earlier lab did, it did on behalf of this one.
        let own: Vec<&String> = all.iter().filter(|place| place.starts_with(lab)).collect();
        let places = if own.is_empty() { all.iter().collect() } else { own };
        // The stack may be full anywhere; what led there is what repeats.
        let repeats = |place: &&&String| places.iter().filter(|other| other == place).count() > 2;
        let place = places.iter().find(|place| !recursion || repeats(place)).map(|place| place.to_string());
        let called_from =
            places.last().map(|place| place.to_string()).filter(|last| Some(last) != place.as_ref() && !recursion);
        Self { place, called_from }
    }
}

/// `labs/lab03/`: the lab whose candidate this is, from the name of the program, `lab03-candidate`.
fn own_lab() -> &'static str {
    static LAB: OnceLock<String> = OnceLock::new();
    LAB.get_or_init(|| {
        let program = std::env::args().next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        format!("labs/{}/", name.split(['-', '_']).next().unwrap_or_default())
    })
}

/// `…/labs/lab03/src/free_list.rs:57:9` → `labs/lab03/src/free_list.rs:57`; `None` for any other file.
fn learner_place(path: &str) -> Option<String> {
    let lab = &path[path.rfind("labs/lab")?..];
    let mut parts = lab.splitn(3, ':');
    let (file, line) = (parts.next()?, parts.next()?);
    (file.contains("/src/") || file.contains("/solution/")).then(|| format!("{file}:{line}"))
}

/// Handlers for the signals of a crash and of the examiner, on a stack of their own: the thread's may be full.
fn catch_crashes() {
    own_stack();
    // SAFETY: the handlers are `extern "C"` functions of the type that SA_SIGINFO asks for.
    unsafe {
        for (signal, handler) in [
            (libc::SIGSEGV, note_crash as *const () as usize),
            (libc::SIGBUS, note_crash as *const () as usize),
            (libc::SIGPROF, note_interruption as *const () as usize),
        ] {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Gives this thread a stack for its handlers.
pub fn own_stack() {
    const STACK: usize = 1 << 20;
    let stack = libc::stack_t {
        ss_sp: Box::leak(vec![0u8; STACK].into_boxed_slice()).as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: STACK,
    };
    // SAFETY: the stack is leaked, so it outlives every handler.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

/// Whether this thread is the one that a question of the examiner, where it is, is for.
pub fn is_asked(asked: bool) {
    let how = if asked { libc::SIG_UNBLOCK } else { libc::SIG_BLOCK };
    // SAFETY: plain calls on a set of our own.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGPROF);
        libc::pthread_sigmask(how, &raw const signals, std::ptr::null_mut());
    }
}

extern "C" fn note_crash(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if let Some(notes) = NOTES.get() {
        // SAFETY: the kernel hands a handler with SA_SIGINFO these two structures.
        let (address, code, (access, stack)) = unsafe {
            ((*info).si_addr().addr() as u64, (*info).si_code, at_the_crash(&*context.cast::<libc::ucontext_t>()))
        };
        notes.set(note::ADDRESS, if code == SI_KERNEL { u64::MAX } else { address });
        notes.set(note::ACCESS, access);
        notes.set(note::STACK, stack);
        notes.set(note::KIND, note::FAULT);
        let whereabouts = Whereabouts::find(notes, note::is_stack_overflow(address, stack));
        notes.set_place(&whereabouts);
    }
    // Back to the instruction, which faults once more and ends the process as if nobody had watched.
    // SAFETY: a plain system call.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// The kernel's own fault code: for an address that is no address, it doesn't say which.
const SI_KERNEL: libc::c_int = 0x80;

/// The examiner has waited long enough and wants to know where this is.
extern "C" fn note_interruption(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if let Some(notes) = NOTES.get() {
        notes.set(note::KIND, note::INTERRUPTED);
        let whereabouts = Whereabouts::find(notes, false);
        notes.set_place(&whereabouts);
    }
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(1) }
}

/// What the faulting instruction did, and where the stack ended.
#[cfg(target_arch = "x86_64")]
fn at_the_crash(context: &libc::ucontext_t) -> (u64, u64) {
    // Bit 1 of the page fault's error code: Intel SDM, volume 3, "Page-Fault Exception".
    const WROTE: i64 = 0b10;
    let registers = &context.uc_mcontext.gregs;
    let wrote = registers[libc::REG_ERR as usize] & WROTE != 0;
    (if wrote { note::WRITE } else { note::READ }, registers[libc::REG_RSP as usize].cast_unsigned())
}

/// What the faulting instruction did, and where the stack ended.
#[cfg(target_arch = "aarch64")]
fn at_the_crash(context: &libc::ucontext_t) -> (u64, u64) {
    // Linux has the syndrome register (bit 6: it wrote) in an extension record; the stack pointer is enough here.
    (0, context.uc_mcontext.sp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_innermost_of_this_lab_and_where_it_was_called_from() {
        let trace = "  1: lab02::size\n   at /x/labs/lab02/src/chunk.rs:9:1\n  2: lab03::find\n   at /x/labs/lab03/src/free_list.rs:7:2\n \
                     3: lab03::malloc\n   at /x/labs/lab03/src/free_list.rs:20:2\n  4: main\n   at /x/labs/lab03/tests/candidate.rs:3:1";
        let whereabouts = Whereabouts::of(trace, "labs/lab03/", false);
        assert_eq!(whereabouts.place.as_deref(), Some("labs/lab03/src/free_list.rs:7"));
        assert_eq!(whereabouts.called_from.as_deref(), Some("labs/lab03/src/free_list.rs:20"));
    }

    #[test]
    fn the_place_of_a_recursion_is_the_one_that_repeats() {
        let again = "   at /x/labs/lab03/src/free_list.rs:20:2\n".repeat(5);
        let trace = format!("   at /x/labs/lab03/src/free_list.rs:7:2\n{again}");
        let whereabouts = Whereabouts::of(&trace, "labs/lab03/", true);
        assert_eq!(whereabouts.place.as_deref(), Some("labs/lab03/src/free_list.rs:20"));
    }

    #[test]
    fn only_the_labs_own_files_are_places() {
        let place = learner_place("/somewhere/labs/lab03/src/free_list.rs:57:9");
        assert_eq!(place.as_deref(), Some("labs/lab03/src/free_list.rs:57"));
        assert_eq!(learner_place("/somewhere/labs/lab03/tests/exam.rs:5:1"), None);
        assert_eq!(learner_place("/rustc/0123/library/core/src/ptr/mod.rs:1:1"), None);
    }
}
