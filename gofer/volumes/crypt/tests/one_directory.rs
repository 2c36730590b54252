//! One directory that is asked for twice in one process.

mod common;

use std::fs;
use std::path::Path;

use gofer::extension::{Claim, Registry};
use gofer::hostfs::HostOptions;
use gofer_crypt::CryptExtension;

use common::DEFAULT;

/// What is at `backend`, in a process that has `registry`; an error as it is told.
fn open(registry: &Registry, backend: &str) -> Result<Claim, String> {
    registry.backends(&HostOptions::default()).open(backend.as_ref()).map_err(|error| error.to_string())
}

fn is_one(one: &Claim, other: &Claim) -> bool {
    std::ptr::addr_eq(std::sync::Arc::as_ptr(&one.backend), std::sync::Arc::as_ptr(&other.backend))
}

#[test]
fn whoever_knows_the_password_gets_the_same_files() {
    let (directory, keys) = (common::volume(DEFAULT), tempfile::tempdir().unwrap());
    let path = |dir: &Path, name: &str| dir.join(name).display().to_string();
    let (volume, config) = (path(directory.path(), ""), path(directory.path(), "gocryptfs.conf"));
    let (right, wrong) = (path(keys.path(), "right"), path(keys.path(), "wrong"));
    fs::write(&right, common::SECRET).unwrap();
    fs::write(&wrong, "wrong").unwrap();
    let registry = Registry::new(vec![Box::new(CryptExtension::default())]).unwrap();
    let first = open(&registry, &format!("crypt:{volume}?passfile={right}")).unwrap();

    let refused = open(&registry, &format!("crypt:{volume}?passfile={wrong}")).unwrap_err();
    assert!(refused.contains("wrong password"), "{refused}");
    // Another spelling of the configuration, too: locks are shared.
    for same in [format!("crypt:{volume}?passfile={right}"), format!("crypt:{volume}?config={config}&passfile={right}")]
    {
        assert!(is_one(&first, &open(&registry, &same).unwrap()), "{same}");
    }

    // Another volume's key would encrypt what nobody else can read.
    let other = path(keys.path(), "other.conf");
    fs::write(&other, common::config(DEFAULT)).unwrap();
    let refused = open(&registry, &format!("crypt:{volume}?config={other}&passfile={right}")).unwrap_err();
    assert!(refused.contains("is open with another key"), "{refused}");
    drop(first);
    assert!(open(&registry, &format!("crypt:{volume}?passfile={wrong}")).is_err());
}
