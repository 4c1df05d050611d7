//! Inside the helper's process, just before it becomes the program to be confined: gives up whatever that program
//! doesn't need. Nothing given up here can be had back.
//!
//! Landlock decides which files there are; seccomp, which system calls; the limits, how much of everything.

use super::NOBODY;
use super::policy::{Limit, Policy, Protection};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::fs::Mode;
use rustix::process::{
    Gid, Resource, Rlimit, Signal, Uid, getrlimit, getuid, set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};
use std::collections::BTreeMap;

/// The newest Landlock whose rights are asked for: 6 has the network's ports and the signals. Later kernels add nothing
/// that the rest of this file doesn't forbid.
const LANDLOCK: ABI = ABI::V6;

/// What Landlock forbids only from a version on. seccomp forbids the most of it too.
const LACKING: [(ABI, &str); 4] = [
    (ABI::V3, "shortening files"),
    (ABI::V4, "the network's ports"),
    (ABI::V5, "what devices can be told"),
    (ABI::V6, "signals to other programs"),
];

/// Confines this process as `policy` says.
///
/// # Errors
/// One line: the kernel has the means and refused to use them.
pub fn enter(policy: &Policy) -> Result<Protection, String> {
    let mut protection = Protection::default();
    // What is compiled as root, another user has to be able to run.
    umask(Mode::from_raw_mode(0o022));
    for limit in &policy.limits {
        set(*limit).map_err(|e| format!("{limit:?}: {e}"))?;
    }
    protection.active.push("limits".to_owned());
    drop_capabilities(policy.is_candidate);
    if policy.is_candidate && getuid().is_root() {
        match become_nobody() {
            Ok(()) => protection.active.push("a user of its own".to_owned()),
            Err(e) => protection.missing.push(format!(
                "the limit on processes: the kernel has none for root, who can't become another user here ({e})"
            )),
        }
    }
    // If the examiner dies first, nobody would ever end this process. Another user has to ask for that again.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    let restricted = restrict_files(policy).map_err(|e| format!("landlock: {e}"))?;
    match (restricted.ruleset, restricted.landlock) {
        (RulesetStatus::FullyEnforced, _) => protection.active.push("landlock".to_owned()),
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
            protection.active.push(format!("landlock {effective_abi:?}"));
            let lacks = LACKING.iter().filter(|(since, _)| effective_abi < *since).map(|(_, what)| *what);
            protection.missing.push(format!("landlock {LANDLOCK:?}: {}", lacks.collect::<Vec<_>>().join(", ")));
        }
        _ => protection.missing.push("landlock: this kernel doesn't keep a submission from reading files".to_owned()),
    }
    match filter_system_calls(policy.is_candidate) {
        Ok(()) => protection.active.push("seccomp".to_owned()),
        Err(e) => protection.missing.push(format!("seccomp: no system call is forbidden ({e})")),
    }
    Ok(protection)
}

fn set(limit: Limit) -> rustix::io::Result<()> {
    // At the first limit of time there is a signal that says so, at the second there is the end.
    let (resource, value, most) = match limit {
        Limit::CpuSeconds(value) => (Resource::Cpu, value, value + 2),
        Limit::Memory(value) => (Resource::As, value, value),
        Limit::UsualMemory(value) => (Resource::As, value, u64::MAX),
        // Without it, what is given back of the arena's addresses could be filled with memory.
        Limit::OwnMemory(value) => (Resource::Data, value, value),
        Limit::FileSize(value) => (Resource::Fsize, value, value),
        Limit::Files(value) => (Resource::Nofile, value, value),
        Limit::Processes(value) => (Resource::Nproc, value, value),
        Limit::Core(value) => (Resource::Core, value, value),
    };
    // A limit can't be raised again, and what the caller allows is never more than they have.
    let maximum = getrlimit(resource).maximum;
    let allowed = |value| maximum.map_or(value, |maximum| maximum.min(value));
    let maximum = if most == u64::MAX { maximum } else { Some(allowed(most)) };
    setrlimit(resource, Rlimit { current: Some(allowed(value)), maximum })
}

/// A container's root keeps what it takes to reach its own files, and nothing else. Others have no capabilities.
fn drop_capabilities(is_candidate: bool) {
    let mut kept = CapabilitySet::DAC_READ_SEARCH;
    if !is_candidate {
        // The examiner starts candidates as another user, and ends them.
        kept |= CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::FOWNER
            | CapabilitySet::KILL
            | CapabilitySet::SETUID
            | CapabilitySet::SETGID;
    }
    for capability in CapabilitySet::all().difference(kept).iter() {
        // Refused where there is none to give up. What is gone from this set is gone with the next program.
        let _ = remove_capability_from_bounding_set(capability);
    }
}

/// Becomes the user that has nothing, who may still look through folders that are root's. For root, the kernel doesn't limit
/// the number of processes.
fn become_nobody() -> rustix::io::Result<()> {
    let kept = CapabilitySet::DAC_READ_SEARCH;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    // So that the program that this process becomes has it too.
    configure_capability_in_ambient_set(kept, true)
}

