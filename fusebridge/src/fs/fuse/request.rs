//! Requests of the kernel, taken apart.

use zerocopy::FromBytes;

use super::abi::{
    BatchForgetIn, CopyIn, CreateIn, FAllocateIn, FSyncIn, FlushIn, ForgetIn, ForgetOne, GetXattrIn, InHeader, InitIn,
    InterruptIn, LSeekIn, LinkIn, MkDirIn, MkNodIn, OpenIn, ReadIn, ReleaseIn, Rename2In, RenameIn, SetAttrIn,
    SetXattrIn, StatxIn, WriteIn, opcode,
};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Who asks, about which file.
    pub(super) header: InHeader,
    /// What for.
    pub(super) operation: Operation<'a>,
}

/// What a request asks for. What it is about besides is in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    Lookup {
        name: &'a [u8],
    },
    Forget(ForgetIn),
    BatchForget(Forgotten<'a>),
    GetAttr,
    SetAttr(SetAttrIn),
    ReadLink,
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
    MkNod(MkNodIn, &'a [u8]),
    MkDir(MkDirIn, &'a [u8]),
    Unlink {
        name: &'a [u8],
    },
    RmDir {
        name: &'a [u8],
    },
    Rename {
        to: Rename2In,
        name: &'a [u8],
        new_name: &'a [u8],
    },
    Link(LinkIn, &'a [u8]),
    Open(OpenIn),
    Read(ReadIn),
    Write(WriteIn, &'a [u8]),
    StatFs,
    Release(ReleaseIn),
    FSync(FSyncIn),
    SetXattr {
        flags: u32,
        name: &'a [u8],
        value: &'a [u8],
    },
    GetXattr {
        size: u32,
        name: &'a [u8],
    },
    ListXattr {
        size: u32,
    },
    RemoveXattr {
        name: &'a [u8],
    },
    Flush(FlushIn),
    Init(InitIn, u32),
    OpenDir(OpenIn),
    ReadDir(ReadIn),
    ReadDirPlus(ReadIn),
    ReleaseDir(ReleaseIn),
    FSyncDir(FSyncIn),
    Create(CreateIn, &'a [u8]),
    Interrupt(InterruptIn),
    Destroy,
    NotifyReply,
    FAllocate(FAllocateIn),
    LSeek(LSeekIn),
    CopyFileRange(CopyIn),
    CopyFileRange64(CopyIn),
    Statx(StatxIn),
    /// Nothing that this knows. The kernel does without, if it is told so.
    Unknown,
}

/// The files of a BATCH_FORGET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forgotten<'a>(&'a [u8]);

impl Forgotten<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = ForgetOne> {
        self.0.chunks_exact(size_of::<ForgetOne>()).filter_map(|bytes| ForgetOne::read_from_bytes(bytes).ok())
    }
}

/// A request that is not as long as it says, or as its parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// There is nobody to answer.
    #[error("a request of {0} bytes, which is shorter than any")]
    NoHeader(usize),
    /// It can be refused.
    #[error("a request of type {} that is not as long as it should be", .0.opcode)]
    Content(InHeader),
}

impl<'a> Request<'a> {
    /// Takes the request in `bytes` apart, which is what one read of the device has brought.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, _) = InHeader::read_from_prefix(bytes).map_err(|_| Malformed::NoHeader(bytes.len()))?;
        let operation = content(&header, bytes)
            .and_then(|content| Operation::decode(header.opcode, content))
            .ok_or(Malformed::Content(header))?;
        Ok(Request { header, operation })
    }
}

/// What is between the header and extensions, none of which were asked for.
fn content<'a>(header: &InHeader, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(header.len).ok().filter(|len| *len == bytes.len())?;
    let end = len.checked_sub(usize::from(header.extensions) * 8)?;
    bytes.get(size_of::<InHeader>()..end)
}

impl<'a> Operation<'a> {
    fn decode(code: u32, bytes: &'a [u8]) -> Option<Self> {
        use Operation as O;
        let mut content = Content(bytes);
        Some(match code {
            opcode::LOOKUP => O::Lookup { name: content.name()? },
            opcode::FORGET => O::Forget(content.take()?),
            opcode::BATCH_FORGET => {
                let count = content.take::<BatchForgetIn>()?.count;
                let len = usize::try_from(count).ok()?.checked_mul(size_of::<ForgetOne>())?;
                O::BatchForget(Forgotten(content.0.get(..len)?))
            }
            opcode::GETATTR => O::GetAttr,
            opcode::SETATTR => O::SetAttr(content.take()?),
            opcode::READLINK => O::ReadLink,
            opcode::SYMLINK => O::Symlink { name: content.name()?, target: content.name()? },
            opcode::MKNOD => O::MkNod(content.take()?, content.name()?),
            opcode::MKDIR => O::MkDir(content.take()?, content.name()?),
            opcode::UNLINK => O::Unlink { name: content.name()? },
            opcode::RMDIR => O::RmDir { name: content.name()? },
            opcode::RENAME => {
                let RenameIn { new_parent } = content.take()?;
                let to = Rename2In { new_parent, flags: 0, padding: 0 };
                O::Rename { to, name: content.name()?, new_name: content.name()? }
            }
            opcode::RENAME2 => O::Rename { to: content.take()?, name: content.name()?, new_name: content.name()? },
            opcode::LINK => O::Link(content.take()?, content.name()?),
            opcode::OPEN => O::Open(content.take()?),
            opcode::READ => O::Read(content.take()?),
            opcode::WRITE => {
                let write: WriteIn = content.take()?;
                O::Write(write, content.bytes(write.size)?)
            }
            opcode::STATFS => O::StatFs,
            opcode::RELEASE => O::Release(content.take()?),
            opcode::FSYNC => O::FSync(content.take()?),
            opcode::SETXATTR => {
                let SetXattrIn { size, flags } = content.take()?;
                O::SetXattr { flags, name: content.name()?, value: content.bytes(size)? }
            }
            opcode::GETXATTR => O::GetXattr { size: content.take::<GetXattrIn>()?.size, name: content.name()? },
            opcode::LISTXATTR => O::ListXattr { size: content.take::<GetXattrIn>()?.size },
            opcode::REMOVEXATTR => O::RemoveXattr { name: content.name()? },
            opcode::FLUSH => O::Flush(content.take()?),
            // Only kernels that know more flags than 32 send them.
            opcode::INIT => O::Init(content.take()?, content.take().unwrap_or(0)),
            opcode::OPENDIR => O::OpenDir(content.take()?),
            opcode::READDIR => O::ReadDir(content.take()?),
            opcode::READDIRPLUS => O::ReadDirPlus(content.take()?),
            opcode::RELEASEDIR => O::ReleaseDir(content.take()?),
            opcode::FSYNCDIR => O::FSyncDir(content.take()?),
            opcode::CREATE => O::Create(content.take()?, content.name()?),
            opcode::INTERRUPT => O::Interrupt(content.take()?),
            opcode::DESTROY => O::Destroy,
            opcode::NOTIFY_REPLY => O::NotifyReply,
            opcode::FALLOCATE => O::FAllocate(content.take()?),
            opcode::LSEEK => O::LSeek(content.take()?),
            opcode::COPY_FILE_RANGE => O::CopyFileRange(content.take()?),
            opcode::COPY_FILE_RANGE_64 => O::CopyFileRange64(content.take()?),
            opcode::STATX => O::Statx(content.take()?),
            _ => O::Unknown,
        })
    }
}

/// What has not been taken apart yet.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn take<T: FromBytes>(&mut self) -> Option<T> {
        let (value, rest) = T::read_from_prefix(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    fn bytes(&mut self, len: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The bytes before the next NUL.
    fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest.get(1..)?;
        Some(name)
    }
}

/// Takes any bytes apart as a request, and says whether they are one. For tests with bytes that no kernel sends.
#[doc(hidden)]
#[must_use]
pub fn is_request(bytes: &[u8]) -> bool {
    let request = Request::decode(bytes);
    if let Ok(Request { operation: Operation::BatchForget(forgotten), .. }) = request {
        return forgotten.iter().count() <= bytes.len();
    }
    request.is_ok()
}

#[cfg(test)]
mod tests;
