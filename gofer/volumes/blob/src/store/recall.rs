//! A store that remembers the log and the small tables of the database while a volume is opened.
//!
//! The log is read twice then, to see whether all of it is there and to have it, and the database asks for each of its
//! objects four times: how long it is, its end, where its parts are, and those. After a crash there can be many. The
//! same is done with tables. Neither ever changes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Extensions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use slatedb::bytes::Bytes;

/// Bytes of the largest object of the log that is remembered. Larger ones are few.
const LARGEST: u64 = 1 << 20;

/// Bytes of the largest table. Of larger ones little is read.
const LARGEST_TABLE: u64 = 64 << 10;

/// Bytes that are remembered at most.
const MOST: usize = 16 << 20;

/// Objects that are remembered, until they are [forgotten](Self::forget).
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Option<Objects>>>);

/// An object. By its attributes a writer finds out whether it is his, if the answer to his request got lost.
type Object = (ObjectMeta, Attributes, Bytes);

#[derive(Debug, Default)]
struct Objects {
    /// Nothing of those that are too large.
    all: HashMap<Path, Option<Object>>,
    bytes: usize,
}

impl Memory {
    fn new() -> Self {
        Memory(Arc::new(Mutex::new(Some(Objects::default()))))
    }

    /// Asks the store for everything from now on.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }

    fn is_open(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|objects| objects.bytes < MOST)
    }

    fn get(&self, location: &Path) -> Option<Option<Object>> {
        self.0.lock().as_ref()?.all.get(location).cloned()
    }

    fn put(&self, location: &Path, object: Option<Object>) {
        if let Some(objects) = &mut *self.0.lock() {
            objects.bytes += object.as_ref().map_or(0, |(_, _, bytes)| bytes.len());
            objects.all.insert(location.clone(), object);
        }
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct Recalling {
    inner: Arc<dyn ObjectStore>,
    /// Where the log is, and where tables are.
    log: Path,
    tables: Path,
    memory: Memory,
}

impl Recalling {
    /// `meta` is where the database is.
    pub(super) fn new(inner: Arc<dyn ObjectStore>, meta: &Path) -> (Self, Memory) {
        let memory = Memory::new();
        let [log, tables] = ["wal", "compacted"].map(|part| meta.clone().join(part));
        (Recalling { inner, log, tables, memory: memory.clone() }, memory)
    }

    /// An object that is known or can be.
    async fn object(&self, location: &Path) -> Result<Option<Object>> {
        let is_log = location.prefix_matches(&self.log);
        if !is_log && !location.prefix_matches(&self.tables) {
            return Ok(None);
        }
        if let Some(known) = self.memory.get(location) {
            return Ok(known);
        }
        if !self.memory.is_open() {
            return Ok(None);
        }
        // Objects of the log may be empty and have no part at all. Of a large table no more is to be sent than that.
        let range = (!is_log).then_some(GetRange::Bounded(0..LARGEST_TABLE));
        let found = self.inner.get_opts(location, GetOptions { range, ..GetOptions::default() }).await?;
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let is_small = meta.size <= if is_log { LARGEST } else { LARGEST_TABLE };
        let object = if is_small { Some((meta, attributes, found.bytes().await?)) } else { None };
        self.memory.put(location, object.clone());
        Ok(object)
    }
}

/// The part of an object that `wanted` is; nothing if it is none.
fn part(wanted: Option<&GetRange>, length: u64) -> Option<std::ops::Range<u64>> {
    let range = match wanted {
        None => 0..length,
        Some(GetRange::Bounded(range)) => range.start..range.end.min(length),
        Some(GetRange::Offset(start)) => *start..length,
        Some(GetRange::Suffix(count)) => length.saturating_sub(*count)..length,
    };
    (range.start < range.end || wanted.is_none()).then_some(range)
}

impl fmt::Display for Recalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Recalling {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, version, .. } = &options;
        let is_plain = if_match.is_none() && if_none_match.is_none() && version.is_none();
        let is_plain = is_plain && if_modified_since.is_none() && if_unmodified_since.is_none();
        if is_plain
            && let Some((meta, attributes, bytes)) = self.object(location).await?
            && let Some(range) = part(options.range.as_ref(), meta.size)
            && let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end))
        {
            let bytes = if options.head { Bytes::new() } else { bytes.slice(start..end) };
            let payload = GetResultPayload::Stream(async move { Ok(bytes) }.into_stream().boxed());
            return Ok(GetResult { payload, meta, range, attributes, extensions: Extensions::default() });
        }
        self.inner.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::{Attribute, ObjectStoreExt};

    use super::*;

    #[tokio::test]
    async fn an_object_is_remembered_as_it_is() {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, memory) = Recalling::new(inner.clone(), &Path::from("meta"));
        let path = Path::from("meta/wal/1.sst");
        let attributes = Attributes::from_iter([(Attribute::ContentType, "mine")]);
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        assert!(store.get(&path).await.is_err(), "not yet");
        store.put_opts(&path, "0123456789".into(), options).await.unwrap();
        for _ in 0..2 {
            let found = store.get(&path).await.unwrap();
            assert_eq!((found.meta.size, &found.attributes), (10, &attributes));
            assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
            let end = GetOptions { range: Some(GetRange::Suffix(3)), ..GetOptions::default() };
            assert_eq!(store.get_opts(&path, end).await.unwrap().bytes().await.unwrap(), "789");
            assert_eq!(store.head(&path).await.unwrap().size, 10);
            // What is remembered is not asked for.
            inner.delete(&path).await.unwrap();
            inner.put(&path, "x".into()).await.unwrap();
        }
        memory.forget();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "x");
    }
}
