//! Our client understands the protocol's own server: the gofer inside Debian's runsc, which is written in Go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{check, command, scratch, skip};

const RUNSC: &str = "/usr/bin/runsc";
const LIMIT: Duration = Duration::from_secs(300);

/// A script that becomes runsc's gofer, serving `directory` on descriptor 3. The other two descriptors that it needs
/// are the container's configuration and a place for its list of mounts.
fn script(aside: &Path, directory: &Path) -> Result<PathBuf> {
    let configuration = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": { "args": ["/bin/true"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
        "root": { "path": directory, "readonly": false },
    });
    fs::write(aside.join("config.json"), configuration.to_string())?;
    let path = aside.join("gofer");
    let aside = aside.display();
    fs::write(
        &path,
        format!(
            "#!/bin/sh\n\
             exec {RUNSC} --TESTONLY-unsafe-nonroot=true gofer --bundle {aside} --apply-caps=false --setup-root=false \
             --spec-fd=4 --mounts-fd=5 --io-fds=3 4<{aside}/config.json 5>{aside}/mounts.json\n"
        ),
    )?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

#[test]
fn the_stock_gofer_is_a_backend() -> Result<()> {
    if !Path::new(RUNSC).exists() {
        skip!("the Debian package runsc is not installed");
    }
    for (io, access) in [(Io::Auto, Access::Exclusive), (Io::Direct, Access::Shared), (Io::Rpc, Access::Shared)] {
        let (served, aside) = (scratch::disk()?, scratch::memory()?);
        let script = script(aside.path(), served.path())?;
        let mut command = mount::command(io, access)?;
        let mount = Mount::start(command.arg(format!("exec:{}", script.display())))?;
        let below = served.path();
        // That server can do neither FIFOs nor extended attributes.
        command::shell(
            mount.path(),
            r#"
            mkdir -p a/b/c
            seq 100000 > a/numbers; test "$(wc -l < a/numbers)" = 100000
            cp a/numbers a/b/copy; cmp a/numbers a/b/copy
            echo more >> a/b/copy; test "$(tail -1 a/b/copy)" = more
            ln -s numbers a/link; test "$(readlink a/link)" = numbers; cmp a/link a/numbers
            ln a/numbers a/hard; test "$(stat -c %h a/hard)" = 2
            chmod 4755 a/hard; test "$(stat -c %a a/numbers)" = 4755
            touch -d '2001-02-03 04:05:06 UTC' a/hard; test "$(stat -c %Y a/numbers)" = 981173106
            truncate -s 5 a/b/copy; test "$(cat a/b/copy | tr '\n' ' ')" = '1 2 3'
            mv a/b/copy a/b/c/moved; test ! -e a/b/copy
            seq -f many-%.0f 3000 | xargs touch; test "$(ls | wc -l)" = 3001
            rm many-*
            fallocate -l 4096 a/space; test "$(stat -c %s a/space)" = 4096
            stat -f . > /dev/null
            fails mkfifo pipe
            fails setfattr -n user.a -v b a
            git init -q repository; cd repository
            for i in $(seq 50); do echo $i > $i; done
            git add .; git -c user.name=t -c user.email=t@localhost commit -qm all; git fsck
            "#,
            LIMIT,
        )?;
        let wanted = "1 2 3";
        let moved = fs::read_to_string(below.join("a/b/c/moved"))?;
        check::equal("below", &moved.split_whitespace().collect::<Vec<_>>().join(" ").as_str(), &wanted)?;
        mount.unmount()?;
    }
    Ok(())
}
