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
    /// CRC-32 of all that without this. Those of before this program have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<u32>,
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
        Superblock { format: FORMAT, id, block: BLOCK, secret, created, ancestors: Vec::new(), crc: None }.sealed()
    }

    /// That of a clone of the volume at `prefix`, of which this is the superblock.
    pub(crate) fn for_clone(&self, prefix: &Path) -> Self {
        let parent = Ancestor { id: self.id, prefix: prefix.to_string() };
        let ancestors = self.ancestors.iter().cloned().chain([parent]).collect();
        Superblock { block: self.block, secret: self.secret, ancestors, ..Self::new() }.sealed()
    }

    fn sealed(self) -> Self {
        Superblock { crc: Some(self.checksum()), ..self }
    }

    fn checksum(&self) -> u32 {
        let plain = Superblock { crc: None, ..self.clone() };
        crc32fast::hash(&serde_json::to_vec(&plain).expect("plain numbers and texts are JSON"))
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
        if superblock.crc.is_some_and(|crc| crc != superblock.checksum()) {
            return Err(damaged(format!("{NAME} is not what was written")));
        }
        if !superblock.block.is_power_of_two() || !(4096..=1 << 20).contains(&superblock.block) {
            return Err(damaged(format!("blocks of {} bytes", superblock.block)));
        }
        Ok(Some(superblock))
    }

    /// Where a volume should be that it descends from and that is not there.
    pub(crate) async fn missing_parent(&self, store: &Store) -> Result<Option<String>, Error> {
        for ancestor in &self.ancestors {
            let there = store.at_prefix(&ancestor.prefix);
            if Self::read(&there).await?.is_none_or(|superblock| superblock.id != ancestor.id) {
                return Ok(Some(ancestor.prefix.clone()));
            }
        }
        Ok(None)
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
        if let Some(outer) = store.outer().await {
            return Err(Error::Inside { url: store.url.clone(), outer });
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

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// What is read of a store that has `json` in place of a superblock.
    fn read(json: &str) -> Result<Option<Superblock>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::existing(std::sync::Arc::new(InMemory::new()), "", "memory:test");
        runtime.block_on(async {
            store.objects.put(&Path::from(NAME), json.to_owned().into()).await.unwrap();
            Superblock::read(&store).await
        })
    }

    #[test]
    fn what_was_not_written_is_not_believed() {
        let written = Superblock::new().for_clone(&"a/b".into());
        let json = serde_json::to_string_pretty(&written).unwrap();
        assert_eq!(read(&json).unwrap(), Some(written.clone()));
        let secret = written.secret.to_string();
        let other = if secret.starts_with('0') { "1" } else { "0" };
        for (what, instead) in [
            (secret.as_str(), format!("{other}{}", &secret[1..])),
            ("65536", "32768".to_owned()),
            ("a/b", "a/c".to_owned()),
        ] {
            let damaged = json.replace(what, &instead);
            assert_ne!(damaged, json);
            assert!(matches!(read(&damaged), Err(Error::Damaged { .. })), "{damaged}");
        }
        // Older ones.
        let (plain, crc) = (Superblock { crc: None, ..written.clone() }, written.crc.unwrap());
        assert_eq!(read(&serde_json::to_string(&plain).unwrap()).unwrap(), Some(plain));
        assert_ne!(crc, 0);
    }
}
