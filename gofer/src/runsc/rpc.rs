//! Asking the caller to open what this process may not.
//!
//! The caller listens while the root file system is set up, and opens any path of the host with its own rights. So the
//! socket must be closed before the first request of a client.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::Mount;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use serde::Deserialize;
use serde_json::json;

/// Why a mount could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum RpcError {
    #[error("cannot talk to runsc: {0}")]
    Io(#[from] Errno),
    #[error("runsc is gone")]
    Gone,
    #[error("cannot understand the answer of runsc: {0}")]
    Parse(#[from] serde_json::Error),
    #[error("runsc says: {0}")]
    Refused(String),
    #[error("runsc returned {0} descriptors instead of one")]
    Descriptors(usize),
}

/// An answer longer than this is none.
const LONGEST: usize = 1 << 16;

/// What comes back.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    err: String,
}

/// Somebody with more rights.
#[derive(Debug)]
pub(super) struct Rpc(OwnedFd);

impl Rpc {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Rpc(socket)
    }

    /// A descriptor of what `mount`, whose `MS_*` flags are `flags`, is to show: the file at its source, or, if it maps
    /// users and groups, a detached mount.
    pub(super) fn open_mount(&self, mount: &Mount, flags: u32) -> Result<OwnedFd, RpcError> {
        let request = json!({"method": "goferToHostRPC.OpenMount", "arg": {"Mount": mount, "Flags": flags}});
        self.send(request.to_string().as_bytes())?;
        self.receive()
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), RpcError> {
        while !bytes.is_empty() {
            match retry_on_intr(|| send(&self.0, bytes, SendFlags::NOSIGNAL)) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(RpcError::Gone),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&self) -> Result<OwnedFd, RpcError> {
        let mut text = Vec::new();
        let mut fds = Vec::new();
        let answer = loop {
            let mut part = [0; 4096];
            let received = receive(self.0.as_fd(), &mut part, &mut fds)?;
            text.extend_from_slice(part.get(..received).unwrap_or_default());
            match serde_json::from_slice::<Answer>(&text) {
                Ok(answer) => break answer,
                Err(error) if !error.is_eof() || text.len() > LONGEST => return Err(error.into()),
                Err(_) if received == 0 => return Err(RpcError::Gone),
                Err(_) => {}
            }
        };
        if !answer.success || !answer.err.is_empty() {
            return Err(RpcError::Refused(answer.err));
        }
        let count = fds.len();
        match fds.pop() {
            Some(fd) if count == 1 => Ok(fd),
            _ => Err(RpcError::Descriptors(count)),
        }
    }
}

/// Receives some bytes, and adds descriptors that come with them to `fds`.
pub(super) fn receive(socket: impl AsFd, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags))?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IoSlice, Read, Write};
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};

    use super::*;

    fn mount() -> Mount {
        serde_json::from_value(json!({
            "destination": "/idm", "type": "bind", "source": "/src", "options": ["rbind", "ro"],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        }))
        .unwrap()
    }

    /// Answers in parts, of which the first comes with `fds` descriptors.
    fn ask(parts: &'static [&'static str], fds: usize) -> (Result<OwnedFd, RpcError>, serde_json::Value) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let caller = std::thread::spawn(move || {
            let mut request = vec![0; 4096];
            let length = theirs.read(&mut request).unwrap();
            let file = File::open("/dev/null").unwrap();
            let donated = vec![file.as_fd(); fds];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if fds > 0 {
                assert!(ancillary.push(SendAncillaryMessage::ScmRights(&donated)));
            }
            sendmsg(&theirs, &[IoSlice::new(parts[0].as_bytes())], &mut ancillary, SendFlags::empty()).unwrap();
            for part in &parts[1..] {
                theirs.write_all(part.as_bytes()).unwrap();
            }
            serde_json::from_slice(&request[..length]).unwrap()
        });
        let answer = Rpc::new(ours.into()).open_mount(&mount(), 0x5001);
        (answer, caller.join().unwrap())
    }

    #[test]
    fn a_mount_is_opened() {
        let (answer, request) = ask(&["{", "\"success\":true,\"err\":\"\",", "\"result\":{}}"], 1);
        answer.unwrap();
        assert_eq!(request["method"], "goferToHostRPC.OpenMount");
        assert_eq!(request["arg"]["Flags"], 20481);
        assert_eq!(request["arg"]["Mount"]["destination"], "/idm");
        assert_eq!(request["arg"]["Mount"]["uidMappings"][0]["hostID"], 1000);
        assert!(request["arg"]["Mount"].get("gidMappings").is_none());
    }

    #[test]
    fn bad_answers_are_errors() {
        for (parts, fds, message) in [
            (&["{\"success\":false,\"err\":\"no such file\",\"result\":null}"][..], 0, "runsc says: no such file"),
            (&["{\"success\":true,\"err\":\"\",\"result\":{}}"], 0, "returned 0 descriptors"),
            (&["{\"success\":true,\"err\":\"\",\"result\":{}}"], 2, "returned 2 descriptors"),
            (&["{\"success\":tr"], 1, "runsc is gone"),
            (&["hello"], 0, "cannot understand"),
        ] {
            let error = ask(parts, fds).0.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
