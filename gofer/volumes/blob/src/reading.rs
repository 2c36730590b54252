//! Reading a part of a segment, of which what comes first can be used before the rest is here.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload};
use slatedb::bytes::{Buf, Bytes};

use crate::{Store, segment};

/// A part of a segment that is being read.
pub(crate) struct Reading {
    body: BoxStream<'static, Result<Bytes, object_store::Error>>,
    /// What has come of it, and was not taken yet.
    here: Bytes,
}

impl Reading {
    /// Asks for a part of a segment. `prefix` is the place of the volume that made it.
    pub(crate) async fn start(
        store: &Store,
        prefix: &Path,
        number: u64,
        range: Range<u32>,
    ) -> Result<Self, object_store::Error> {
        let range = GetRange::Bounded(range.start.into()..range.end.into());
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let answer = store.root.get_opts(&segment::path_in(prefix, number), options).await?;
        let body = match answer.payload {
            GetResultPayload::Stream(body) => body,
            // As the crate's stream, a file is read by very small parts.
            GetResultPayload::File(file, path) => parts_of(file, path, answer.range),
        };
        Ok(Reading { body, here: Bytes::new() })
    }

    /// The next `count` bytes, as soon as they have come.
    pub(crate) async fn take(&mut self, count: usize) -> Result<Vec<u8>, object_store::Error> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            self.more().await?;
            let part = self.here.split_to(self.here.len().min(count - bytes.len()));
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// Leaves out the next `count` bytes.
    pub(crate) async fn skip(&mut self, mut count: usize) -> Result<(), object_store::Error> {
        while count > 0 {
            self.more().await?;
            let part = self.here.len().min(count);
            self.here.advance(part);
            count -= part;
        }
        Ok(())
    }

    /// Waits until something is here.
    async fn more(&mut self) -> Result<(), object_store::Error> {
        while self.here.is_empty() {
            let end = || object_store::Error::Generic { store: "segment", source: "it is too short".into() };
            self.here = self.body.next().await.ok_or_else(end)??;
        }
        Ok(())
    }
}

/// A part of a file, piece by piece.
fn parts_of(file: File, path: PathBuf, range: Range<u64>) -> BoxStream<'static, Result<Bytes, object_store::Error>> {
    /// Of so many bytes.
    const PIECE: usize = 1 << 20;
    let (file, path) = (Arc::new(file), Arc::new(path));
    let pieces = range.clone().step_by(PIECE).map(move |start| (start, (start + PIECE as u64).min(range.end)));
    let read = move |(start, end): (u64, u64)| {
        let (file, path) = (file.clone(), path.clone());
        let read = move || {
            let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
            file.read_exact_at(&mut bytes, start).map(|()| Bytes::from(bytes))
        };
        async move {
            let bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
            bytes.map_err(|source| object_store::Error::Generic {
                store: "file",
                source: format!("{}: {source}", path.display()).into(),
            })
        }
    };
    stream::iter(pieces).then(read).boxed()
}
