//! What containers have of volumes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::sandbox::{self, Bundle, DirectFs, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, process, scratch, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// A container of `sandbox` with volume `name` at `/data`.
pub(crate) fn with_volume(sandbox: &Sandbox, container: &str, name: &str) -> Result<Bundle> {
    let source = sandbox.path().join("source");
    fs::create_dir_all(&source)?;
    Ok(Bundle::busybox(sandbox, container)?
        .bind(&source, "/data", &["rw"])
        .annotation("dev.gofer.backend./data", &format!("volume:{name}")))
}

/// Plays a story on every runsc that needs no descriptor of the root.
pub(crate) fn without_directfs(story: impl Fn(&Sandbox) -> Result<()>) -> Result<()> {
    sandbox::with_ours(|sandbox| if sandbox.runsc().directfs() == DirectFs::On { Ok(()) } else { story(sandbox) })
}

#[test]
fn a_container_and_the_host_have_the_same_live_volume() -> Result<()> {
    without_directfs(|sandbox| {
        let files = scratch::disk()?;
        let server = VolumeServer::start(&format!("'home-*' = '{}/{{star}}'", files.path().display()))?;
        fs::create_dir(files.path().join("alice"))?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["home-*"]))?;
        let mut command = std::process::Command::new(bins::fusebridge()?);
        let mount = Mount::start(command.args(["mnt", "--access", "shared"]).arg(server.backend("home-alice")))?;

        let bundle = with_volume(sandbox, "c", "home-alice")?
            .annotation("dev.gofer.volume.home-alice.note", "hello")
            .script("echo from inside > /data/a; until [ -e /data/b ]; do usleep 10000; done; cat /data/b > /data/c; exec sleep 1000");
        sandbox.start(&bundle)?;
        let read = |name: &str| fs::read_to_string(mount.path().join(name)).ok().filter(|text| text.ends_with('\n'));
        check::equal(
            "what the container has written",
            &wait::until_some("a file", LIMIT, || read("a"))?,
            &"from inside\n",
        )?;
        fs::write(mount.path().join("b"), "from outside\n")?;
        check::equal("what it has read", &wait::until_some("an answer", LIMIT, || read("c"))?, &"from outside\n")?;
        check::equal("on the host", &fs::read_to_string(files.path().join("alice/c"))?, &"from outside\n")?;
        check::equal("the mount's source", &fs::read_dir(sandbox.path().join("source"))?.count(), &0)?;

        let connected = server.connected()?;
        let of_container = connected.iter().find(|one| one["path"] == "/data").context("it is not connected")?;
        check::equal("the volume", &of_container["volume"], &"home-alice")?;
        if sandbox.runsc().is_current() {
            check::equal("the container", &of_container["container"], &bundle.id())?;
        }
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        mount.unmount()?;
        server.is_left()?;
        server.stop()
    })
}

#[test]
fn a_read_only_volume_cannot_be_changed() -> Result<()> {
    without_directfs(|sandbox| {
        let files = scratch::disk()?;
        fs::write(files.path().join("f"), "content\n")?;
        let path = files.path().display();
        let server =
            VolumeServer::start(&format!("fixed = {{ backend = '{path}', read-only = true }}\nopen = '{path}'"))?;
        let fixed = r#""time_limit": 5, "socket": "SOCKET""#.replace("SOCKET", &server.socket().display().to_string());
        fs::write(
            sandbox.configuration(),
            format!(r#"{{"volumes": {{"fixed": {{{fixed}}}, "open": {{{fixed}, "read_only": true}}}}}}"#),
        )?;
        for name in ["fixed", "open"] {
            let bundle =
                with_volume(sandbox, name, name)?.script("cat /data/f; ! echo x > /data/f; ! touch /data/g; ls /data");
            let outcome = sandbox.run(&bundle)?;
            check::equal("output", &outcome.stdout, &"content\nf\n")?;
            check::equal("refusals", &outcome.stderr.matches("Read-only file system").count(), &2)?;
        }
        server.stop()
    })
}

#[test]
fn a_server_that_dies_takes_nobody_with_it() -> Result<()> {
    without_directfs(|sandbox| {
        let files = scratch::disk()?;
        let path = files.path().display();
        let mut server = VolumeServer::start(&format!("data = '{path}'"))?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let bundle = with_volume(sandbox, "c", "data")?.script(
            "echo kept > /data/f; fsync /data/f || sync; echo up > /ready
             while cat /data/f > /dev/null 2> /error; do :; done; cat /error > /told; exec sleep 1000",
        );
        sandbox.start(&bundle)?;
        let in_root =
            |name: &str| fs::read_to_string(bundle.root().join(name)).ok().filter(|text| text.ends_with('\n'));
        wait::until("the container runs", LIMIT, || in_root("ready").is_some())?;
        // If the gofer had kept a copy of the connection, the sandbox would not notice, and wait for ever.
        server.signal(rustix::process::Signal::KILL);
        server.ended()?;
        let told = wait::until_some("an error", LIMIT, || in_root("told"))?;
        check::holds(&format!("it is an I/O error: {told}"), told.contains("Input/output error"))?;
        check::equal("what was synced", &fs::read_to_string(files.path().join("f"))?, &"kept\n")?;
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        Ok(())
    })
}

#[test]
fn a_hung_server_does_not_keep_a_container() -> Result<()> {
    without_directfs(|sandbox| {
        let files = scratch::disk()?;
        let server = VolumeServer::start(&format!("data = '{}'", files.path().display()))?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let bundle = with_volume(sandbox, "c", "data")?.script("echo up > /ready; while :; do ls /data; done");
        sandbox.start(&bundle)?;
        wait::until("the container runs", LIMIT, || bundle.root().join("ready").exists())?;
        process::stop(server.pid())?;
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        server.signal(rustix::process::Signal::CONT);
        server.is_left()?;
        server.stop()
    })
}
