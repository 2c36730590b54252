//! The suite for backends, on volumes of all kinds and in two places.

mod common;

use std::sync::Arc;

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer_crypt::CryptFs;
use gofer_crypt::format::Features;

use common::{DEFAULT, DETERMINISTIC, PLAIN, XCHACHA};

/// A volume in memory, with its configuration elsewhere.
fn in_memory(features: Features) -> CryptFs {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::write(&config, common::config(features)).unwrap();
    let inner = Claim::new(Arc::new(MemFs::new(MemOptions::default().special(true)).unwrap()));
    CryptFs::open(inner, config.to_str().unwrap(), &common::password()).unwrap()
}

fn on_host(features: Features) -> lisafs::testing::Subject {
    // As servers have it: clients send modes ready made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let directory = common::volume(features);
    lisafs::testing::Subject::new(common::open(directory.path())).with(directory)
}

lisafs::testing::suite!(memory, Capabilities::all(), || in_memory(DEFAULT));
lisafs::testing::suite!(memory_xchacha, Capabilities::all(), || in_memory(XCHACHA));
lisafs::testing::suite!(memory_deterministic, Capabilities::all(), || in_memory(DETERMINISTIC));
lisafs::testing::suite!(memory_plain, Capabilities::all(), || in_memory(PLAIN));
lisafs::testing::suite!(host, Capabilities::all(), || on_host(DEFAULT));