fn restrict_files(policy: &Policy) -> Result<RestrictionStatus, landlock::RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut run = policy.run.clone();
    let mut writes = policy.write.clone();
    let devices = match policy.is_candidate {
        true => [].as_slice(),
        false => &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"],
    };
    writes.retain(|path| path.exists());
    run.retain(|path| path.exists());
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(run, read | AccessFs::Execute))?
        .add_rules(path_beneath_rules(&policy.read, read))?
        .add_rules(path_beneath_rules(&policy.list, AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(writes, AccessFs::from_all(LANDLOCK)))?
        .add_rules(path_beneath_rules(devices, AccessFs::ReadFile | AccessFs::WriteFile))?
        .restrict_self()
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filter_system_calls(is_candidate: bool) -> Result<(), String> {
    seccompiler::apply_filter(&no_unknown_numbers()).map_err(|e| e.to_string())?;
    // glibc asks for the newer call first and does without: the flags of the older one can be looked at.
    let unknown = Rules::from([(libc::SYS_clone3, vec![])]);
    // The last one may forbid to add another.
    for (rules, errno) in [(unknown, libc::ENOSYS), (forbidden(is_candidate)?, libc::EPERM)] {
        let arch = std::env::consts::ARCH.try_into().map_err(|e| format!("{e}"))?;
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).map_err(|e| e.to_string())?;
        let program: BpfProgram = filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())?;
        seccompiler::apply_filter(&program).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Calls that are newer than this file aren't there, and so do what nobody has looked at. Nor are the x32 numbers, which
/// would go around every rule about the ordinary ones.
fn no_unknown_numbers() -> BpfProgram {
    const NEWEST: u32 = libc::SYS_mseal as u32;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // The number of the call: the first word of what the filter sees.
        step((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        step((libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16, 0, 1, NEWEST),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// What nobody needs, neither a compiler nor a candidate: the network, other processes, the machine.
const NOBODYS: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_lookup_dcookie,
    // These outlive the process that made them.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// What a candidate doesn't need although others do.
const NO_CANDIDATES: &[i64] = &[
    // A group and a session of its own would let a child outlive it.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_setrlimit,
    // Landlock knows which files may be read and written, not whose they are nor how old.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    // Attributes are a place for messages.
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_flock,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_open,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setparam,
    libc::SYS_ioprio_set,
    libc::SYS_socketpair,
    // Terminals, and who gets a signal when there is something to read.
    libc::SYS_ioctl,
    libc::SYS_truncate,
    libc::SYS_seccomp,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

fn forbidden(is_candidate: bool) -> Result<Rules, String> {
    let mut rules: Rules = NOBODYS.iter().map(|&call| (call, vec![])).collect();
    let new_namespaces = [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_NEWNET]
        .into_iter()
        .map(|flag| when(0, SeccompCmpOp::MaskedEq(bits(flag)), bits(flag)))
        .collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_clone, new_namespaces);
    if !is_candidate {
        return Ok(rules);
    }
    rules.extend(NO_CANDIDATES.iter().map(|&call| (call, vec![])));
    // Asking for a limit is all right, setting one is not; nor is getting rid of the signal of a dead examiner.
    rules.insert(libc::SYS_prlimit64, vec![rule(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?]);
    rules.insert(libc::SYS_prctl, vec![when(0, SeccompCmpOp::Eq, bits(libc::PR_SET_PDEATHSIG))?]);
    let itself = u64::from(std::process::id());
    rules.insert(libc::SYS_kill, vec![when(0, SeccompCmpOp::Ne, itself)?]);
    rules.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Ne, itself)?]);
    // The owner of a descriptor gets a signal when there is something to read: another process, then.
    let owner = [libc::F_SETOWN, F_SETOWN_EX].map(|command| when(1, SeccompCmpOp::Eq, bits(command)));
    rules.insert(libc::SYS_fcntl, owner.into_iter().collect::<Result<Vec<_>, _>>()?);
    // Shared memory is the one kind that no limit counts.
    let shared = bits(libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    rules.insert(libc::SYS_mmap, vec![when(3, SeccompCmpOp::MaskedEq(shared), shared)?]);
    // A thread is part of its process.
    let thread = bits(libc::CLONE_THREAD);
    rules.entry(libc::SYS_clone).or_default().push(when(0, SeccompCmpOp::MaskedEq(thread), 0)?);
    #[cfg(target_arch = "x86_64")]
    rules.extend([(libc::SYS_fork, vec![]), (libc::SYS_vfork, vec![])]);
    Ok(rules)
}

/// `asm-generic/fcntl.h`
const F_SETOWN_EX: i32 = 15;

fn bits(flag: i32) -> u64 {
    u64::from(flag.cast_unsigned())
}

/// Where an argument of 32 bits, such as flags or a process's number, compares so.
fn when(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    rule(argument, SeccompCmpArgLen::Dword, compare, value)
}

fn rule(argument: u8, len: SeccompCmpArgLen, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(argument, len, compare, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|e| e.to_string())
}
