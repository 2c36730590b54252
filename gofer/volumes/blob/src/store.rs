//! The object store of a volume: a client with time limits, and the prefix below which everything is.

mod counted;
mod recall;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};
use slatedb::admin::Admin;
use uuid::Uuid;

use self::counted::Counted;
pub(crate) use self::counted::Requests;
pub(crate) use self::recall::Memory;
use self::recall::Recalling;
use crate::{Error, Location};

/// The database's place below the volume's prefix.
const META: &str = "meta";

/// Where in a volume other objects are.
const PARTS: [&str; 3] = ["data", META, "probe"];

/// What a volume's own place has.
const SUPERBLOCK: &str = "blob.json";

/// A store in which a volume has everything to itself.
#[derive(Clone, Debug)]
pub struct Store {
    /// All of the bucket, or the directory that the volume's directory is in: clones refer to what is beside them.
    pub(crate) root: Arc<dyn ObjectStore>,
    /// Where in it the volume is.
    pub(crate) prefix: Path,
    /// The store below the volume's prefix.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Which bucket or directory `root` is.
    root_url: String,
    /// What was asked of the store so far.
    pub(crate) requests: Arc<Requests>,
    /// The volume's URL, for people. Has no secrets.
    pub(crate) url: String,
    /// Whether objects can be replaced on condition that they have not changed.
    pub(crate) updates: bool,
}

impl Store {
    /// The store of a location. Credentials come from the environment and from where the store's own tools have them.
    pub fn new(location: &Location) -> Result<Self, Error> {
        let url = location.url.as_str();
        let failed = |source| Error::Store { url: url.to_owned(), source };
        let timeout = location.options.timeout;
        let retry = RetryConfig { max_retries: 10, retry_timeout: timeout, ..RetryConfig::default() };
        let mut updates = true;
        // The client of all of them takes what the process has; who was there before us is right, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let objects: Arc<dyn ObjectStore> = match location.url.scheme() {
            "s3" => {
                let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
                let limited = limits(timeout)
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(AmazonS3ConfigKey::Client(key), value));
                Arc::new(limited.build().map_err(failed)?)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry);
                let limited = limits(timeout)
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(GoogleConfigKey::Client(key), value));
                Arc::new(limited.build().map_err(failed)?)
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry);
                let limited = limits(timeout)
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(AzureConfigKey::Client(key), value));
                Arc::new(limited.build().map_err(failed)?)
            }
            "memory" => Arc::new(InMemory::new()),
            _ => {
                // Updates on condition are what the crate does not do for files.
                updates = false;
                let (objects, root, prefix) = directory(location)?;
                return Ok(Self::at(Arc::new(objects), root, prefix, url, updates));
            }
        };
        let prefix = match location.url.scheme() {
            "memory" => Path::default(),
            _ => Path::from_url_path(location.url.path()).map_err(|error| failed(error.into()))?,
        };
        let mut root = location.url.clone();
        root.set_path("");
        Ok(Self::at(objects, root.to_string(), prefix, url, updates))
    }

    /// A volume at `prefix` of a store that is there already; `url` is for people.
    pub fn existing(objects: Arc<dyn ObjectStore>, prefix: &str, url: &str) -> Self {
        Self::at(objects, String::new(), Path::from(prefix), url, true)
    }

    fn at(root: Arc<dyn ObjectStore>, root_url: String, prefix: Path, url: &str, updates: bool) -> Self {
        let requests = Arc::new(Requests::default());
        let root: Arc<dyn ObjectStore> = Arc::new(Counted::new(root, requests.clone()));
        let objects = if prefix.is_root() {
            root.clone()
        } else {
            Arc::new(PrefixStore::new(root.clone(), prefix.clone())) as Arc<dyn ObjectStore>
        };
        Store { root, prefix, objects, root_url, requests, url: url.to_owned(), updates }
    }

    /// What is the same for all spellings of the volume's URL.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.root_url.trim_end_matches('/'), self.prefix)
    }

    /// Where the database of metadata is.
    pub(crate) fn meta(&self) -> Path {
        self.prefix.clone().join(META)
    }

    /// The same store, which remembers the database's log and small tables until the memory forgets them.
    pub(crate) fn recalling(&self) -> (Store, Memory) {
        let (root, memory) = Recalling::new(self.root.clone(), &self.meta());
        (Store { root: Arc::new(root), ..self.clone() }, memory)
    }

    /// What the database offers beside reading and writing.
    pub(crate) fn admin(&self) -> Admin {
        Admin::builder(self.meta(), self.root.clone()).build()
    }

    /// The place of another volume of the same root.
    pub(crate) fn at_prefix(&self, prefix: &str) -> Store {
        let url = format!("{}{prefix}", self.root_url);
        Self::at(self.root.clone(), self.root_url.clone(), Path::from(prefix), &url, self.updates)
    }

    /// Whether a directory that may not exist yet would be beside that of this volume. Of other stores it is known
    /// later.
    pub(crate) fn has_beside(&self, url: &url::Url) -> bool {
        let parent = || url.to_file_path().ok()?.parent()?.canonicalize().ok();
        url.scheme() != "file" || parent().is_some_and(|parent| parent.display().to_string() == self.root_url)
    }

    /// Whether a volume in `other` can refer to objects of one in this.
    pub(crate) fn is_beside(&self, other: &Store) -> bool {
        self.root_url == other.root_url
    }

    /// The time by the store's clock, in seconds since 1970.
    pub(crate) async fn time(&self) -> Result<i64, Error> {
        let path = Path::from(format!("probe/{}", Uuid::new_v4()));
        let failed = |source| Error::Store { url: self.url.clone(), source };
        self.objects.put(&path, "time".into()).await.map_err(failed)?;
        let head = self.objects.head(&path).await;
        // Nothing depends on it.
        let _ = self.objects.delete(&path).await;
        Ok(head.map_err(failed)?.last_modified.timestamp())
    }

    /// Why it does not take what it is sent, as it says itself: the database tries again and again, and says nothing.
    pub(crate) async fn why_not(&self) -> Option<String> {
        /// Whoever closes the volume waits for this.
        const LIMIT: Duration = Duration::from_secs(2);
        match tokio::time::timeout(LIMIT, self.time()).await {
            Ok(Err(Error::Store { source, .. })) => Some(crate::error::reason(&source)),
            _ => None,
        }
    }

    /// Finds out whether the store keeps two writers from overwriting each other's objects.
    pub(crate) async fn check_conditional_writes(&self) -> Result<(), Error> {
        let path = Path::from(format!("probe/{}", Uuid::new_v4()));
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let failed = |source| Error::Store { url: self.url.clone(), source };
        self.objects.put_opts(&path, "first".into(), create()).await.map_err(failed)?;
        let second = self.objects.put_opts(&path, "second".into(), create()).await;
        // Nothing depends on it.
        let _ = self.objects.delete(&path).await;
        match second {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Ok(_) => Err(Error::Unconditional(self.url.clone())),
            Err(source) => Err(failed(source)),
        }
    }

    /// Another volume among whose objects this one would be, as far as we may look.
    pub(crate) async fn outer(&self) -> Option<String> {
        let parts: Vec<_> = self.prefix.parts().collect();
        for (at, _) in parts.iter().enumerate().filter(|(_, part)| PARTS.contains(&part.as_ref())) {
            let outer: Path = parts[..at].iter().cloned().collect();
            if self.root.head(&outer.clone().join(SUPERBLOCK)).await.is_ok() {
                return Some(format!("{}/{outer}", self.root_url));
            }
        }
        // The directories above that of the store.
        let root = std::path::Path::new(&self.root_url);
        let inner = root.join(self.prefix.as_ref());
        let is_part = |path: &std::path::Path| PARTS.iter().any(|part| path.ends_with(part));
        let outer = inner.ancestors().filter(|path| path.is_absolute() && is_part(path)).filter_map(|it| it.parent());
        outer
            .map(|outer| (outer, outer.join(SUPERBLOCK)))
            .find(|(_, it)| it.is_file())
            .map(|(it, _)| it.display().to_string())
    }

    /// Some object of the store, if it has any.
    pub(crate) async fn any_object(&self) -> Result<Option<Path>, Error> {
        let found = self.objects.list(None).try_next().await;
        let found = found.map_err(|source| Error::Store { url: self.url.clone(), source })?;
        Ok(found.map(|object| object.location))
    }
}

