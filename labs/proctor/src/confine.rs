//! What a candidate can't do, at home as well as on an instructor's machine: reach the examiner.
//!
//! An instructor's sandbox (`ci/autograde`) goes much further. This is what needs no set-up: limits, a session without a terminal, a
//! filter for the system calls that reach into other processes, root without its powers, and Landlock for files. A candidate at home
//! may still read what its user may read, and print what it likes.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use candidate::wire::{ADDRESS_SPACE, OWN_MEMORY};

/// System calls that a candidate has no use for, and that reach other processes: by name, as debuggers do, or over the network.
const FORBIDDEN: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_prlimit64,
    libc::SYS_socket,
    libc::SYS_io_uring_setup,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    // Terminals, and who gets a signal when there is something to read.
    libc::SYS_ioctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// `asm-generic/fcntl.h`
const F_SETOWN_EX: libc::c_int = 15;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Confines what `command` starts to so much processor time, in seconds, and leaves these descriptors open in it.
///
/// `runs_as_is`: nothing else confines it. What does, has to be able to set limits of its own.
pub fn confine(command: &mut Command, descriptors: [RawFd; 2], seconds: u64, runs_as_is: bool) {
    // SAFETY: between fork and exec only system calls that may be made there; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            for descriptor in descriptors {
                check(libc::fcntl(descriptor, libc::F_SETFD, 0))?;
            }
            // No terminal to type into, and a group of its own to be killed as one.
            libc::setsid();
            let always = [(libc::RLIMIT_CPU, seconds, 5), (libc::RLIMIT_CORE, 0, 0)];
            // What confines a candidate further may need addresses and files of its own, and limits these itself.
            let alone = [
                (libc::RLIMIT_AS, ADDRESS_SPACE, 0),
                // Without this, what is given back of the arena's addresses could be filled with memory.
                (libc::RLIMIT_DATA, OWN_MEMORY, 0),
                (libc::RLIMIT_FSIZE, 0, 0),
            ];
            for (resource, limit, spare) in always.iter().chain(alone.iter().filter(|_| runs_as_is)).copied() {
                let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit + spare };
                check(libc::setrlimit(resource, &raw const limit))?;
            }
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            if runs_as_is {
                check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                drop_powers();
                lock();
                filter(libc::getpid());
            }
            Ok(())
        });
    }
}

/// Limits the processor time of each compiler that `command` starts: a file may be written so that one never ends.
pub fn limit_compilers(command: &mut Command) {
    // A lab takes one or two on a machine of today.
    const SECONDS: u64 = 60;
    // SAFETY: between fork and exec only a system call that may be made there.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: SECONDS, rlim_max: SECONDS + 5 };
            // A lower limit that is there already is as good.
            libc::setrlimit(libc::RLIMIT_CPU, &raw const limit);
            Ok(())
        });
    }
}

/// From now on, nobody of the same user can look into this process, nor write to it. Once for each process is enough.
pub fn hide_from_others() {
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// If this is root, what it starts next can read all files, and do nothing else that others can't: not look into processes, for one.
fn drop_powers() {
    /// `linux/capability.h`: `CAP_DAC_READ_SEARCH`, so that the program can be found wherever it is, and more than there are.
    const READ_ALL_FILES: libc::c_int = 2;
    const MORE_THAN_ALL: libc::c_int = 64;
    for power in (0..MORE_THAN_ALL).filter(|&power| power != READ_ALL_FILES) {
        // SAFETY: a plain system call. Who has no power to give up is refused.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, power, 0, 0, 0) };
    }
}

/// Keeps this process from writing, making or removing files, from the network, and from looking into processes outside of it or
/// sending them a signal, with Landlock. A kernel that has none is no reason not to grade at home.
fn lock() {
    /// `linux/landlock.h`
    #[repr(C)]
    struct Attributes {
        files: u64,
        network: u64,
        scopes: u64,
    }
    const VERSION: u32 = 1;
    /// The rights to files that each version knows, and of these the ones to read and run them.
    const FILES: [u32; 5] = [13, 14, 15, 15, 16];
    const EXECUTE_READ_AND_LIST: u64 = 0b1101;
    // SAFETY: plain system calls; the kernel copies the attributes.
    unsafe {
        let none = std::ptr::null::<Attributes>();
        let version = libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION);
        let Ok(version @ 1..) = usize::try_from(version) else { return };
        let attributes = Attributes {
            files: ((1 << FILES[version.min(FILES.len()) - 1]) - 1) & !EXECUTE_READ_AND_LIST,
            network: if version >= 4 { 0b11 } else { 0 },
            scopes: if version >= 6 { 0b11 } else { 0 },
        };
        let size = size_of::<Attributes>();
        let rules = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0);
        libc::syscall(libc::SYS_landlock_restrict_self, rules, 0);
        libc::close(rules as RawFd);
    }
}

/// Forbids system calls. A kernel that can't is no reason not to grade at home.
fn filter(own: libc::pid_t) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IS_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const IS_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // What a filter sees: the number of the call, the architecture, two words of address, then the arguments.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const FIRST_ARGUMENT: u32 = 16;
    const SECOND_ARGUMENT: u32 = 24;
    /// Numbers from here on are those of another set of calls, x32.
    const X32: u32 = 0x4000_0000;
    const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const MOST: usize = 104;

    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW); MOST];
    let mut len = 0;
    let mut push = |steps: &[libc::sock_filter]| {
        program[len..len + steps.len()].copy_from_slice(steps);
        len += steps.len();
    };
    push(&[step(LOAD, 0, 0, ARCH), step(IS, 1, 0, ARCHITECTURE), step(RETURN, 0, 0, REFUSED)]);
    push(&[step(LOAD, 0, 0, NUMBER), step(IS_AT_LEAST, 0, 1, X32), step(RETURN, 0, 0, REFUSED)]);
    for &call in FORBIDDEN {
        push(&[step(IS, 0, 1, call as u32), step(RETURN, 0, 0, REFUSED)]);
    }
    // A signal to itself is all right: abort sends one.
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        push(&[
            step(IS, 0, 4, call as u32),
            step(LOAD, 0, 0, FIRST_ARGUMENT),
            step(IS, 0, 1, own.cast_unsigned()),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(RETURN, 0, 0, REFUSED),
        ]);
    }
    for (call, argument, value) in [
        // The owner of a descriptor gets a signal when there is something to read: nobody else may be made its owner.
        (libc::SYS_fcntl, SECOND_ARGUMENT, libc::F_SETOWN),
        (libc::SYS_fcntl, SECOND_ARGUMENT, F_SETOWN_EX),
        // It dies with the examiner.
        (libc::SYS_prctl, FIRST_ARGUMENT, libc::PR_SET_PDEATHSIG),
    ] {
        push(&[
            step(IS, 0, 4, call as u32),
            step(LOAD, 0, 0, argument),
            step(IS, 0, 1, value.cast_unsigned()),
            step(RETURN, 0, 0, REFUSED),
            step(LOAD, 0, 0, NUMBER),
        ]);
    }
    // Threads, but no other processes. The C library asks for the newer call first and does without.
    push(&[
        step(IS, 0, 1, libc::SYS_clone3 as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(IS, 0, 3, libc::SYS_clone as u32),
        step(LOAD, 0, 0, FIRST_ARGUMENT),
        step(IS_SET, 1, 0, libc::CLONE_THREAD as u32),
        step(RETURN, 0, 0, REFUSED),
    ]);
    // The last step allows what is left.
    len += 1;
    let program = libc::sock_fprog { len: len as u16, filter: program.as_mut_ptr() };
    // SAFETY: a plain system call; the kernel copies the program.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
}
