//! Caches in containers.

use std::fs;

use anyhow::Result;
use e2e::sandbox::{Bundle, Gofer, Runsc, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{check, scratch, skip};

/// Runs `script` in a container that has volume `data` at `/data`.
fn output(sandbox: &Sandbox, container: &str, script: &str) -> Result<String> {
    let source = sandbox.path().join("source");
    fs::create_dir_all(&source)?;
    let bundle = Bundle::busybox(sandbox, container)?
        .bind(&source, "/data", &["rw"])
        .annotation("dev.gofer.backend./data", "volume:data")
        .script(script);
    sandbox.output(&bundle)
}

#[test]
fn one_writes_and_reads() -> Result<()> {
    let Some(runsc) = Runsc::debian() else { skip!("there is no runsc of Debian") };
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let options = format!("dir={}&access=exclusive&size=1g", cache.path().display());
    let server = VolumeServer::start(&format!("data = 'cache:{}?{options}'", files.path().display()))?;
    let sandbox = Sandbox::new(&runsc, Gofer::Ours)?;
    fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
    let script = "mkdir /data/d; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done > /data/d/lines
        tail -n 1 /data/d/lines; echo more >> /data/d/lines; mv /data/d/lines /data/moved; tail -n 2 /data/moved
        exec 3<>/data/moved; echo LINE >&3; head -n 1 /data/moved; rm -r /data/d; ls /data";
    check::equal("output", &output(&sandbox, "c", script)?, &"line 1999\nline 1999\nmore\nLINE\nmoved\n")?;
    check::equal("below", &fs::read_to_string(files.path().join("moved"))?.lines().last(), &Some("more"))?;
    sandbox.end()?;
    server.stop()
}

#[test]
fn what_is_in_the_cache_is_read_by_descriptor() -> Result<()> {
    let Some(runsc) = Runsc::debian() else { skip!("there is no runsc of Debian") };
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let options = format!("dir={}&access=exclusive&size=1g", cache.path().display());
    let server = VolumeServer::start(&format!("data = 'cache:readonly:{}?{options}'", files.path().display()))?;
    let content: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    fs::write(files.path().join("file"), &content)?;
    let sandbox = Sandbox::new(&runsc, Gofer::Ours)?;
    fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
    for container in ["first", "second"] {
        let seen = output(&sandbox, container, "cat /data/file; cat /data/file > /dev/null; tail -n 1 /data/file")?;
        check::holds(container, seen == format!("{content}line 19999\n"))?;
    }
    sandbox.end()?;
    server.stop()
}
