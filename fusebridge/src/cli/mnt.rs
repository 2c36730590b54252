//! `fusebridge mnt`

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sd_notify::NotifyState;

use super::extensions::Extensions;
use super::options::MountArgs;
use super::signals::{Event, events};
use super::up::Up;
use super::{Failure, daemon};
use crate::launch::BackendSpec;
use crate::mountpoint::Mountpoint;
use crate::unmount::Unmounted;

const EXAMPLES: &str = "Examples:
  fusebridge mnt . /mnt
      mount the current directory; Ctrl-C unmounts
  fusebridge mnt --daemon --access exclusive /srv /mnt
      nobody else changes /srv: cache for long
  fusebridge mnt unix:/run/data.sock
      mount what a running server serves

mount(8) and fstab can do the same, with these options behind -o, once it finds
this program:
  ln -s $(command -v fusebridge) /sbin/mount.fuse.fusebridge
  mount -t fuse.fusebridge -o ro,access=exclusive /srv /mnt";

/// Mounts a backend and stays until it is unmounted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub(super) struct Mnt {
    /// Return once the mount is ready, and keep it in the background, with its log in syslog or --log-file
    #[arg(long)]
    daemon: bool,

    /// Do not print where it is mounted
    #[arg(long, hide = true)]
    quiet: bool,

    /// Said by `--daemon` to the process that stays
    #[arg(long, hide = true, conflicts_with = "daemon")]
    background: bool,

    /// A directory, NAME:ARGUMENT, unix:SOCKET, or exec:COMMAND
    #[arg(default_value = super::DEFAULT_BACKEND)]
    backend: OsString,

    /// An empty directory [default: a temporary one, whose path is printed]
    mountpoint: Option<PathBuf>,

    // Last: its headings are for all that follows.
    #[command(flatten)]
    mount: MountArgs,
}

impl Mnt {
    /// What is mounted.
    pub(super) fn backend(&self) -> &OsStr {
        &self.backend
    }

    /// Mounts, having been called with `arguments`.
    pub(super) fn run(&self, extensions: &Extensions, arguments: &[OsString]) -> Result<ExitCode, Failure> {
        if self.daemon {
            return daemon::start(extensions, arguments, self.quiet);
        }
        let mut mount = self.mount.clone();
        // Nobody reads stderr then.
        mount.log.syslog |= self.background && mount.log.log_file.is_none();
        gofer::log::init(&mount.log)?;
        let spec = BackendSpec::parse(&self.backend, &extensions.names)?;
        let (sender, receiver) = events()?;
        let mountpoint = match &self.mountpoint {
            Some(path) => Mountpoint::at(path)?,
            None => Mountpoint::temporary()?,
        };
        if mountpoint.was_dead() {
            let path = mountpoint.path().display();
            super::notice(format_args!("{path} had a stale mount, whose process had died; it was unmounted"));
        }
        if self.background {
            daemon::detach()?;
        }
        let up = Up::bring(&mount, &spec, extensions, mountpoint, self.background, (&sender, &receiver))?;
        let mut stdout = std::io::stdout();
        // A reader that wants to know where the mount is must not wait for a buffer to fill.
        let told = writeln!(stdout, "{}", up.path().display()).and_then(|()| stdout.flush());
        told.map_err(|error| super::no_stdout(&error))?;
        notify(&[NotifyState::Ready, NotifyState::Status(&format!("mounted on {}", up.path().display()))]);
        if self.background {
            daemon::leave()?;
            daemon::silence()?;
        }
        loop {
            match receiver.recv()? {
                Event::Signal(_) | Event::Unmounted | Event::CommandEnded => break,
                Event::Report => up.report(),
                Event::Connected => {}
                // It was unmounted while calls were under way, which are given up then.
                Event::ServerGone if !up.is_alive() => {}
                Event::ServerGone => super::notice(format_args!(
                    "the server is gone; everything on {0} fails; unmount it: fusebridge umount {0}",
                    up.path().display()
                )),
            }
        }
        notify(&[NotifyState::Stopping]);
        let path = up.path().to_path_buf();
        if up.take_down()? == Unmounted::Detached {
            super::notice(format_args!("{} was in use; its users get errors from now on", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Tells the service manager, if one has started us.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
