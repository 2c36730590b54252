//! How long a gofer takes from its start to its first answer.
//!
//! runsc's place is taken here, with what both kinds of runsc have in common: new namespaces, a configuration,
//! descriptors, and a client that asks for the mount at once.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt, FdMapping};
use e2e::sandbox::{Bundle, Runsc};
use e2e::volumes::VolumeServer;
use e2e::{bins, process};

use super::table::{Figure, Way};

/// A request to mount, on the socket: no payload, and the number of the message.
const MOUNT: [u8; 8] = [0, 0, 0, 0, 1, 0, 0, 0];
/// The number of starts of which the shortest counts.
const STARTS: usize = 5;

/// Measures the start of one gofer. With a volume, the first answer is the volume server's.
pub(super) fn run(runsc: &Runsc, way: Way) -> Result<Vec<Figure>> {
    let sandbox = super::sandbox(runsc, way)?;
    let mut bundle = Bundle::busybox(&sandbox, "start")?.arguments(&["true"]);
    let server = super::volume_server(&sandbox, way, &bundle.root())?;
    if server.is_some() {
        bundle = bundle.annotation("dev.gofer.backend./", "volume:data");
    }
    bundle.write(&sandbox)?;
    let program = match way {
        Way::Stock => runsc.path().to_owned(),
        Way::Ours | Way::Volume => bins::gofer()?,
    };
    let start = || once(&program, bundle.path(), &sandbox.configuration(), runsc);
    let times = (0..STARTS).map(|_| start()).collect::<Result<Vec<_>>>()?;
    let shortest = times.into_iter().min().context("no start")?;
    sandbox.end()?;
    server.map_or(Ok(()), VolumeServer::stop)?;
    Ok(vec![Figure { name: "start to first answer", unit: "ms", value: shortest.as_secs_f64() * 1e3 }])
}

fn once(program: &Path, bundle: &Path, configuration: &Path, runsc: &Runsc) -> Result<Duration> {
    let (ours, connection) = UnixStream::pair()?;
    let (_rpc, rpc) = UnixStream::pair()?;
    let (go, wait_for_go) = UnixStream::pair()?;
    let (mut mounts, mounts_end) = std::io::pipe()?;
    let stamp: PathBuf = bundle.join("stamp");
    // The last thing before the gofer is the time.
    let script = "echo -n $EPOCHREALTIME > \"$1\"; shift; exec -a runsc-gofer \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--ipc",
        "--uts",
        "--net",
        "--fork",
        "--kill-child",
        "bash",
        "-c",
        script,
        "bash",
    ]);
    if configuration.exists() {
        command.env("GOFER_CONFIG", configuration);
    }
    command.arg(&stamp).arg(program).arg("--network=none");
    if runsc.is_current() {
        command.arg("--directfs=false");
    }
    command.args(["gofer", "--bundle"]).arg(bundle).args(["--spec-fd=3", "--mounts-fd=4", "--io-fds=5"]);
    if runsc.is_current() {
        command.arg("--gofer-mount-confs=lisafs:none");
    }
    if runsc.has_rpc() {
        command.args(["--rpc-fd=6", "--sync-chroot-fd=7", "start"]);
    }
    let spec = fs::File::open(bundle.join("config.json"))?;
    let fds: [OwnedFd; 5] = [spec.into(), mounts_end.into(), connection.into(), rpc.into(), wait_for_go.into()];
    let mappings = fds.into_iter().zip(3..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
    command.fd_mappings(mappings)?;
    drop(go);
    let mut child =
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
    drop(command);
    let answered = first_answer(&ours);
    let end = SystemTime::now().duration_since(UNIX_EPOCH)?;
    // It ends with its client.
    drop(ours);
    let mut rest = Vec::new();
    mounts.read_to_end(&mut rest)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            process::kill_group(child.id());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    answered?;
    let stamp = fs::read_to_string(&stamp)?;
    let start = Duration::from_secs_f64(stamp.replace(',', ".").parse()?);
    end.checked_sub(start).context("the clock goes backwards")
}

fn first_answer(mut connection: &UnixStream) -> Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    connection.write_all(&MOUNT)?;
    let mut header = [0; 8];
    connection.read_exact(&mut header).context("the gofer does not answer")?;
    if header[4..6] != MOUNT[4..6] {
        bail!("the gofer answers with message {}", u16::from_le_bytes([header[4], header[5]]));
    }
    Ok(())
}
