//! The suite for backends, on caches of both kinds before two backends.

mod common;

use lisafs::testing::Subject;

fn before(backend: &str, options: &str) -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let claim = common::cached(backend, directory.path(), options);
    Subject::shared(claim.backend).with(directory)
}

fn before_host(options: &str) -> Subject {
    let files = tempfile::tempdir().unwrap();
    before(files.path().to_str().unwrap(), options).with(files)
}

lisafs::testing::suite!(memory_exclusive, Capabilities::all(), || before("mem:", "&access=exclusive"));
lisafs::testing::suite!(memory_shared, Capabilities::all(), || before("mem:", ""));
lisafs::testing::suite!(host_exclusive, Capabilities::all(), || before_host("&access=exclusive"));
lisafs::testing::suite!(host_shared, Capabilities::all(), || before_host("&ttl=0"));
lisafs::testing::suite!(memory_back, Capabilities::all(), || before("mem:", "&access=exclusive&write=back"));
lisafs::testing::suite!(host_back, Capabilities::all(), || before_host("&access=exclusive&write=back"));
// There is room for next to nothing.
lisafs::testing::suite!(memory_full, Capabilities::all(), || before("mem:", "&access=exclusive&size=128k"));
