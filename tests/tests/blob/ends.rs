//! Mounts that end while changes wait.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::{bins, check, host, s3, scratch, skip, wait};

use crate::scene::{Bucket, LIMIT, noise};

const FILES: u64 = 3;

fn write(mount: &Mount) -> Result<()> {
    for number in 0..FILES {
        fs::write(mount.path().join(number.to_string()), noise(3 << 20, number))?;
    }
    Ok(())
}

fn has_all(mount: &Mount) -> Result<()> {
    for number in 0..FILES {
        let content = fs::read(mount.path().join(number.to_string()))?;
        check::holds(&format!("file {number}"), content == noise(3 << 20, number))?;
    }
    Ok(())
}

#[test]
fn a_slow_store_gets_everything_before_the_process_ends() -> Result<()> {
    for server in ["in-process", "separate"] {
        let bucket = Bucket::new()?;
        let mut command = Command::new(bins::fusebridge()?);
        command.args(["mnt", "--server", server]).arg(format!("blob:{}?create&interval=1m", bucket.url()));
        let mut mount = Mount::start(s3::with_credentials(&mut command, bucket.proxy.address()))?;
        write(&mount)?;
        bucket.proxy.delay("/data/", Duration::from_secs(7));
        mount.umount_command()?;
        wait::until("the process ends", LIMIT, || mount.ended().is_ok())?;
        bucket.proxy.delay("/data/", Duration::ZERO);
        let mount = bucket.mount("ro")?;
        has_all(&mount).with_context(|| server)?;
        mount.unmount()?;
    }
    Ok(())
}

#[test]
fn what_is_mounted_again_at_once_has_everything() -> Result<()> {
    let bucket = Bucket::new()?;
    let first = bucket.mount("create&interval=1m")?;
    write(&first)?;
    // Each request takes its time, and large ones more.
    bucket.proxy.set_latency(Duration::from_millis(50));
    bucket.proxy.delay("/data/", Duration::from_secs(3));
    first.umount_command()?;
    let second = bucket.mount("")?;
    bucket.proxy.delay("/data/", Duration::ZERO);
    has_all(&second)?;
    first.ended_well()?;
    second.unmount()?;
    bucket.is_sound()
}

#[test]
fn a_directory_is_the_same_volume_however_it_is_written() -> Result<()> {
    if !host::is_root() {
        skip!("mounting needs root");
    }
    let directory = scratch::disk()?;
    let url = format!("blob:file://{}/volume", directory.path().display());
    let mount = |url: &str| Mount::start(Command::new(bins::fusebridge()?).args(["mnt", url]));
    let first = mount(&format!("{url}?create&interval=1m"))?;
    write(&first)?;
    first.umount_command()?;
    let second = mount(&format!("{url}/"))?;
    has_all(&second)?;
    first.ended_well()?;
    second.unmount()
}
