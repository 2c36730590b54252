//! What this server, and the libraries in it, call once everything is set up.

use super::rules::{Condition, SyscallRules};
use crate::hostfs::{UdsPolicy, xattrat};

/// What the process is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Some client has no descriptor to work with and sends everything through channels or the socket.
    pub lisafs: bool,
    /// What may be done with the host's UNIX sockets.
    pub host_uds: UdsPolicy,
}

impl Needs {
    /// What a process needs that serves clients with or without descriptors of their own and these sockets.
    pub const fn new(lisafs: bool, host_uds: UdsPolicy) -> Self {
        Needs { lisafs, host_uds }
    }
}

impl Default for Needs {
    /// As little as possible.
    fn default() -> Self {
        Needs { lisafs: false, host_uds: UdsPolicy::None }
    }
}

/// When an [`Entry`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// In any process. A client with directfs still mounts, walks, opens the root, sets modes, owners and attributes of
    /// what is no regular file, and the process has to live and to end.
    Always,
    /// With [`Needs::lisafs`].
    Lisafs,
    /// If UNIX sockets of the host may be connected to or made.
    Sockets,
    /// If UNIX sockets of the host may be connected to.
    SocketsOpen,
    /// If UNIX sockets of the host may be made.
    SocketsCreate,
}

/// One line of the policy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// What the headers call it.
    pub name: &'static str,
    /// The number of the system call.
    pub number: i64,
    /// Alternatives, each of conditions that must all hold. Without any, all arguments are allowed.
    pub alternatives: &'static [&'static [Condition]],
    /// Which processes need it.
    pub when: When,
    /// What for.
    pub why: &'static str,
}

/// The rules for a process that does this. Host FIFOs and devices take nothing but opening files.
pub fn stock(needs: Needs) -> SyscallRules {
    let entries = TABLE.iter().filter(|entry| entry.when.applies(needs));
    entries.fold(SyscallRules::new(), |rules, entry| match entry.alternatives {
        [] => rules.allow(entry.number),
        some => some.iter().fold(rules, |rules, conditions| rules.allow_if(entry.number, conditions.iter().copied())),
    })
}

impl When {
    fn applies(self, needs: Needs) -> bool {
        match self {
            When::Always => true,
            When::Lisafs => needs.lisafs,
            When::Sockets => needs.host_uds != UdsPolicy::None,
            When::SocketsOpen => needs.host_uds.opens(),
            When::SocketsCreate => needs.host_uds.creates(),
        }
    }
}

/// A line in one line.
macro_rules! entry {
    ($when:ident, $number:path, $why:literal $(, [$($condition:expr),+])*) => {
        Entry {
            name: stringify!($number),
            number: $number,
            alternatives: &[$(&[$($condition),+]),*],
            when: When::$when,
            why: $why,
        }
    };
}

/// Bits of a futex operation that say how, not what.
const FUTEX_HOW: i32 = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
/// Bits of a socket type that are none.
const SOCKET_HOW: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
/// The request to make a socket non-blocking, which has one type or another in the C libraries' headers.
const FIONBIO: i32 = 0x5421;

