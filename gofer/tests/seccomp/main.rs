//! What the real kernel makes of the filter. A filter is for good, so whoever installs one is a process of its own:
//! this test binary again, told by its environment which part to play. The tests need root.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../../lisafs/tests/common/mod.rs"]
mod common;

mod calls;
mod server;

const PART: &str = "GOFER_SECCOMP_TEST_PART";

/// Starts the test `name` in a process of its own, where [`part`] is `part` and the standard input is `stdin`.
fn play(name: &str, part: &str, stdin: impl Into<Stdio>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        // Collecting a backtrace takes a good deal more than the server does.
        .env_remove("RUST_BACKTRACE")
        .stdin(stdin)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The part that this process has been given, if it is not the one that tests.
fn part() -> Option<String> {
    let part = std::env::var(PART).ok()?;
    // Many of us are going to be killed, and nobody wants to look into them.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    Some(part)
}

/// What a process gets that has been started with a socket.
fn stdin() -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).unwrap()
}

/// Whether the filter ended the process.
fn was_killed(status: ExitStatus) -> bool {
    assert!(status.success() || status.signal() == Some(libc::SIGSYS), "{status}");
    status.signal() == Some(libc::SIGSYS)
}
