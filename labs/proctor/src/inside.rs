//! In the case's process: runs the body under limits, and writes down how it ended.

use crate::desk::Desk;
use crate::exam::Exam;
use crate::finding::{Finding, Kind};
use crate::recorder::{End, Recorder, Word, access};
use heapkit::workload;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the watcher hands to the case's process: in one environment variable, read once and removed.
pub const TICKET: &str = "PROCTOR_TICKET";

/// The exit code of a case that wrote down why it failed. Nobody trusts it: the finding counts.
const FAILED: i32 = 1;

/// See [`TICKET`]: `fd cpu-milliseconds locate [play op op …]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The descriptor of the recorder.
    pub fd: i32,
    /// How much processor time the body has.
    pub cpu_ms: u64,
    /// Whether to find out where in the code it ended.
    pub locate: bool,
    /// A workload to play instead of the case's own, and which of its plays to replace.
    pub instead: Option<(usize, Vec<workload::Op>)>,
}

impl Ticket {
    /// The ticket in one line.
    pub fn write(&self) -> String {
        let line = format!("{} {} {}", self.fd, self.cpu_ms, self.locate);
        match &self.instead {
            Some((play, ops)) => format!("{line} {play} {}", workload::format(ops)),
            None => line,
        }
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (fd, cpu_ms, locate) = (words.next()?, words.next()?, words.next()?);
        let instead = match words.next() {
            Some(play) => {
                let ops: Vec<&str> = words.collect();
                Some((play.parse().ok()?, workload::parse(&ops.join(" ")).ok()?))
            }
            None => None,
        };
        Some(Ticket { fd: fd.parse().ok()?, cpu_ms: cpu_ms.parse().ok()?, locate: locate.parse().ok()?, instead })
    }
}

/// The payload of an unwinding that ends a case once the watcher's workload has been played.
pub struct Finished;

/// Whether the watcher's workload is played, which switches most checks off. A learner's stray pointer must not be able to
/// do that: when the body runs, these pages can only be read.
static REPLAY: Sealed = Sealed { flag: AtomicBool::new(false), _rest: [0; _] };

/// As large as a page of any machine, and nothing else is on it.
#[repr(C, align(65536))]
struct Sealed {
    flag: AtomicBool,
    _rest: [u8; 65535],
}

impl Sealed {
    fn seal(&'static self, flag: bool) {
        self.flag.store(flag, Ordering::Relaxed);
        let start: *const Sealed = self;
        // SAFETY: whole pages with nothing on them but this, which nobody writes to any more.
        let sealed = unsafe { libc::mprotect(start.cast_mut().cast(), size_of::<Sealed>(), libc::PROT_READ) };
        assert_eq!(sealed, 0, "the system seals no memory");
    }
}

/// Whether this process plays the watcher's workload.
pub fn is_replay() -> bool {
    REPLAY.flag.load(Ordering::Relaxed)
}

/// Whether this process was started to run one case.
pub fn is_case() -> bool {
    std::env::var_os(TICKET).is_some()
}

static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();
/// The folder of the lab, as places name it: `labs/lab03/`.
static LAB: OnceLock<String> = OnceLock::new();
/// Whether to find out where in the code the case ended. That takes longer than the case.
static LOCATE: AtomicBool = AtomicBool::new(false);

