//! Encrypted volumes in containers: served outside, so that no process of the container has the key, or by the
//! container's own gofer.

use std::fs;
use std::path::Path;

use anyhow::Result;
use e2e::crypt::{self, Config, Volume};
use e2e::modes::Access;
use e2e::sandbox::{Bundle, Gofer, Runsc, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, skip};

/// What a container does to the volume that it has at `/data`.
const SCRIPT: &str = "echo written inside > /data/file; mkdir /data/directory; mv /data/file /data/directory/moved
    i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done > /data/lines; echo end >> /data/lines
    ln -s directory/moved /data/link; cat /data/link; tail -n 2 /data/lines; ls /data; cat /data/outside";

const OUTPUT: &str = "written inside\nline 4999\nend\ndirectory\nlines\nlink\noutside\nwritten outside\n";

/// Makes a file from outside, lets `run` run the container, looks at what it has done.
fn in_and_out(volume: &Volume, run: impl FnOnce() -> Result<String>) -> Result<()> {
    let mount = volume.mount(Access::Exclusive)?;
    fs::write(mount.path().join("outside"), "written outside\n")?;
    mount.unmount()?;
    check::equal("output", &run()?, &OUTPUT)?;
    let mount = volume.mount(Access::Exclusive)?;
    check::equal("a file", &fs::read_to_string(mount.path().join("directory/moved"))?, &"written inside\n")?;
    check::equal("lines", &fs::read_to_string(mount.path().join("lines"))?.lines().count(), &5001)?;
    mount.unmount()?;
    let names = fs::read_dir(volume.path())?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    check::holds("names are encrypted", !names.iter().any(|name| ["directory", "lines"].contains(&name.as_str())))?;
    if crypt::has_gocryptfs() { volume.check() } else { Ok(()) }
}

fn container(sandbox: &Sandbox, source: &Path, backend: &str) -> Result<Bundle> {
    Ok(Bundle::busybox(sandbox, "c")?
        .bind(source, "/data", &["rw"])
        .annotation("dev.gofer.backend./data", backend)
        .script(SCRIPT))
}

#[test]
fn of_a_volume_server() -> Result<()> {
    let Some(runsc) = Runsc::debian() else { skip!("there is no runsc of Debian") };
    let volume = Volume::new(Config::Default)?;
    in_and_out(&volume, || {
        let flag = crypt::flag(&volume.password_file());
        let server = VolumeServer::with_flags(&[flag], &format!("data = 'crypt:{}'", volume.path().display()))?;
        let sandbox = Sandbox::new(&runsc, Gofer::Ours)?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let output = sandbox.output(&container(&sandbox, &sandbox.directory("source")?, "volume:data")?)?;
        sandbox.end()?;
        server.stop()?;
        Ok(output)
    })
}

/// The program of the gofer has no ciphers in it; the example is one that has.
#[test]
fn of_its_own_gofer() -> Result<()> {
    let Some(runsc) = Runsc::debian() else { skip!("there is no runsc of Debian") };
    let gofer = bins::example("crypt_gofer")?;
    let volume = Volume::new(Config::XChaCha)?;
    in_and_out(&volume, || {
        let sandbox = Sandbox::new(&runsc, Gofer::Ours)?.with_program(&gofer);
        let flag = format!("--crypt-passfile={}", volume.password_file().display());
        fs::write(sandbox.configuration(), serde_json::json!({ "flags": [flag] }).to_string())?;
        let output = sandbox.output(&container(&sandbox, volume.path(), "crypt:host:/data")?)?;
        sandbox.end()?;
        Ok(output)
    })
}
