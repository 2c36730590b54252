//! Data in and out of open FDs.

use crate::errno::Errno;
use crate::iobuf::IoSource;
use crate::wire::message::{PReadHead, PReadReq, PWriteReq, PWriteResp};
use crate::wire::{FdId, MessageId, Pad, Wire};

use super::Client;
use crate::client::error::CallError;

impl Client {
    /// Reads up to `count` bytes, at most [`max_read`](Self::max_read), and hands them to `with` where they have
    /// arrived. None means the end of the file.
    ///
    /// `with` runs while its communicator is taken: it should be quick, and must not make another call.
    pub fn pread<R>(
        &self,
        fd: FdId,
        offset: u64,
        count: usize,
        with: impl FnOnce(IoSource<'_>) -> R,
    ) -> Result<R, Errno> {
        let count = u32::try_from(count.min(self.max_read())).map_err(|_| Errno::INVAL)?;
        self.connection.ask(&PReadReq { offset, fd, count, pad: Pad }, |answer| {
            let source = answer.payload.source();
            let room = source.len().checked_sub(PReadHead::SIZE).ok_or(crate::wire::Malformed)?;
            let mut head = [0; PReadHead::SIZE];
            source.get(0, &mut head);
            let read = PReadHead::from_bytes(&head)?.count;
            let read = usize::try_from(read).ok().filter(|read| *read <= room && *read <= count as usize);
            let read = read.ok_or(CallError::Malformed("more was read than asked for"))?;
            Ok(with(source.part(PReadHead::SIZE, read)))
        })
    }

    /// Writes `data`, at most [`max_write`](Self::max_write) bytes of it, and says how many were written.
    pub fn pwrite(&self, fd: FdId, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        let data = &data[..data.len().min(self.max_write())];
        let written = self.ask::<PWriteResp>(&PWriteReq { offset, fd, data })?.count;
        match usize::try_from(written) {
            Ok(written) if written <= data.len() => Ok(written),
            _ => Err(CallError::Malformed("more was written than sent").into_errno(MessageId::PWRITE)),
        }
    }
}
