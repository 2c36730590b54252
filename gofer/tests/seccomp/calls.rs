//! Single system calls: the nearest neighbours of what is allowed.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use gofer::hostfs::UdsPolicy;
use gofer::seccomp::{Needs, SyscallRules, install, merge, stock};
use libc::c_long;

use super::{part, play, was_killed};

const EVERYTHING: Needs = Needs::new(true, UdsPolicy::All);
const LEAST: Needs = Needs::new(false, UdsPolicy::None);
const NO_SOCKETS: Needs = Needs::new(true, UdsPolicy::None);

/// A system call that the filter does not allow.
struct Forbidden {
    what: &'static str,
    needs: Needs,
    number: i64,
    args: [i32; 4],
    /// Whether an extension that asks for the system call, whatever its arguments, may make this one.
    to_extensions: bool,
}

const fn unless_asked_for(what: &'static str, needs: Needs, number: i64, args: [i32; 4]) -> Forbidden {
    Forbidden { what, needs, number, args, to_extensions: true }
}

const fn always(what: &'static str, number: i64, args: [i32; 4]) -> Forbidden {
    Forbidden { what, needs: EVERYTHING, number, args, to_extensions: false }
}

/// Calls that do no harm where they are allowed: most of them fail.
const FORBIDDEN: &[Forbidden] = &[
    unless_asked_for("a thread", EVERYTHING, libc::SYS_clone3, [0; 4]),
    unless_asked_for("another directory", EVERYTHING, libc::SYS_chroot, [0; 4]),
    unless_asked_for("a mount", EVERYTHING, libc::SYS_mount, [0; 4]),
    unless_asked_for("an address", EVERYTHING, libc::SYS_sendto, [-1, 0, 0, 0]),
    unless_asked_for("a requeued futex", EVERYTHING, libc::SYS_futex, [0, libc::FUTEX_REQUEUE, 0, 0]),
    unless_asked_for("another's processors", EVERYTHING, libc::SYS_sched_getaffinity, [1, 0, 0, 0]),
    unless_asked_for("a signal", EVERYTHING, libc::SYS_tgkill, [-1, -1, libc::SIGTERM, 0]),
    unless_asked_for("a look at a message", EVERYTHING, libc::SYS_recvmsg, [-1, 0, libc::MSG_PEEK, 0]),
    unless_asked_for("urgent data", EVERYTHING, libc::SYS_sendmsg, [-1, 0, libc::MSG_OOB, 0]),
    unless_asked_for("half an end", EVERYTHING, libc::SYS_shutdown, [-1, libc::SHUT_RD, 0, 0]),
    unless_asked_for("an inherited duplicate", EVERYTHING, libc::SYS_fcntl, [-1, libc::F_DUPFD, 0, 0]),
    unless_asked_for("an inherited descriptor", EVERYTHING, libc::SYS_fcntl, [-1, libc::F_SETFD, 0, 0]),
    unless_asked_for("a pair of streams", EVERYTHING, libc::SYS_socketpair, [libc::AF_UNIX, libc::SOCK_STREAM, 0, 0]),
    unless_asked_for("the network", EVERYTHING, libc::SYS_socket, [libc::AF_INET, libc::SOCK_STREAM, 0, 0]),
    unless_asked_for("a raw socket", EVERYTHING, libc::SYS_socket, [libc::AF_UNIX, libc::SOCK_RAW, 0, 0]),
    unless_asked_for("typing for others", EVERYTHING, libc::SYS_ioctl, [-1, 0x5412, 0, 0]),
    unless_asked_for("a channel's memory", LEAST, libc::SYS_memfd_create, [0; 4]),
    unless_asked_for("a channel's seals", LEAST, libc::SYS_fcntl, [-1, libc::F_ADD_SEALS, 0, 0]),
    unless_asked_for("a directory", LEAST, libc::SYS_mkdirat, [-1, 0, 0, 0]),
    unless_asked_for("a socket", NO_SOCKETS, libc::SYS_socket, [libc::AF_UNIX, libc::SOCK_STREAM, 0, 0]),
    unless_asked_for("an address to listen at", NO_SOCKETS, libc::SYS_bind, [-1, 0, 0, 0]),
    always(
        "an executable mapping",
        libc::SYS_mmap,
        [0, 4096, libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS],
    ),
    always(
        "a mapping for everything",
        libc::SYS_mmap,
        [0, 4096, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS],
    ),
    always("memory made executable", libc::SYS_mprotect, [0, 0, libc::PROT_READ | libc::PROT_EXEC, 0]),
    always("memory made executable with a key", libc::SYS_pkey_mprotect, [0, 0, libc::PROT_EXEC, -1]),
    always("executable shared memory", libc::SYS_shmat, [-1, 0, libc::SHM_EXEC, 0]),
    always("another program", libc::SYS_execve, [0; 4]),
    always("another program by descriptor", libc::SYS_execveat, [-1, 0, 0, 0]),
    always("executable by default", libc::SYS_personality, [-1, 0, 0, 0]),
    always("a look into others", libc::SYS_process_vm_readv, [0; 4]),
    always("a hand in others", libc::SYS_process_vm_writev, [0; 4]),
    always("a debugger", libc::SYS_ptrace, [-1, 0, 0, 0]),
    always("another filter", libc::SYS_seccomp, [-1, 0, 0, 0]),
    always("another filter, the old way", libc::SYS_prctl, [libc::PR_SET_SECCOMP, 0, 0, 0]),
];

