//! Volumes on the host.

use std::fs;
use std::process::Command;

use anyhow::Result;
use e2e::mount::Mount;
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, command, scratch};

#[test]
fn two_mounts_of_a_volume_have_the_same_files() -> Result<()> {
    let server = VolumeServer::start("scratch = 'mem:size=1m'\nother = 'mem:'")?;
    let scratch = scratch::disk()?;
    let file = scratch.path().join("runtime.json");
    fs::write(&file, configuration(&server.socket(), &["scratch"]))?;
    let mount = |backend: &str| {
        let mut command = Command::new(bins::fusebridge()?);
        Mount::start(command.env("GOFER_CONFIG", &file).args(["mnt", "--access", "shared", backend]))
    };
    let (one, two, other) =
        (mount("volume:scratch")?, mount(&server.backend("scratch"))?, mount(&server.backend("other"))?);
    fs::write(one.path().join("f"), "once")?;
    check::equal("the other mount", &fs::read_to_string(two.path().join("f"))?, &"once")?;
    check::equal("another volume", &fs::read_dir(other.path())?.count(), &0)?;
    check::equal("connections", &server.connected()?.len(), &3)?;
    for mount in [one, two, other] {
        mount.unmount()?;
    }
    server.is_left()?;
    // It is the volume's, not the connections'.
    let again = mount("volume:scratch")?;
    check::equal("afterwards", &fs::read_to_string(again.path().join("f"))?, &"once")?;
    again.unmount()?;
    server.stop()
}

#[test]
fn nothing_can_be_put_around_a_volume() -> Result<()> {
    let server = VolumeServer::start("data = 'mem:'")?;
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["run", &format!("readonly:{}", server.backend("data")), "--", "true"]);
    let outcome = command::run(&mut command, e2e::sandbox::LIMIT)?;
    check::holds(&outcome.stderr, outcome.stderr.contains("is served by another process"))?;
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["run", "--read-only", &server.backend("data"), "--", "touch", "x"]);
    let outcome = command::run(&mut command, e2e::sandbox::LIMIT)?;
    check::holds(&outcome.stderr, outcome.stderr.contains("Read-only file system"))?;
    server.stop()
}