/// How long a request may take. One by one: options as a whole would replace those of the environment, such as whether
/// plain HTTP is allowed.
fn limits(timeout: Duration) -> [(ClientConfigKey, String); 2] {
    let text = |time: Duration| format!("{}ms", time.as_millis());
    let connect = timeout.min(Duration::from_secs(5));
    [(ClientConfigKey::ConnectTimeout, text(connect)), (ClientConfigKey::Timeout, text(timeout))]
}

/// The directory of a `file:` volume, as a store, that store's URL, and where in it the volume is.
fn directory(location: &Location) -> Result<(LocalFileSystem, String, Path), Error> {
    let path = location.url.to_file_path().map_err(|()| Error::Directory {
        path: location.url.path().to_owned(),
        source: std::io::Error::from(std::io::ErrorKind::InvalidInput),
    })?;
    let failed = |source| Error::Directory { path: path.display().to_string(), source };
    if location.options.create {
        // Servers have no umask, and the store makes its objects for everybody.
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    }
    let path = path.canonicalize().map_err(failed)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // What the store would call by another name is a store by itself.
    let prefix = Path::parse(name).ok().filter(|prefix| prefix.as_ref() == name && Path::from(name) == *prefix);
    let root = prefix.as_ref().and(path.parent()).unwrap_or(&path);
    LocalFileSystem::new_with_prefix(root)
        // Directories stay when they become empty: that of the volume would come back with another owner and mode.
        .map(|store| (store.with_fsync(true), root.display().to_string(), prefix.unwrap_or_default()))
        .map_err(|source| Error::Store { url: location.url.to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_for_its_owner_and_stays_the_same() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/volume");
        let location = Location::parse(&format!("file://{}?create", path.display())).unwrap();
        let store = Store::new(&location).unwrap();
        let before = path.metadata().unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o700);
        crate::Opened::create_in(&store, &location).unwrap();
        let after = path.metadata().unwrap();
        assert_eq!((after.mode(), after.ino()), (before.mode(), before.ino()));
    }

    #[test]
    fn files_are_on_the_disk_when_they_are_there() {
        let parent = tempfile::tempdir().unwrap();
        let location = Location::parse(&format!("file://{}", parent.path().display())).unwrap();
        let store = directory(&location).unwrap().0;
        assert!(format!("{store:?}").contains("fsync: true"), "{store:?}");
    }

    #[test]
    fn stores_behind_tls_can_be_asked() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut builder = AmazonS3Builder::new().with_bucket_name("bucket").with_region("r").with_skip_signature(true);
        let _ = Store::new(&Location::parse("memory:").unwrap()).unwrap();
        builder = builder.with_endpoint(format!("https://127.0.0.1:{port}"));
        builder = builder.with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        let store = Store::existing(Arc::new(builder.build().unwrap()), "", "s3://bucket/");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Nobody listens, which is found out after the certificates of this machine were read.
        assert!(matches!(runtime.block_on(store.any_object()), Err(Error::Store { .. })));
    }
}