/// Runs the body of a case and ends the process.
pub fn run<F: FnOnce(&Desk)>(exam: Exam, body: F) -> ! {
    let line = std::env::var(TICKET).unwrap_or_default();
    let ticket = Ticket::read(&line).unwrap_or_else(|| panic!("`{line}` is no ticket"));
    // SAFETY: the one thread besides this one is the test runner's, and it waits for this test to end.
    unsafe { std::env::remove_var(TICKET) };
    // SAFETY: the watcher left its recorder open under this number, and the ticket has just been removed.
    let recorder = unsafe { Recorder::inherit(ticket.fd) }.unwrap_or_else(|e| panic!("no recorder: {e}"));
    let recorder: &'static Recorder = RECORDER.get_or_init(|| Box::leak(Box::new(recorder)));
    let desk = Desk {
        recorder,
        journal: recorder.journal(),
        heap: Cell::new(None),
        os: Cell::new(None),
        snapshots: Path::new(exam.dir).join("tests/snapshots"),
        instead: ticket.instead,
        plays: Cell::new(0),
    };
    REPLAY.seal(desk.instead.is_some());
    let lab = Path::new(exam.dir).file_name().unwrap_or_default();
    LAB.get_or_init(|| format!("labs/{}/", lab.display()));
    LOCATE.store(ticket.locate, Ordering::Relaxed);
    std::panic::set_hook(Box::new(note_panic));
    catch_crashes();
    limit_cpu_time(ticket.cpu_ms);
    let ended = catch_unwind(AssertUnwindSafe(|| body(&desk)));
    limit_cpu_time(0);
    let end = match ended {
        Ok(()) => Some(End::Whole),
        Err(payload) => match payload.downcast::<Finding>() {
            Ok(finding) => {
                note(recorder, &finding);
                // A case that can't be tried here counts as passed, so that has to be proved too.
                (finding.kind == Kind::Skipped).then_some(End::Whole)
            }
            // Any other panic went through the hook.
            Err(other) => other.is::<Finished>().then_some(End::Replay),
        },
    };
    if let Some(end) = end {
        recorder.finish(end);
    }
    // SAFETY: ends the process at once: neither the test runner nor anything registered at exit has a say, nor a function
    // of the learner's that is called as the C library's is.
    unsafe { libc::syscall(libc::SYS_exit_group, if end.is_some() { 0 } else { FAILED }) };
    std::process::abort()
}

fn note(recorder: &Recorder, finding: &Finding) {
    if let Ok(json) = serde_json::to_string(finding) {
        recorder.set_finding(&json);
    }
}

/// The panic hook: a panic is a finding, also one that can't unwind.
fn note_panic(info: &PanicHookInfo<'_>) {
    let Some(recorder) = RECORDER.get() else {
        return;
    };
    let what = info.payload_as_str().unwrap_or("the code panicked").to_owned();
    let thrown_at = info.location().map(|location| format!("{}:{}", location.file(), location.line()));
    let kind = if what.starts_with("not yet implemented") { Kind::NotWritten } else { Kind::Panicked };
    let whereabouts = match kind {
        Kind::NotWritten => Whereabouts { place: thrown_at, called_from: None },
        _ => Whereabouts::find(false),
    };
    let place =
        whereabouts.place.or(info.location().and_then(|at| learner_place(&format!("{}:{}:0", at.file(), at.line()))));
    note(recorder, &Finding { kind, what, place, called_from: whereabouts.called_from, ..Finding::default() });
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
    fn find(recursion: bool) -> Self {
        if !LOCATE.load(Ordering::Relaxed) {
            return Self::default();
        }
        Self::of(
            &std::backtrace::Backtrace::force_capture().to_string(),
            LAB.get().map_or("", String::as_str),
            recursion,
        )
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

    /// In two lines, for the recorder.
    fn write(&self, recorder: &Recorder) {
        if let Some(place) = &self.place {
            recorder.set_place(&format!("{place}\n{}", self.called_from.as_deref().unwrap_or_default()));
        }
    }
}

/// `…/labs/lab03/src/free_list.rs:57:9` → `labs/lab03/src/free_list.rs:57`; `None` for any other file.
fn learner_place(path: &str) -> Option<String> {
    let path = match path.strip_prefix("./") {
        // The working folder of a test is its package's.
        Some(inside) => format!("{}/{inside}", std::env::current_dir().ok()?.display()),
        None => path.to_owned(),
    };
    let lab = &path[path.rfind("labs/lab")?..];
    let mut parts = lab.splitn(3, ':');
    let (file, line) = (parts.next()?, parts.next()?);
    (file.contains("/src/") || file.contains("/solution/")).then(|| format!("{file}:{line}"))
}

/// After this much processor time of the calling thread, the case is over; 0 lifts the limit.
fn limit_cpu_time(milliseconds: u64) {
    // SAFETY: plain system calls on zeroed structures of the C library. The signal goes to the calling thread alone,
    // which is the one that runs the body.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGPROF;
        event.sigev_notify_thread_id = libc::gettid();
        static TIMER: OnceLock<usize> = OnceLock::new();
        let timer = *TIMER.get_or_init(|| {
            let mut timer: libc::timer_t = std::ptr::null_mut();
            libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut event, &raw mut timer);
            timer as usize
        });
        let mut when: libc::itimerspec = std::mem::zeroed();
        when.it_value.tv_sec = (milliseconds / 1000) as libc::time_t;
        when.it_value.tv_nsec = (milliseconds % 1000 * 1_000_000) as _;
        libc::timer_settime(timer as libc::timer_t, 0, &raw const when, std::ptr::null_mut());
    }
}

