//! A store whose requests are counted: they are what a volume costs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::record::RequestCounts;

/// How many requests there were.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    get: AtomicU64,
    put: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Parts of the database's tables. Its housekeeping, which comes at any time, reads other objects.
    #[cfg(test)]
    tables: AtomicU64,
}

impl Requests {
    /// How many of the requests were for tables of the database, or parts of them.
    #[cfg(test)]
    pub(crate) fn tables(&self) -> u64 {
        self.tables.load(Ordering::Relaxed)
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> RequestCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            get: of(&self.get),
            put: of(&self.put),
            list: of(&self.list),
            delete: of(&self.delete),
            sent: of(&self.sent),
            received: of(&self.received),
        }
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// A store whose requests are counted.
#[derive(Debug)]
pub(super) struct Counted {
    inner: Arc<dyn ObjectStore>,
    requests: Arc<Requests>,
}

impl Counted {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, requests: Arc<Requests>) -> Self {
        Counted { inner, requests }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        count(&self.requests.put, 1);
        count(&self.requests.sent, payload.content_length() as u64);
        self.inner.put_opts(location, payload, options).await
    }

    /// Parts are not counted one by one: what is put here is small enough for one request, nearly always.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        count(&self.requests.put, 1);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        count(&self.requests.get, 1);
        #[cfg(test)]
        if location.as_ref().contains("/compacted/") {
            count(&self.requests.tables, 1);
        }
        let is_head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        if !is_head {
            count(&self.requests.received, result.range.end - result.range.start);
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let requests = self.requests.clone();
        self.inner.delete_stream(locations.inspect_ok(move |_| count(&requests.delete, 1)).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        count(&self.requests.list, 1);
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        count(&self.requests.list, 1);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        count(&self.requests.list, 1);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        count(&self.requests.put, 1);
        self.inner.copy_opts(from, to, options).await
    }
}
