//! Telling the sandbox where its mounts are.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;

use oci_spec::runtime::Mount;
use rustix::fs::fstatfs;
use rustix::pipe::fcntl_getpipe_size;

use super::rootfs::Served;
use super::spec::has_option;

/// Magic numbers of file systems, and what the sandbox must know about them.
const PECULIAR: [(i64, &str); 3] = [
    // After the first write a file's content is elsewhere.
    (0x794c_7630, "overlayfs_stale_read"),
    // Files are found anew by their handles, and that is not what they were.
    (0x6969, "disable_file_handle_sharing"),
    (0x6573_5546, "disable_file_handle_sharing"),
];

/// The spec's mounts as the sandbox is to see them: those that are served where they really are, with what it must know
/// about the file systems behind them; all others as they were.
pub(super) fn resolved(mounts: &[Mount], served: &[Option<Served>]) -> Vec<Mount> {
    mounts
        .iter()
        .zip(served)
        .map(|(mount, served)| served.as_ref().map_or(mount.clone(), |served| resolve(mount, served)))
        .collect()
}

fn resolve(mount: &Mount, served: &Served) -> Mount {
    let mut resolved = mount.clone();
    resolved.set_destination(served.path.clone());
    let magic = fstatfs(&served.fd).map_or(0, |stat| stat.f_type);
    if let Some((_, option)) = PECULIAR.iter().find(|(peculiar, _)| *peculiar == magic)
        && !has_option(mount, option)
    {
        let mut options = mount.options().clone().unwrap_or_default();
        options.push((*option).to_owned());
        resolved.set_options(Some(options));
    }
    resolved
}

/// Sends `mounts` through `pipe`, whose reader reads to the end. It may not be reading yet, so what is too much for the
/// pipe is sent by a thread.
pub(super) fn send(mut pipe: File, mounts: &[Mount]) -> io::Result<()> {
    let text = serde_json::to_vec(mounts)?;
    let fits = fcntl_getpipe_size(pipe.as_fd()).is_ok_and(|size| text.len() <= size);
    if fits {
        return pipe.write_all(&text);
    }
    let (started, has_started) = mpsc::channel::<()>();
    let send = move || {
        drop(started);
        if let Err(error) = pipe.write_all(&text) {
            tracing::warn!("cannot send the list of mounts: {error}");
        }
    };
    std::thread::Builder::new().name("mounts".to_owned()).spawn(send)?;
    // A thread makes system calls of its own at first, which are not allowed any more soon.
    let _ = has_started.recv();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use serde_json::json;

    use super::*;

    fn mounts() -> Vec<Mount> {
        serde_json::from_value(json!([
            {"destination": "/proc", "type": "proc", "source": "/b/proc"},
            {"destination": "/link/data", "type": "bind", "source": "/data", "options": ["rbind"]},
        ]))
        .unwrap()
    }

    fn sent(mounts: &[Mount]) -> Vec<u8> {
        let (mut reader, writer) = io::pipe().unwrap();
        send(File::from(OwnedFd::from(writer)), mounts).unwrap();
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn destinations_are_resolved() {
        let fd = File::open("/proc").unwrap().into();
        let served = vec![None, Some(Served { fd, path: "/real/data".into() })];
        let text = sent(&resolved(&mounts(), &served));
        let expected = r#"[{"destination":"/proc","type":"proc","source":"/b/proc"},{"destination":"/real/data","type":"bind","source":"/data","options":["rbind"]}]"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(sent(&[]), b"[]");
    }

    #[test]
    fn long_lists_do_not_wait_for_the_reader() {
        let many: Vec<Mount> = (0..5000).flat_map(|_| mounts()).collect();
        let back: Vec<Mount> = serde_json::from_slice(&sent(&many)).unwrap();
        assert_eq!(back, many);
    }
}
