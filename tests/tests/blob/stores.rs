//! Work on a mount whose files are in a bucket.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use e2e::{check, command, scratch};
use rustix::io::Errno;

use crate::scene::{Bucket, LIMIT, noise};

#[test]
fn trees_come_back() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.proxy.set_latency(Duration::from_millis(5));
    bucket.blob(&["mkfs", &bucket.url()])?.success()?;
    let original = scratch::disk()?;
    let script = "mkdir -p a/b c && for i in $(seq 150); do echo $i > a/b/$i; done && ln -s ../a c/l && ln a/b/1 c/h \
                  && mkfifo c/p && chmod 640 a/b/2 && setfattr -n user.x -v y a && truncate -s 3M a/sparse";
    command::shell(original.path(), script, LIMIT)?;
    fs::write(original.path().join("big"), noise(20 << 20, 1))?;
    let mount = bucket.mount("compression=lz4")?;
    let copy = |to: &str| format!("cp -a {}/. {to}", original.path().display());
    command::shell(mount.path(), &copy("."), LIMIT)?;
    bucket.blob(&["snapshot", &bucket.url(), "first"])?.success()?;
    command::shell(mount.path(), "rm -r a/b && mv c d && echo more >> big && sync -f .", LIMIT)?;
    mount.unmount()?;

    let then = bucket.mount("checkpoint=first")?;
    let compare =
        format!("diff -r --no-dereference --exclude p {} {}", original.path().display(), then.path().display());
    command::shell(original.path(), &compare, LIMIT)?;
    then.unmount()?;
    let now = bucket.mount("ro")?;
    check::equal("names", &command::shell(now.path(), "ls . d", LIMIT)?, &".:\na\nbig\nd\n\nd:\nh\nl\np\n")?;
    check::equal("links", &command::shell(now.path(), "stat -c %h d/h", LIMIT)?, &"1\n")?;
    check::fails("a change", File::create(now.path().join("new")), &[Errno::ROFS])?;
    now.unmount()?;
    bucket.is_sound()?;
    bucket.blob(&["gc", &bucket.url()])?.success()?;
    bucket.is_sound()
}

#[test]
fn the_second_writer_takes_over() -> Result<()> {
    let bucket = Bucket::new()?;
    let first = bucket.mount("create&timeout=5s&interval=1m")?;
    fs::write(first.path().join("before"), "1")?;
    File::open(first.path().join("before"))?.sync_all()?;
    let mut lost = File::create(first.path().join("lost"))?;
    let second = bucket.mount("timeout=5s")?;
    // A refusal may come with either.
    let refused = lost.write_all(&noise(100_000, 2)).and_then(|()| lost.sync_all());
    check::fails("a change of the first", refused, &[Errno::IO])?;
    check::fails("a look of the first", fs::metadata(first.path().join("after")), &[Errno::IO])?;
    let why = "another process writes to this volume now";
    check::holds(&first.warnings(), first.warnings().contains(why))?;
    fs::write(second.path().join("after"), "2")?;
    check::equal("names", &command::shell(second.path(), "ls", LIMIT)?, &"after\nbefore\n")?;
    drop(lost);
    drop(first);
    second.unmount()?;
    bucket.is_sound()
}
