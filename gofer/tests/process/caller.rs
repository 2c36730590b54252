//! A caller.

use std::fs::{self, File};
use std::io::{IoSlice, PipeReader, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::client::Client;
use crate::common::until;

/// A call that is being put together. What is not changed is right: a root file system and one mount, both to be
/// served.
pub(crate) struct Call {
    /// With the bundle, which has the root file system, and next to it `volume`.
    pub(crate) dir: TempDir,
    pub(crate) spec: Value,
    /// Flags before the command.
    pub(crate) globals: Vec<String>,
    /// Flags of the command that are not about descriptors.
    pub(crate) flags: Vec<String>,
    /// Flags with the descriptors that they name.
    pub(crate) fds: Vec<(String, OwnedFd)>,
    pub(crate) id: Option<String>,
    /// What is started.
    pub(crate) program: PathBuf,
    /// Our ends of the connections.
    pub(crate) clients: Vec<OwnedFd>,
    pub(crate) mounts: PipeReader,
    /// Our end of the connection over which the gofer asks for mounts, and of the one whose end it waits for.
    pub(crate) rpc: UnixStream,
    pub(crate) sync: UnixStream,
    /// Whether it is the first process of a PID namespace. The one before it then keeps everything open.
    pub(crate) is_first: bool,
    /// Whether it is started by an ordinary user, as root of a user namespace that knows nobody else.
    pub(crate) is_rootless: bool,
}

/// An ordinary user, and group.
pub(crate) const NOBODY: u32 = 65534;

impl Call {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("bundle/rootfs");
        fs::create_dir_all(rootfs.join("etc")).unwrap();
        fs::write(rootfs.join("etc/in-root"), "root").unwrap();
        fs::create_dir(dir.path().join("volume")).unwrap();
        fs::write(dir.path().join("volume/in-volume"), "volume").unwrap();
        let spec = json!({
            "ociVersion": "1.0.0",
            "process": {"args": ["true"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/data", "type": "bind", "source": dir.path().join("volume"), "options": ["rbind"]},
            ],
        });
        let (mounts, writer) = std::io::pipe().unwrap();
        let (rpc, their_rpc) = UnixStream::pair().unwrap();
        let (sync, their_sync) = UnixStream::pair().unwrap();
        let mut call = Call {
            globals: vec!["--directfs=false".into()],
            flags: vec![format!("--bundle={}", dir.path().join("bundle").display())],
            fds: vec![
                ("mounts-fd".into(), writer.into()),
                ("rpc-fd".into(), their_rpc.into()),
                ("sync-chroot-fd".into(), their_sync.into()),
            ],
            id: Some("container".into()),
            program: env!("CARGO_BIN_EXE_gofer").into(),
            clients: Vec::new(),
            dir,
            spec,
            mounts,
            rpc,
            sync,
            is_first: false,
            is_rootless: false,
        };
        call.serve("io-fds", 2);
        call.confs("lisafs:none,lisafs:none");
        call
    }

    /// Donates some more connections.
    pub(crate) fn serve(&mut self, flag: &str, count: usize) {
        for _ in 0..count {
            let (ours, theirs) = UnixStream::pair().unwrap();
            self.clients.push(ours.into());
            self.fds.push((flag.into(), theirs.into()));
        }
    }

    /// Sets the flag about mounts.
    pub(crate) fn confs(&mut self, confs: &str) {
        self.flags.retain(|flag| !flag.starts_with("--gofer-mount-confs"));
        self.flags.push(format!("--gofer-mount-confs={confs}"));
    }

    /// Takes a descriptor away.
    pub(crate) fn without(&mut self, flag: &str) {
        self.fds.retain(|(name, _)| name != flag);
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("bundle/rootfs")
    }

    /// Adds a mount, to be served.
    pub(crate) fn add_mount(&mut self, mount: Value) {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
        let confs = self.flags.iter().find(|flag| flag.starts_with("--gofer-mount-confs")).unwrap();
        let confs = format!("{},lisafs:none", confs.split_once('=').unwrap().1);
        self.confs(&confs);
        self.serve("io-fds", 1);
    }

    /// Starts the process.
    pub(crate) fn start(mut self) -> Running {
        let config = self.dir.path().join("bundle/config.json");
        if !config.exists() {
            fs::write(&config, self.spec.to_string()).unwrap();
        }
        if !self.fds.iter().any(|(flag, _)| flag == "spec-fd") {
            self.fds.push(("spec-fd".into(), File::open(&config).unwrap().into()));
        }
        let log = self.dir.path().join("log");
        let debug_log = self.dir.path().join("debug-log");
        for (flag, path) in [("--log-fd", &log), ("--debug-log-fd", &debug_log)] {
            let number = 3 + self.fds.len();
            self.globals.push(format!("{flag}={number}"));
            self.fds.push((String::new(), File::create(path).unwrap().into()));
        }
        let program = self.dir.path().join("runsc-gofer");
        let mut command = Command::new("unshare");
        if self.is_rootless {
            // Others need not have a way to where it was built. Not copied by us: a child that another test starts now
            // would have a file that we write to open for a moment, and what somebody may still write to cannot be run.
            assert!(Command::new("cp").arg(&self.program).arg(&program).status().unwrap().success());
            let chown = Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(self.dir.path()).status();
            assert!(chown.unwrap().success());
            command = Command::new("setpriv");
            let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()];
            command.args(user).args(["unshare", "--user", "--map-root-user"]);
        } else {
            symlink(&self.program, &program).unwrap();
        }
        command.arg("--mount");
        if self.is_first {
            command.args(["--pid", "--fork", "--kill-child"]);
        }
        command.arg(program).args(&self.globals).arg("gofer").args(&self.flags);
        let mut mappings = Vec::new();
        for (index, (flag, fd)) in self.fds.drain(..).enumerate() {
            let child_fd = i32::try_from(3 + index).unwrap();
            if !flag.is_empty() {
                command.arg(format!("--{flag}={child_fd}"));
            }
            mappings.push(FdMapping { parent_fd: fd, child_fd });
        }
        command.args(&self.id).fd_mappings(mappings).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // Dropping it closes our copies of their ends.
        drop(command);
        Running {
            child,
            clients: self.clients.into_iter().map(Client::new).collect(),
            mounts: self.mounts,
            rpc: self.rpc,
            sync: Some(self.sync),
            log,
            debug_log,
            dir: self.dir,
            is_first: self.is_first,
        }
    }

    /// Starts the process and lets it set everything up.
    pub(crate) fn go(self) -> Running {
        let mut running = self.start();
        running.sync.take();
        running
    }
}

