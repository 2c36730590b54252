//! What is compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result};
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::ring::Switch;
use e2e::volumes::VolumeServer;
use e2e::{command, host};
use tempfile::TempDir;

/// One way to reach a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The directory itself.
    Native,
    /// The usual FUSE mirror, written in C.
    Bindfs,
    /// libfuse's example, which has no second process either.
    PassthroughHp(Transport),
    /// Ours.
    Fusebridge(Io, Access, Way),
    /// Ours, with a volume server outside.
    Volume(Io, Access),
}

/// How a mount is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is without options.
    Default,
    /// With what the variable `EARLIER` names, a directory of programs.
    Earlier,
    /// With the server in a process of its own.
    Separate(Transport),
    /// With the server in the process of the mount.
    InProcess(Transport),
}

impl Way {
    fn command(self, io: Io, access: Access) -> Result<Command> {
        let mut command = match self {
            Self::Earlier => {
                let programs = PathBuf::from(env::var_os(EARLIER).context(EARLIER)?);
                mount::command_of(&programs.join("fusebridge"), io, access)
            }
            _ => mount::command(io, access)?,
        };
        match self {
            Self::Default | Self::Earlier => {}
            Self::Separate(transport) => _ = command.args(["--server", "separate", "--transport", transport.word()]),
            Self::InProcess(transport) => _ = command.args(["--server", "in-process", "--transport", transport.word()]),
        }
        Ok(command)
    }
}

/// Names a directory of programs that were built earlier.
pub(crate) const EARLIER: &str = "EARLIER";
/// Names libfuse's `passthrough_hp`.
const PASSTHROUGH_HP: &str = "PASSTHROUGH_HP";

impl Subject {
    /// All subjects, in the order of the table; with `all_ways`, each place of the server and each transport, too.
    pub(crate) fn all(all_ways: bool) -> Vec<Self> {
        let mut all = vec![Self::Native, Self::Bindfs];
        if env::var_os(PASSTHROUGH_HP).is_some() {
            all.extend(Transport::all().map(Self::PassthroughHp));
        }
        let mut ways = vec![Way::Default];
        if env::var_os(EARLIER).is_some() {
            ways.push(Way::Earlier);
        }
        if all_ways {
            ways.extend(Transport::all().map(Way::Separate));
            ways.extend(Transport::all().map(Way::InProcess));
        }
        for io in [Io::Auto, Io::Rpc] {
            for access in Access::ALL {
                all.extend(ways.iter().map(|&way| Self::Fusebridge(io, access, way)));
            }
        }
        all.extend(Access::ALL.map(|access| Self::Volume(Io::Rpc, access)));
        all
    }

    /// The name in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Native => "native".to_owned(),
            Self::Bindfs => "bindfs".to_owned(),
            Self::PassthroughHp(transport) => format!("passthrough_hp, {}", transport.word()),
            Self::Fusebridge(io, access, way) => {
                let name = format!("fusebridge {} {}", io.word(), access.word());
                match way {
                    Way::Default => name,
                    Way::Earlier => format!("{name}, earlier"),
                    Way::Separate(transport) => format!("{name}, separate, {}", transport.word()),
                    Way::InProcess(transport) => format!("{name}, in-process, {}", transport.word()),
                }
            }
            Self::Volume(io, access) => format!("a volume, {} {}", io.word(), access.word()),
        }
    }

    /// Makes `directory` reachable, with nothing about it in the caches of the kernel but the pages and inodes of the
    /// directory itself.
    pub(crate) fn fresh(self, directory: &Path) -> Result<Reached> {
        match self {
            Self::Native => {
                host::drop_names()?;
                Ok(Reached::Native(directory.to_path_buf()))
            }
            Self::Bindfs => Mirror::mount(Command::new("bindfs").arg(directory)).map(Reached::Mirror),
            Self::PassthroughHp(transport) => passthrough_hp(directory, transport).map(Reached::Mirror),
            Self::Fusebridge(io, access, way) => {
                Mount::start(way.command(io, access)?.arg(mount::backend(directory))).map(Reached::Fusebridge)
            }
            Self::Volume(io, access) => {
                let server = VolumeServer::start(&format!("data = '{}'", directory.display()))?;
                let mount = Mount::start(mount::command(io, access)?.arg(server.backend("data")))?;
                Ok(Reached::Volume(mount, server))
            }
        }
    }
}

/// A directory within reach, until dropped.
pub(crate) enum Reached {
    Native(PathBuf),
    Mirror(Mirror),
    Fusebridge(Mount),
    Volume(Mount, VolumeServer),
}

impl Reached {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Native(path) => path,
            Self::Mirror(mirror) => mirror.point.path(),
            Self::Fusebridge(mount) | Self::Volume(mount, _) => mount.path(),
        }
    }

    /// The processes that answer, without those that they have started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        match self {
            Self::Native(_) => Vec::new(),
            Self::Mirror(mirror) => mirror.pid.into_iter().collect(),
            Self::Fusebridge(mount) => vec![mount.pid()],
            Self::Volume(mount, server) => vec![mount.pid(), server.pid()],
        }
    }

    /// Takes it away again.
    pub(crate) fn leave(self) -> Result<()> {
        match self {
            Self::Native(_) | Self::Mirror(_) => Ok(()),
            Self::Fusebridge(mount) => mount.unmount(),
            Self::Volume(mount, server) => {
                mount.unmount()?;
                server.stop()
            }
        }
    }
}

/// A mount of another program.
pub(crate) struct Mirror {
    point: TempDir,
    pid: Option<u32>,
}

const LIMIT: Duration = Duration::from_secs(10);

impl Mirror {
    /// Runs `command` with the mountpoint as its last argument. It returns when the mount answers.
    fn mount(command: &mut Command) -> Result<Self> {
        let point = TempDir::new()?;
        command::succeed(command.arg(point.path()), LIMIT)?;
        let pid = process_with(point.path())?;
        Ok(Self { point, pid })
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        _ = command::run(Command::new("umount").arg(self.point.path()), LIMIT);
    }
}

/// The process with this argument.
fn process_with(argument: &Path) -> Result<Option<u32>> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word == argument.as_os_str().as_encoded_bytes()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

fn passthrough_hp(directory: &Path, transport: Transport) -> Result<Mirror> {
    let mut command = Command::new(env::var_os(PASSTHROUGH_HP).context(PASSTHROUGH_HP)?);
    let _switch = if transport == Transport::Ring {
        command.args(["-o", "io_uring"]);
        Some(Switch::on()?)
    } else {
        None
    };
    Mirror::mount(command.arg(directory))
}
