//! Requests that fail, and a store that is away.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;

use anyhow::{Context, Result};
use e2e::{check, wait};
use rustix::io::Errno;

use crate::kills::many;
use crate::scene::{Bucket, LIMIT, noise};

#[test]
fn no_failing_request_changes_a_byte() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.blob(&["mkfs", &bucket.url()])?.success()?;
    bucket.proxy.fail_one_of(6);
    let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let wanted = many("BLOB_FAILURES", 60);
    let mut round = 0;
    while bucket.proxy.failed() < wanted {
        let mount = bucket.mount("cache=1m").with_context(|| format!("round {round}"))?;
        for (name, content) in &expected {
            check::holds(name, fs::read(mount.path().join(name))? == *content)?;
        }
        for number in 0..6_u64 {
            let name = format!("f{}", (round * 5 + number) % 17);
            let length = usize::try_from((round * 7919 + number * 104_729) % 300_000)?;
            let content = noise(length, round * 100 + number);
            let mut file = File::create(mount.path().join(&name))?;
            file.write_all(&content)?;
            file.sync_all()?;
            expected.insert(name, content);
        }
        let (name, _) = expected.pop_first().context("there are files")?;
        fs::remove_file(mount.path().join(name))?;
        mount.unmount()?;
        round += 1;
    }
    bucket.proxy.fail_one_of(0);
    bucket.is_sound()?;
    let mount = bucket.mount("ro")?;
    let mut names: Vec<String> = fs::read_dir(mount.path())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    check::holds("the names", expected.keys().eq(&names))?;
    mount.unmount()
}

#[test]
fn a_store_that_comes_back_is_used_again() -> Result<()> {
    let bucket = Bucket::new()?;
    let mount = bucket.mount("create&timeout=2s&cache=0")?;
    let path = |name: &str| mount.path().join(name);
    let content = noise(300_000, 1);
    fs::write(path("before"), &content)?;
    File::open(path("before"))?.sync_all()?;
    bucket.proxy.set_down(true);
    let mut during = File::create(path("during"))?;
    during.write_all(&content)?;
    check::fails("a sync", during.sync_all(), &[Errno::IO])?;
    check::fails("a read", fs::read(path("before")), &[Errno::IO])?;
    bucket.proxy.set_down(false);
    wait::until("syncs work again", LIMIT, || during.sync_all().is_ok())?;
    check::holds("what was there", fs::read(path("before"))? == content)?;
    drop(during);
    mount.unmount()?;
    let after = bucket.mount("ro")?;
    check::holds("what came during the outage", fs::read(after.path().join("during"))? == content)?;
    after.unmount()?;
    bucket.is_sound()
}