/// A process.
pub(crate) struct Running {
    child: Child,
    pub(crate) clients: Vec<Client>,
    mounts: PipeReader,
    pub(crate) rpc: UnixStream,
    pub(crate) sync: Option<UnixStream>,
    log: PathBuf,
    debug_log: PathBuf,
    pub(crate) dir: TempDir,
    is_first: bool,
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    /// For the caller.
    pub(crate) log: String,
    pub(crate) debug_log: String,
}

impl Running {
    /// The list of mounts that it sends.
    pub(crate) fn mounts(&mut self) -> Value {
        let mut text = String::new();
        self.mounts.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}; {}", self.debug_log()))
    }

    /// Returns when it answers requests; `what` is told if it does not get there.
    pub(crate) fn until_it_serves(&mut self, what: &str) {
        until("requests are answered", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{what}: {}", self.debug_log());
            self.debug_log().matches("Serving ").count() == self.clients.len()
        });
    }

    pub(crate) fn debug_log(&self) -> String {
        fs::read_to_string(&self.debug_log).unwrap()
    }

    /// The process itself, which may be a child of our child.
    pub(crate) fn pid(&self) -> u32 {
        if !self.is_first {
            return self.child.id();
        }
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let mut pid = None;
        until("a process", || {
            pid = fs::read_to_string(&children).ok().and_then(|text| text.trim().parse().ok());
            pid.is_some()
        });
        pid.unwrap()
    }

    /// What it asks of runsc.
    pub(crate) fn question(&mut self) -> Value {
        let mut text = vec![0; 4096];
        let length = self.rpc.read(&mut text).unwrap();
        serde_json::from_slice(&text[..length]).unwrap_or_else(|error| panic!("{error}; {}", self.debug_log()))
    }

    /// Answers that with a descriptor.
    pub(crate) fn answer(&self, fd: impl AsFd) {
        let fds = [fd.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = br#"{"success":true,"err":"","result":{}}"#;
        sendmsg(&self.rpc, &[IoSlice::new(text)], &mut ancillary, SendFlags::empty()).unwrap();
    }

    /// Returns when it has looked at everything and waits for runsc.
    pub(crate) fn until_it_waits(&self) {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        until("the process waits", || of("cmdline").contains("runsc-gofer") && of("wchan").contains("unix_stream"));
    }

    /// Closes all connections and waits for the end.
    pub(crate) fn end(mut self) -> End {
        self.clients.clear();
        self.sync.take();
        let (_, rest) = (drop(self.rpc), &mut self.child);
        let mut stderr = String::new();
        rest.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        End { code, stderr, log: read(&self.log), debug_log: read(&self.debug_log) }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

impl Running {
    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

/// The number of a descriptor that is not open anywhere.
pub(crate) fn closed() -> i32 {
    let file = File::open("/dev/null").unwrap();
    file.as_raw_fd() + 500
}