/// The policy. Several lines about one system call are alternatives.
pub const TABLE: &[Entry] = &[
    // The process and its threads. There is nothing to make a thread: all are made before.
    entry!(Always, libc::SYS_exit, "a thread ends with its connection"),
    entry!(Always, libc::SYS_exit_group, "the process ends"),
    entry!(
        Always,
        libc::SYS_futex,
        "locks, conditions, channels, thread ends",
        [Condition::int_besides(1, FUTEX_HOW, libc::FUTEX_WAIT)],
        [Condition::int_besides(1, FUTEX_HOW, libc::FUTEX_WAKE)],
        [Condition::int_besides(1, FUTEX_HOW, libc::FUTEX_WAIT_BITSET)]
    ),
    entry!(Always, libc::SYS_sched_yield, "spinning locks and channels step aside"),
    entry!(Always, libc::SYS_sched_getaffinity, "the allocator counts processors", [Condition::int(0, 0)]),
    entry!(Always, libc::SYS_clock_gettime, "time limits, where the vDSO has no clock"),
    entry!(Always, libc::SYS_getrandom, "keys of hash tables"),
    entry!(Always, libc::SYS_rt_sigreturn, "the end of a signal handler"),
    entry!(Always, libc::SYS_restart_syscall, "the kernel goes on after a stop"),
    entry!(Always, libc::SYS_rt_sigaction, "abort"),
    entry!(Always, libc::SYS_rt_sigprocmask, "abort, thread ends"),
    entry!(Always, libc::SYS_sigaltstack, "thread ends"),
    entry!(Always, libc::SYS_getpid, "abort"),
    entry!(Always, libc::SYS_gettid, "abort"),
    entry!(Always, libc::SYS_tgkill, "abort", [Condition::int(2, libc::SIGABRT)]),
    // Memory. That none of it becomes executable is a condition on every rule, here and elsewhere.
    entry!(Always, libc::SYS_mmap, "the allocator, packet windows", [Condition::without(2, libc::PROT_EXEC)]),
    entry!(Always, libc::SYS_mprotect, "the allocator", [Condition::without(2, libc::PROT_EXEC)]),
    entry!(Always, libc::SYS_munmap, "the allocator, packet windows, thread ends"),
    entry!(Always, libc::SYS_mremap, "the allocator"),
    entry!(Always, libc::SYS_madvise, "the allocator, thread ends"),
    entry!(Always, libc::SYS_brk, "the allocator"),
    // Talking to the client and to the one who started us.
    entry!(Always, libc::SYS_recvmsg, "requests", [Condition::only(2, libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT)]),
    entry!(
        Always,
        libc::SYS_sendmsg,
        "answers and donated descriptors",
        [Condition::only(2, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)]
    ),
    entry!(Always, libc::SYS_shutdown, "the end of a connection", [Condition::int(1, libc::SHUT_RDWR)]),
    entry!(Always, libc::SYS_ppoll, "waiting for clients, signals and the end of the sandbox"),
    entry!(Always, libc::SYS_read, "signals, the end of the sandbox"),
    entry!(Always, libc::SYS_write, "the log"),
    entry!(Always, libc::SYS_writev, "error messages of the C library"),
    entry!(Always, libc::SYS_close, "descriptors"),
    entry!(
        Always,
        libc::SYS_fcntl,
        "donated descriptors are duplicates and do not block",
        [Condition::int(1, libc::F_DUPFD_CLOEXEC)],
        [Condition::int(1, libc::F_GETFL)],
        [Condition::int(1, libc::F_SETFL)]
    ),
    entry!(
        Always,
        libc::SYS_fcntl,
        "the standard library checks what it closes, if built for debugging",
        [Condition::int(1, libc::F_GETFD)]
    ),
    // Files, as far as a client with directfs needs help.
    entry!(Always, libc::SYS_openat, "Walk, OpenAt, OpenCreateAt, Mount"),
    entry!(Always, libc::SYS_statx, "attributes"),
    entry!(Always, libc::SYS_pread64, "PRead"),
    entry!(Always, libc::SYS_pwrite64, "PWrite"),
    entry!(Always, libc::SYS_fsync, "FSync"),
    entry!(Always, libc::SYS_fchmodat, "SetStat, set-id bits of new files"),
    entry!(Always, libc::SYS_fchownat, "SetStat, owners of new files"),
    entry!(Always, xattrat::SETXATTRAT, "FSetXattr"),
    entry!(Always, xattrat::GETXATTRAT, "FGetXattr"),
    entry!(Always, xattrat::LISTXATTRAT, "FListXattr"),
    entry!(Always, xattrat::REMOVEXATTRAT, "FRemoveXattr"),
    entry!(Always, libc::SYS_setxattr, "FSetXattr before Linux 6.13"),
    entry!(Always, libc::SYS_getxattr, "FGetXattr before Linux 6.13"),
    entry!(Always, libc::SYS_listxattr, "FListXattr before Linux 6.13"),
    entry!(Always, libc::SYS_removexattr, "FRemoveXattr before Linux 6.13"),
    // Channels.
    entry!(Lisafs, libc::SYS_memfd_create, "memory of packet windows"),
    entry!(Lisafs, libc::SYS_ftruncate, "memory of packet windows, SetStat"),
    entry!(Lisafs, libc::SYS_fallocate, "memory of packet windows, FAllocate"),
    entry!(Lisafs, libc::SYS_fcntl, "memory of packet windows", [Condition::int(1, libc::F_ADD_SEALS)]),
    entry!(
        Lisafs,
        libc::SYS_socketpair,
        "the FD socket of a channel",
        [
            Condition::int(0, libc::AF_UNIX),
            Condition::int_besides(1, SOCKET_HOW, libc::SOCK_SEQPACKET),
            Condition::int(2, 0)
        ]
    ),
    // Files, as far as a client with directfs helps itself.
    entry!(Lisafs, libc::SYS_fstatfs, "FStatFS"),
    entry!(Lisafs, libc::SYS_getdents64, "Getdents64"),
    entry!(Lisafs, libc::SYS_lseek, "Getdents64 from another position, LSeek"),
    entry!(Lisafs, libc::SYS_utimensat, "SetStat"),
    entry!(Lisafs, libc::SYS_readlinkat, "ReadLinkAt"),
    entry!(Lisafs, libc::SYS_mkdirat, "MkdirAt"),
    entry!(Lisafs, libc::SYS_mknodat, "MknodAt"),
    entry!(Lisafs, libc::SYS_symlinkat, "SymlinkAt"),
    entry!(Lisafs, libc::SYS_linkat, "LinkAt"),
    entry!(Lisafs, libc::SYS_unlinkat, "UnlinkAt, files that could not be completed"),
    entry!(Lisafs, libc::SYS_renameat, "RenameAt"),
    entry!(Lisafs, libc::SYS_renameat2, "RenameAt2"),
    // UNIX sockets of the host.
    entry!(
        Sockets,
        libc::SYS_socket,
        "Connect, BindAt",
        [
            Condition::int(0, libc::AF_UNIX),
            Condition::int_besides(1, SOCKET_HOW, libc::SOCK_STREAM),
            Condition::int(2, 0)
        ],
        [
            Condition::int(0, libc::AF_UNIX),
            Condition::int_besides(1, SOCKET_HOW, libc::SOCK_DGRAM),
            Condition::int(2, 0)
        ],
        [
            Condition::int(0, libc::AF_UNIX),
            Condition::int_besides(1, SOCKET_HOW, libc::SOCK_SEQPACKET),
            Condition::int(2, 0)
        ]
    ),
    entry!(SocketsOpen, libc::SYS_connect, "Connect"),
    entry!(SocketsOpen, libc::SYS_setresuid, "ConnectWithCreds"),
    entry!(SocketsOpen, libc::SYS_setresgid, "ConnectWithCreds"),
    entry!(SocketsOpen, libc::SYS_capset, "ConnectWithCreds"),
    entry!(SocketsCreate, libc::SYS_chdir, "BindAt: the helper goes to the directory"),
    entry!(SocketsCreate, libc::SYS_fchdir, "BindAt: and back"),
    entry!(SocketsCreate, libc::SYS_fchmod, "BindAt: the mode of the new file"),
    entry!(SocketsCreate, libc::SYS_bind, "BindAt"),
    entry!(SocketsCreate, libc::SYS_unlinkat, "BindAt: a socket that could not be completed"),
    entry!(SocketsCreate, libc::SYS_listen, "Listen"),
    entry!(SocketsCreate, libc::SYS_accept4, "Accept"),
    entry!(SocketsCreate, libc::SYS_ioctl, "Accept does not block", [Condition::int(1, FIONBIO)]),
];
