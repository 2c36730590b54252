//! Mounting by others: the kernel's old call, and the set-user-id helper that ordinary users have.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use nix::mount::MsFlags;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{getgid, getuid};

use crate::fs::fuse::options::{MountOptions, SUBTYPE};

/// The descriptor of the helper's on which it passes the device.
const DEVICE: i32 = 3;

/// Mounts on `path` as root does. `None`: these rights are not enough.
fn mount_directly(path: &Path, options: &MountOptions) -> io::Result<Option<OwnedFd>> {
    let device = open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions{}",
        device.as_raw_fd(),
        getuid().as_raw(),
        getgid().as_raw(),
        if options.allow_other { ",allow_other" } else { "" }
    );
    let flags = [
        (MsFlags::MS_RDONLY, options.read_only),
        (MsFlags::MS_NOSUID, !options.suid),
        (MsFlags::MS_NODEV, !options.dev),
        (MsFlags::MS_NOEXEC, options.noexec),
    ];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
    let kind = format!("fuse.{SUBTYPE}");
    match nix::mount::mount(Some(options.source.as_str()), path, Some(kind.as_str()), flags, Some(data.as_str())) {
        Ok(()) => Ok(Some(device)),
        Err(nix::Error::EPERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Mounts on `path` in whichever way is left, and returns the device.
pub(in super::super) fn mount_with_helper(path: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    if getuid().is_root()
        && let Some(device) = mount_directly(path, options)?
    {
        return Ok(device);
    }
    let (ours, theirs) = UnixStream::pair()?;
    let mut helper = Command::new("fusermount3");
    helper.arg("-o").arg(list(options)).arg("--").arg(path).env("_FUSE_COMMFD", DEVICE.to_string());
    helper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mapping = FdMapping { parent_fd: theirs.into(), child_fd: DEVICE };
    helper.fd_mappings(vec![mapping]).map_err(io::Error::other)?;
    let child = helper.spawn()?;
    // It has their end.
    drop(helper);
    let device = receive(&ours);
    let output = child.wait_with_output()?;
    match device {
        Ok(device) if output.status.success() => Ok(device),
        Err(error) if output.stderr.is_empty() => Err(error),
        _ => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// The options as the helper wants them.
fn list(options: &MountOptions) -> String {
    // Commas and the like would be taken for further options.
    let is_plain = options.source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._:-+@ ".contains(&byte));
    let source = if is_plain { &options.source } else { "fusebridge" };
    let mut list = format!("fsname={source},subtype={SUBTYPE},default_permissions");
    for (name, is_set) in [
        (",ro", options.read_only),
        (",nosuid", !options.suid),
        (",nodev", !options.dev),
        (",suid", options.suid),
        (",dev", options.dev),
        (",noexec", options.noexec),
        (",allow_other", options.allow_other),
    ] {
        if is_set {
            list.push_str(name);
        }
    }
    list
}

/// The device, which the helper sends besides a byte.
fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC))?;
    let devices = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    devices.last().ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "fusermount3 has mounted nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_list() {
        let options = MountOptions {
            source: "host:/srv/a,b".into(),
            read_only: true,
            allow_other: false,
            suid: false,
            dev: true,
            noexec: false,
            threads: 1,
            donates: false,
            in_process: None,
            stack_depth: 0,
            transport: Default::default(),
        };
        assert_eq!(list(&options), "fsname=fusebridge,subtype=fusebridge,default_permissions,ro,nosuid,dev");
    }
}