/// Makes a system call with arguments that are numbers or null pointers.
fn call(number: i64, args: [i32; 4]) {
    let [a, b, c, d] = args.map(c_long::from);
    // SAFETY: none of the calls of these tests changes memory that exists: they get no valid address.
    unsafe { libc::syscall(number, a, b, c, d, -1_i64, 0_i64) };
}

#[test]
fn forbidden_calls_are_fatal_and_extensions_get_what_they_may_have() {
    const NAME: &str = "calls::forbidden_calls_are_fatal_and_extensions_get_what_they_may_have";
    if let Some(part) = part() {
        let (index, extended) = part.split_once(' ').unwrap();
        let Forbidden { needs, number, args, .. } = &FORBIDDEN[index.parse::<usize>().unwrap()];
        let extensions = if extended == "extended" { vec![SyscallRules::new().allow(*number)] } else { Vec::new() };
        install(&merge(&stock(*needs), &extensions)).unwrap();
        call(*number, *args);
        std::process::exit(0);
    }
    for (index, Forbidden { what, to_extensions, .. }) in FORBIDDEN.iter().enumerate() {
        let is_killed =
            |extended: &str| was_killed(play(NAME, &format!("{index} {extended}"), Stdio::null()).wait().unwrap());
        assert!(is_killed("stock"), "{what}, without an extension");
        assert_eq!(is_killed("extended"), !to_extensions, "{what}, with an extension");
    }
}

/// What no [`merge`] has seen is no way around either.
#[test]
fn rules_that_were_not_merged_do_not_allow_more() {
    const NAME: &str = "calls::rules_that_were_not_merged_do_not_allow_more";
    if part().is_some() {
        install(&stock(EVERYTHING).allow(libc::SYS_mmap)).unwrap();
        call(libc::SYS_mmap, [0, 4096, libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS]);
        std::process::exit(0);
    }
    assert!(was_killed(play(NAME, "", Stdio::null()).wait().unwrap()));
}

#[test]
fn conditions_of_an_extension_hold() {
    use gofer::seccomp::Condition;
    const NAME: &str = "calls::conditions_of_an_extension_hold";
    if let Some(part) = part() {
        let internet = SyscallRules::new().allow_if(libc::SYS_socket, [Condition::int(0, libc::AF_INET)]);
        install(&merge(&stock(EVERYTHING), &[internet])).unwrap();
        call(libc::SYS_socket, [part.parse().unwrap(), libc::SOCK_STREAM, 0, 0]);
        std::process::exit(0);
    }
    for (family, dies) in [(libc::AF_INET, false), (libc::AF_UNIX, false), (libc::AF_INET6, true)] {
        assert_eq!(was_killed(play(NAME, &family.to_string(), Stdio::null()).wait().unwrap()), dies, "{family}");
    }
}

/// The filter holds for threads that were there before it, and one that breaks it takes the process along.
#[test]
fn all_threads_have_the_filter() {
    const NAME: &str = "calls::all_threads_have_the_filter";
    if part().is_some() {
        let (installed, is_installed) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            is_installed.recv().unwrap();
            call(libc::SYS_clone3, [0; 4]);
        });
        install(&stock(LEAST)).unwrap();
        installed.send(()).unwrap();
        thread.join().unwrap();
        std::process::exit(0);
    }
    assert!(was_killed(play(NAME, "", Stdio::null()).wait().unwrap()));
}

/// Whoever looks for the cause should not find the filter where it was not.
#[test]
fn aborting_looks_like_aborting() {
    const NAME: &str = "calls::aborting_looks_like_aborting";
    if part().is_some() {
        install(&stock(LEAST)).unwrap();
        std::process::abort();
    }
    assert_eq!(play(NAME, "", Stdio::null()).wait().unwrap().signal(), Some(libc::SIGABRT));
}