/// Handlers for the signals of a crash and of the time limit, on a stack of their own: the thread's may be full.
fn catch_crashes() {
    const STACK: usize = 1 << 20;
    // SAFETY: the stack is leaked, so it outlives every handler; the handlers are `extern "C"` functions of the type
    // that SA_SIGINFO asks for.
    unsafe {
        let stack = libc::stack_t {
            ss_sp: Box::leak(vec![0u8; STACK].into_boxed_slice()).as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: STACK,
        };
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
        for (signal, handler) in [
            (libc::SIGSEGV, note_crash as *const () as usize),
            (libc::SIGBUS, note_crash as *const () as usize),
            (libc::SIGPROF, note_time_up as *const () as usize),
        ] {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// How long the search for the place of a crash may take, in seconds.
///
/// It allocates, which a signal handler must not do: if the crash was inside the C library's `malloc`, the search hangs,
/// and this alarm ends it. All that matters was written down before.
const PLACE_TIMEOUT: u32 = 5;

extern "C" fn note_crash(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // It has crashed: that the search for the place takes longer than the case may, makes it no hang.
    limit_cpu_time(0);
    if let Some(recorder) = RECORDER.get() {
        // SAFETY: the kernel hands a handler with SA_SIGINFO these two structures.
        let (address, (access, stack)) =
            unsafe { ((*info).si_addr().addr() as u64, at_the_crash(&*context.cast::<libc::ucontext_t>())) };
        // SAFETY: as above.
        let unknown = unsafe { (*info).si_code } == SI_KERNEL;
        recorder.set(Word::FaultAddress, if unknown { u64::MAX } else { address });
        recorder.set(Word::FaultAccess, access);
        recorder.set(Word::StackPointer, stack);
        // SAFETY: plain system calls.
        unsafe { libc::alarm(PLACE_TIMEOUT) };
        Whereabouts::find(is_stack_overflow(address, stack)).write(recorder);
    }
    // Back to the instruction, which faults once more and ends the process as if nobody had watched.
    // SAFETY: a plain system call.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Whether a fault at `address` is that of a full stack: it happens near the stack pointer.
pub fn is_stack_overflow(address: u64, stack_pointer: u64) -> bool {
    address.abs_diff(stack_pointer) < 64 << 10
}

/// The kernel's own fault code: for an address that is no address, it doesn't say which.
const SI_KERNEL: libc::c_int = 0x80;

extern "C" fn note_time_up(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if let Some(recorder) = RECORDER.get() {
        recorder.set(Word::TimeUp, 1);
        // SAFETY: a plain system call.
        unsafe { libc::alarm(PLACE_TIMEOUT) };
        Whereabouts::find(false).write(recorder);
    }
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(FAILED) }
}

/// What the faulting instruction did, and where the stack ended.
#[cfg(target_arch = "x86_64")]
fn at_the_crash(context: &libc::ucontext_t) -> (u64, u64) {
    // Bit 1 of the page fault's error code: Intel SDM, volume 3, "Page-Fault Exception".
    const WROTE: i64 = 0b10;
    let registers = &context.uc_mcontext.gregs;
    let wrote = registers[libc::REG_ERR as usize] & WROTE != 0;
    let access = if wrote { access::WRITE } else { access::READ };
    (access, registers[libc::REG_RSP as usize].cast_unsigned())
}

/// What the faulting instruction did, and where the stack ended.
#[cfg(target_arch = "aarch64")]
fn at_the_crash(context: &libc::ucontext_t) -> (u64, u64) {
    // Linux has the syndrome register (bit 6: it wrote) in an extension record; the stack pointer is enough here.
    (access::UNKNOWN, context.uc_mcontext.sp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_being_written_and_read() {
        let instead = Some((2, workload::random(1, 5, 1..=9, 3)));
        for instead in [None, instead] {
            let ticket = Ticket { fd: 5, cpu_ms: 1000, locate: true, instead };
            assert_eq!(Ticket::read(&ticket.write()), Some(ticket));
        }
    }

    #[test]
    fn the_place_is_the_innermost_of_this_lab_and_where_it_was_called_from() {
        let trace = "  1: lab02::size\n   at /x/labs/lab02/src/chunk.rs:9:1\n  2: lab03::find\n   at /x/labs/lab03/src/free_list.rs:7:2\n \
                     3: lab03::malloc\n   at /x/labs/lab03/src/free_list.rs:20:2\n  4: exam\n   at /x/labs/lab03/tests/exam.rs:3:1";
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
