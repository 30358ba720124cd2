//! The system calls that are left, by seccomp. Source: seccomp(2), syscalls(2). A refused call fails with
//! EPERM, so that a library that tries something clever goes another way instead of dying.
//! Danger: a call that is missing in the list fails on some machine, on some day; what is in it is for all.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::Needs;

/// What a relay calls, on every kind of machine.
#[rustfmt::skip]
const NEEDED: &[i64] = &[
    // Files.
    libc::SYS_openat, libc::SYS_close, libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev,
    libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_lseek,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs,
    libc::SYS_getdents64, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync_file_range,
    libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_sendfile,
    libc::SYS_copy_file_range, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fcntl, libc::SYS_flock,
    libc::SYS_dup, libc::SYS_dup3, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_readlinkat,
    libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_linkat,
    libc::SYS_umask, libc::SYS_getcwd, libc::SYS_utimensat, libc::SYS_pipe2,
    // The network.
    libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_setsockopt, libc::SYS_getsockopt,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg,
    libc::SYS_recvmmsg, libc::SYS_shutdown, libc::SYS_socketpair,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_timerfd_create, libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime,
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_nanosleep, libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_restart_syscall,
    // Memory and threads.
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise, libc::SYS_brk,
    libc::SYS_futex, libc::SYS_clone, libc::SYS_clone3, libc::SYS_set_robust_list, libc::SYS_rseq,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_membarrier, libc::SYS_exit,
    libc::SYS_exit_group, libc::SYS_gettid, libc::SYS_getpid, libc::SYS_set_tid_address,
    // Signals, and what a process may know of itself.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_tgkill, libc::SYS_tkill, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getrandom, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_prlimit64, libc::SYS_getrusage,
    libc::SYS_capget,
];

/// The older names that this kind of machine has beside those.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const NEEDED_TOO: &[i64] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_mkdir,
    libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_link, libc::SYS_chmod, libc::SYS_dup2,
    libc::SYS_pipe, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait, libc::SYS_epoll_create,
    libc::SYS_eventfd, libc::SYS_time, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const NEEDED_TOO: &[i64] = &[];

/// Beside those, where the machine's clock is set: CAP_SYS_TIME says who may.
const CLOCK: [i64; 3] = [libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex];

/// Kinds of sockets: the control socket, the two families of the Internet, the kernel's network side, and
/// announcements on the wire.
const FAMILIES: [i32; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Requests on a terminal that put words into another's mouth: TIOCSTI, TIOCLINUX (asm-generic/ioctls.h). Their
/// type in `libc` differs with the C library.
const FORGING: [u64; 2] = [0x5412, 0x541c];

/// What the kernel told the process when it began; `libc` has no name for it.
const PR_GET_AUXV: i32 = 0x4155_5856;

/// What no relay ever calls, the machine's first process included.
#[rustfmt::skip]
const DANGEROUS: &[i64] = &[
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_kexec_load, libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_setns,
    libc::SYS_unshare, libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_chroot,
    libc::SYS_pivot_root, libc::SYS_acct, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_io_uring_setup,
];

/// Refuses all calls but those that are needed; gives what the console tells.
pub(super) fn allow_only_needed(needs: &Needs<'_>) -> Result<String, String> {
    let clock = CLOCK.iter().filter(|_| needs.clock);
    let needed = NEEDED.iter().chain(NEEDED_TOO).chain(clock);
    let mut rules: Rules = needed.map(|call| (*call, Vec::new())).collect();
    rules.insert(
        libc::SYS_socket,
        any_of(FAMILIES.map(|family| condition(0, SeccompCmpOp::Eq, family as u64)))?,
    );
    let harmless = [libc::PR_SET_NAME, libc::PR_SET_VMA, PR_GET_AUXV]
        .map(|option| condition(0, SeccompCmpOp::Eq, option as u64));
    rules.insert(libc::SYS_prctl, any_of(harmless)?);
    let honest = FORGING.map(|request| condition(1, SeccompCmpOp::Ne, request));
    let honest = honest.into_iter().collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(honest).map_err(text)?]);
    let count = rules.len();
    apply(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    Ok(format!("seccomp leaves {count} system calls"))
}

/// Refuses the dangerous calls alone.
pub(super) fn refuse_dangerous() -> Result<String, String> {
    let rules: Rules = DANGEROUS.iter().map(|call| (*call, Vec::new())).collect();
    let count = rules.len();
    apply(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))?;
    Ok(format!("seccomp refuses {count} system calls"))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn apply(rules: Rules, usually: SeccompAction, listed: SeccompAction) -> Result<(), String> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(text)?;
    let filter = SeccompFilter::new(rules, usually, listed, machine).map_err(text)?;
    let program: BpfProgram = filter.try_into().map_err(text)?;
    apply_filter(&program).map_err(text)
}

fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value).map_err(text)
}

fn any_of<const N: usize>(
    conditions: [Result<SeccompCondition, String>; N],
) -> Result<Vec<SeccompRule>, String> {
    conditions.into_iter().map(|one| SeccompRule::new(vec![one?]).map_err(text)).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
