//! What cannot work: one line that says why, and nothing is written.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use e2e::mount::Mount;
use e2e::scratch::{self, Tmpfs};
use e2e::{bins, check, host, s3, skip};

use crate::scene::Bucket;

/// One line on stderr, which has `wanted` in it and no secret.
fn refused(bucket: &Bucket, words: &[&str], wanted: &str) -> Result<()> {
    let outcome = bucket.blob(words)?;
    let text = outcome.describe();
    check::holds(&text, !outcome.status.success())?;
    check::equal(&text, &outcome.stderr.lines().count(), &1)?;
    check::holds(&format!("{wanted} in {text}"), outcome.stderr.contains(wanted) && !text.contains("very-secret"))
}

#[test]
fn wrong_places_are_refused() -> Result<()> {
    let bucket = Bucket::new()?;
    let missing = format!("s3://{}-missing/volume", bucket.name);
    for words in [&["mkfs", &missing][..], &["fsck", &missing], &["du", &missing]] {
        refused(&bucket, words, "cannot use s3://")?;
    }
    refused(&bucket, &["fsck", &bucket.url()], "has no volume")?;
    s3::put(&format!("/{}/volume/photo.jpg", bucket.name), "x")?;
    refused(&bucket, &["mkfs", &bucket.url()], "is not empty and holds no volume (there is photo.jpg)")?;
    refused(&bucket, &["gc", &bucket.url()], "is not empty and holds no volume (there is photo.jpg)")?;
    s3::put(&format!("/{}/newer/blob.json", bucket.name), r#"{"format": 99}"#)?;
    let newer = format!("s3://{}/newer", bucket.name);
    for words in [&["mkfs", &newer][..], &["snapshot", &newer, "x"], &["stats", &newer]] {
        refused(&bucket, words, "has format 99; this program knows 3: use a newer one")?;
    }
    check::equal("objects", &s3::objects(&bucket.name)?, &["newer/blob.json", "volume/photo.jpg"])
}

#[test]
fn stores_without_conditional_writes_are_refused() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.proxy.strip_conditions();
    refused(&bucket, &["mkfs", &bucket.url()], "ignores conditional writes")?;
    check::equal("objects", &s3::objects(&bucket.name)?, &Vec::<String>::new())
}

#[test]
fn a_store_without_its_newest_objects_is_refused() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.blob(&["mkfs", &bucket.url()])?.success()?;
    let write = |name: &str| -> Result<Vec<String>> {
        let mount = bucket.mount("")?;
        fs::write(mount.path().join(name), name)?;
        mount.unmount()?;
        s3::objects(&bucket.name)
    };
    let before = write("before")?;
    let after = write("after")?;
    for object in after.iter().filter(|object| !before.contains(object)) {
        s3::delete(&format!("/{}/{object}", bucket.name))?;
    }
    let left = s3::objects(&bucket.name)?;
    let lost = "is damaged: its newest objects are missing: it ends with commit ";
    for words in [&["gc", &bucket.url()][..], &["snapshot", &bucket.url(), "x"]] {
        refused(&bucket, words, lost)?;
    }
    for options in ["", "ro"] {
        let error = format!("{:#}", bucket.mount(options).err().map_or_else(String::new, |error| error.to_string()));
        check::holds(&error, error.contains(lost))?;
    }
    check::equal("objects", &s3::objects(&bucket.name)?, &left)?;
    let report = bucket.blob(&["fsck", &bucket.url()])?;
    check::holds(
        &report.describe(),
        !report.status.success() && report.stdout.contains("its newest objects are missing"),
    )?;
    bucket.blob(&["fsck", "--accept-loss", &bucket.url()])?.success()?;
    bucket.is_sound()?;
    let mount = bucket.mount("")?;
    check::equal("names", &fs::read_dir(mount.path())?.count(), &1)?;
    mount.unmount()
}

#[test]
fn credentials_that_are_not_accepted_are_told() -> Result<()> {
    let bucket = Bucket::of(s3::locked()?)?;
    for word in ["mkfs", "fsck", "stats"] {
        refused(&bucket, &[word, &bucket.url()], ": the store does not accept the credentials (InvalidAccessKeyId)")?;
    }
    Ok(())
}

