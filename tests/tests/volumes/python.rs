//! The example in Python, which was written from the documentation alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use e2e::volumes::configuration;
use e2e::{bins, check, command, scratch, skip, wait};

use crate::containers::{with_volume, without_directfs};

const LIMIT: Duration = Duration::from_secs(60);

/// The example, serving a directory as volume `data`.
struct Example {
    child: Child,
    socket: PathBuf,
}

impl Example {
    fn start(scratch: &Path, directory: &Path) -> Result<Self> {
        let socket = scratch.join("s");
        let mut python = Command::new("python3");
        python.arg(bins::workspace().join("gofer/examples/volume_server.py")).arg(&socket);
        python.arg(format!("data={}", directory.display())).stdin(Stdio::null()).stdout(Stdio::null());
        let example = Self { child: python.spawn()?, socket };
        wait::until("the example listens", LIMIT, || UnixStream::connect(&example.socket).is_ok())?;
        Ok(example)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is a Python that can run it.
fn has_python() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; sys.exit(sys.version_info < (3, 9) or sys.byteorder != 'little')"]);
    cfg!(target_arch = "x86_64") && command::succeed(&mut python, LIMIT).is_ok()
}

/// A directory with some of everything.
fn fill(directory: &Path) -> Result<()> {
    fs::create_dir(directory.join("d"))?;
    for name in 0..3000 {
        fs::write(directory.join(format!("d/a-name-{name}")), name.to_string())?;
    }
    fs::write(directory.join("f"), "content\n")?;
    fs::write(directory.join("large"), vec![b'x'; 3 << 20])?;
    symlink("d/a-name-7", directory.join("link"))?;
    Ok(())
}

#[test]
fn a_mount() -> Result<()> {
    if !has_python() {
        skip!("no Python of at least 3.9 on x86-64 for the example of a volume server");
    }
    let (scratch, files) = (scratch::disk()?, scratch::disk()?);
    fill(files.path())?;
    let example = Example::start(scratch.path(), files.path())?;
    let backend = format!("volume:{}#data", example.socket.display());
    let fusebridge = |arguments: &[&str]| {
        let mut command = Command::new(bins::fusebridge()?);
        command::succeed(command.args(arguments), LIMIT)
    };
    // The same as the directory itself, and with all that a read-only file system must do.
    let script = "cd \"$1\"; find . | sort; cat f link; wc -c < large; cksum large d/a-name-2999; stat -c '%n %i %s %a %F' * | sort";
    let here = |directory: &str| command::succeed(Command::new("sh").args(["-euc", script, "sh", directory]), LIMIT);
    let wanted = here(&files.path().display().to_string())?;
    for io in ["auto", "rpc"] {
        let found = fusebridge(&["run", "--io", io, &backend, "--", "sh", "-euc", script, "sh", "."])?;
        check::equal(io, &found, &wanted)?;
        fusebridge(&["conform", "--suite", "mount", "--filter", "read_only", "--io", io, &backend])?;
    }
    Ok(())
}

#[test]
fn a_container() -> Result<()> {
    if !has_python() {
        skip!("no Python of at least 3.9 on x86-64 for the example of a volume server");
    }
    without_directfs(|sandbox| {
        let (scratch, files) = (scratch::disk()?, scratch::disk()?);
        fill(files.path())?;
        let example = Example::start(scratch.path(), files.path())?;
        fs::write(sandbox.configuration(), configuration(&example.socket, &["data"]))?;
        let bundle = with_volume(sandbox, "c", "data")?.script(
            "cat /data/f; cat /data/link; echo; ls /data/d | wc -l; wc -c < /data/large; cat /data/large | md5sum
             ! echo x > /data/f; ! mkdir /data/e; ! cat /data/none",
        );
        let outcome = sandbox.run(&bundle)?;
        let wanted = "content\n7\n3000\n3145728\nc1887f0c970afa48194adf7f5c504696  -\n";
        check::equal("output", &outcome.stdout, &wanted)?;
        check::equal("refusals", &outcome.stderr.matches("Read-only file system").count(), &2)?;
        check::equal("nothing there", &outcome.stderr.matches("No such file").count(), &1)
    })
}
