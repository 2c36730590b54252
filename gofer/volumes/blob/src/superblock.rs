//! `blob.json`: what a volume is, once and for all.

use std::time::{SystemTime, UNIX_EPOCH};

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Store};

/// The format that this program reads and writes.
const FORMAT: u32 = 3;

/// The object's name.
const NAME: &str = "blob.json";

/// Bytes of a block of file data.
pub(crate) const BLOCK: u32 = 64 << 10;

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Superblock {
    /// The format of everything else.
    pub(crate) format: u32,
    /// Tells volumes apart.
    pub(crate) id: Uuid,
    /// Bytes of a block of file data.
    pub(crate) block: u32,
    /// What names are hashed with.
    secret: Uuid,
    /// When it was made, in seconds since 1970.
    created: u64,
    /// The volumes that it descends from, the eldest first: it may refer to their segments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ancestors: Vec<Ancestor>,
}

/// A volume that another one is a clone of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ancestor {
    /// Which volume.
    pub(crate) id: Uuid,
    /// Where it is in the bucket, or beside the directory.
    pub(crate) prefix: String,
}

impl Superblock {
    fn new() -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let (id, secret) = (Uuid::new_v4(), Uuid::new_v4());
        Superblock { format: FORMAT, id, block: BLOCK, secret, created, ancestors: Vec::new() }
    }

    /// That of a clone of the volume at `prefix`, of which this is the superblock.
    pub(crate) fn for_clone(&self, prefix: &Path) -> Self {
        let parent = Ancestor { id: self.id, prefix: prefix.to_string() };
        let ancestors = self.ancestors.iter().cloned().chain([parent]).collect();
        Superblock { block: self.block, secret: self.secret, ancestors, ..Self::new() }
    }

    /// The volume's own index among all that its segments can be of.
    pub(crate) fn index(&self) -> u16 {
        u16::try_from(self.ancestors.len()).unwrap_or(u16::MAX)
    }

    /// Where the volumes are that its segments can be of, which is at `own` itself.
    pub(crate) fn prefixes(&self, own: &Path) -> Vec<Path> {
        let ancestors = self.ancestors.iter().map(|ancestor| Path::from(ancestor.prefix.as_str()));
        ancestors.chain([own.clone()]).collect()
    }

    /// What names are hashed with.
    pub(crate) fn secret(&self) -> u128 {
        self.secret.as_u128()
    }

    /// Reads a volume's superblock; nothing if there is no volume.
    pub(crate) async fn read(store: &Store) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Store { url: store.url.clone(), source };
        let object = match store.objects.get(&Path::from(NAME)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let bytes = object.bytes().await.map_err(failed)?;
        let damaged = |what: String| Error::Damaged { url: store.url.clone(), what };
        // The format first: the rest may look different in another one.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("{NAME} cannot be read: {error}")))?;
        if format != FORMAT {
            return Err(Error::Format { url: store.url.clone(), format, known: FORMAT });
        }
        let superblock: Superblock =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("{NAME} cannot be read: {error}")))?;
        if !superblock.block.is_power_of_two() || !(4096..=1 << 20).contains(&superblock.block) {
            return Err(damaged(format!("blocks of {} bytes", superblock.block)));
        }
        Ok(Some(superblock))
    }

    /// Makes a volume in an empty place.
    pub(crate) async fn create(store: &Store) -> Result<Self, Error> {
        Self::new().claim(store).await
    }

    /// Makes a volume with this superblock in an empty place.
    pub(crate) async fn claim(self, store: &Store) -> Result<Self, Error> {
        if Self::read(store).await?.is_some() {
            return Err(Error::Exists(store.url.clone()));
        }
        if let Some(found) = store.any_object().await? {
            return Err(Error::Foreign { url: store.url.clone(), found: found.to_string() });
        }
        store.check_conditional_writes().await?;
        let json = serde_json::to_vec_pretty(&self).expect("plain numbers and texts are JSON");
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.objects.put_opts(&Path::from(NAME), json.into(), options).await {
            Ok(_) => Ok(self),
            Err(object_store::Error::AlreadyExists { .. }) => Err(Error::Exists(store.url.clone())),
            Err(source) => Err(Error::Store { url: store.url.clone(), source }),
        }
    }
}