#[test]
fn what_a_store_refuses_is_told() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.blob(&["mkfs", &bucket.url()])?.success()?;
    let before = s3::objects(&bucket.name)?;
    for (method, status, code, more, wanted) in [
        (
            "",
            "400 Bad Request",
            "AuthorizationHeaderMalformed",
            "<Region>eu-west-1</Region>",
            "is in another region (eu-west-1); set AWS_REGION",
        ),
        ("", "301 Moved Permanently", "PermanentRedirect", "", "is in another region; set AWS_REGION"),
        (
            "",
            "403 Forbidden",
            "RequestTimeTooSkewed",
            "",
            "the clock of this machine differs too much from the store's; set it",
        ),
        ("", "403 Forbidden", "AccessDenied", "", "the credentials do not allow to GET http://"),
        ("PUT", "403 Forbidden", "AccessDenied", "", "the credentials do not allow to PUT http://"),
    ] {
        bucket.proxy.refuse(method, status, code, more);
        refused(&bucket, &["gc", "--take-over", &bucket.url()], wanted)?;
        let error = bucket.mount("").err().map_or_else(String::new, |error| error.to_string());
        check::holds(&format!("{wanted} in {error}"), error.contains(wanted))?;
    }
    check::equal("objects", &s3::objects(&bucket.name)?, &before)
}

/// A mount of the volume with a cache in `cache`.
fn cached(bucket: &Bucket, cache: &Path) -> Result<Mount> {
    let mut command = Command::new(bins::fusebridge()?);
    let backend = format!("cache:blob:{}?dir={}&access=exclusive&free=0", bucket.url(), cache.display());
    Mount::start(s3::with_credentials(command.arg("mnt").arg(backend), bucket.proxy.address()))
}

#[test]
fn a_cache_directory_that_cannot_be_used_is_told() -> Result<()> {
    if !host::is_root() {
        skip!("mounting needs root");
    }
    let bucket = Bucket::new()?;
    bucket.blob(&["mkfs", &bucket.url()])?.success()?;
    let before = s3::objects(&bucket.name)?;
    let (foreign, used) = (scratch::disk()?, scratch::disk()?);
    fs::write(foreign.path().join("letter"), "dear")?;
    let (full, unwritable) = (Tmpfs::new("size=4k")?, Tmpfs::new("ro")?);
    fs::write(full.path().join("lost+found"), [0; 4096])?;
    let letter = foreign.path().join("letter");
    for (cache, wanted) in [
        (foreign.path(), "is not empty and not a cache; use another directory, or empty it"),
        (&letter, "not a directory"),
        (full.path(), "No space left on device"),
        (unwritable.path(), "Read-only file system"),
    ] {
        let error = cached(&bucket, cache).err().map_or_else(String::new, |error| error.to_string());
        let is_told = error.contains(wanted) && error.contains(&cache.display().to_string());
        check::holds(&format!("{wanted} in {error}"), is_told)?;
    }
    check::equal("objects", &s3::objects(&bucket.name)?, &before)?;
    // A cache may be that of several volumes, of one process at a time.
    let other = Bucket::new()?;
    other.blob(&["mkfs", &other.url()])?.success()?;
    for (bucket, content) in [(&bucket, "one"), (&other, "other")] {
        let mount = cached(bucket, used.path())?;
        fs::write(mount.path().join("file"), content)?;
        let error = cached(&other, used.path()).err().map_or_else(String::new, |error| error.to_string());
        let wanted = format!("is in use by process {}; give each process a cache directory of its own", mount.pid());
        check::holds(&format!("{wanted} in {error}"), error.contains(&wanted))?;
        mount.unmount()?;
    }
    for (bucket, content) in [(&bucket, "one"), (&other, "other"), (&bucket, "one")] {
        let mount = cached(bucket, used.path())?;
        check::equal("content", &fs::read_to_string(mount.path().join("file"))?.as_str(), &content)?;
        mount.unmount()?;
    }
    Ok(())
}
