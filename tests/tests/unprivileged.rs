//! An ordinary user mounts their own files through fusermount3.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::mount::{Mount, Point, backend};
use e2e::{check, command, host, scratch, skip, user};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(180);

/// Programs within reach, a directory to serve and a mountpoint, both the user's own.
struct Stage {
    programs: TempDir,
    served: TempDir,
    point: Point,
}

impl Stage {
    fn new() -> Result<Self> {
        let stage = Self { programs: user::programs()?, served: scratch::memory()?, point: Point::new()? };
        user::give(stage.served.path())?;
        user::give(stage.point.path())?;
        Ok(stage)
    }

    fn fusebridge(&self, words: &str) -> Command {
        let mut command = Command::new(self.programs.path().join("fusebridge"));
        command.args(words.split(' '));
        command
    }

    fn mount(&self) -> Result<Mount> {
        let mut command = self.fusebridge("mnt");
        command.arg(backend(self.served.path())).arg(self.point.path());
        Mount::start(&mut user::as_user(&command))
    }
}

/// A script as the ordinary user.
fn sh(directory: &Path, script: &str) -> Result<String> {
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir("/");
    let mut shell = user::as_user(&shell);
    // Only that user can enter the directory.
    shell.args(["bash"]).arg(directory);
    command::succeed(&mut shell, LIMIT)
}

#[test]
fn own_files_can_be_used() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    let mount = stage.mount()?;
    let found = sh(
        mount.path(),
        r#"
        cd "$1"
        mkdir -p a/b; echo text > a/b/file; ln a/b/file link; ln -s link soft
        test "$(cat soft)" = text
        chmod 640 link; test "$(stat -c %a a/b/file)" = 640
        mv a c; rm link; touch -d 2001-01-01 c/b/file
        seq 1000 | xargs touch; test "$(ls | wc -l)" = 1002
        dd if=/dev/zero of=large bs=1M count=20 status=none; cp large copy; cmp large copy
        if chown daemon c 2>/dev/null; then echo "chown should fail"; fi
        mkfifo pipe; (echo through > pipe) & cat pipe
        stat -c %U c
        "#,
    )?;
    check::equal("found", &found.as_str(), &"through\nnobody\n")?;
    let owner = fs::metadata(stage.served.path().join("c/b/file"))?.uid();
    check::equal("owner below", &owner, &user::UID)?;
    let told = mount.warnings();
    check::holds(&format!("a word about what is missing, in {told:?}"), told.contains("passthrough"))?;

    let mut umount = stage.fusebridge("umount");
    command::succeed(&mut user::as_user(umount.arg(mount.path())), LIMIT)?;
    mount.ended_well()
}

#[test]
fn others_are_kept_out() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    let mount = stage.mount()?;
    // The kernel's rule for mounts of ordinary users: not even root may look.
    check::fails("root", fs::metadata(mount.path().join("x")).map(drop), &[rustix::io::Errno::ACCESS])?;
    drop(mount);
    check::equal("mounted", &host::mounted(stage.point.path())?, &None)
}

#[test]
fn passthrough_is_refused_clearly() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    let mut command = stage.fusebridge("mnt --io passthrough");
    command.arg(backend(stage.served.path())).arg(stage.point.path());
    let outcome = command::run(&mut user::as_user(&command), LIMIT)?;
    check::holds(&outcome.describe(), !outcome.status.success() && outcome.stderr.contains("passthrough"))?;
    check::equal("lines", &outcome.stderr.trim().lines().count(), &1)?;
    check::equal("mounted", &host::mounted(stage.point.path())?, &None)
}

#[test]
fn what_only_root_can_have_is_refused_clearly() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    for flag in ["--suid", "--dev"] {
        let mut command = stage.fusebridge(&format!("run {flag} mem: -- true"));
        let outcome = command::run(&mut user::as_user(command.current_dir("/")), LIMIT)?;
        let expected = format!("fusebridge: {flag} needs root; leave it out\n");
        check::equal(&outcome.describe(), &outcome.stderr, &expected)?;
    }
    let closed = r#"
        mkdir dev
        mount -t tmpfs -o mode=755 dev dev
        cp -a /dev/null /dev/urandom /dev/fuse dev
        chmod 600 dev/fuse
        mount --bind dev /dev
        exec setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all "$@"
    "#;
    // Not below /dev, as the stage is.
    let directory = scratch::disk()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let program = directory.path().join("fusebridge");
    let mut install = Command::new("install");
    command::succeed(install.arg(stage.programs.path().join("fusebridge")).arg(&program), LIMIT)?;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "bash", "-euc", closed, "bash"]).arg(&program);
    let outcome = command::run(shell.args(["mnt", "mem:"]).current_dir(directory.path()), LIMIT)?;
    check::holds(&outcome.describe(), outcome.stderr.contains("chmod 666 /dev/fuse"))?;
    check::equal(&outcome.describe(), &outcome.stderr.lines().count(), &1)
}

#[test]
fn run_works_too() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    let mut command = stage.fusebridge("run");
    command.arg(backend(stage.served.path())).args(["--", "sh", "-c", "echo made > here; id -un; exit 3"]);
    command.current_dir("/");
    let outcome = command::run(&mut user::as_user(&command), LIMIT)?;
    check::equal(&outcome.describe(), &(outcome.status.code(), outcome.stdout.as_str()), &(Some(3), "nobody\n"))?;
    check::equal("below", &fs::read_to_string(stage.served.path().join("here"))?.as_str(), &"made\n")
}

#[test]
fn suites_that_need_no_root_are_run() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let stage = Stage::new()?;
    let mut command = stage.fusebridge("conform --suite mount");
    let outcome = command::run(&mut user::as_user(command.arg(backend(stage.served.path()))), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::equal("left behind", &fs::read_dir(stage.served.path())?.count(), &0)?;
    // Of several suites those that need root are left out.
    let command = stage.fusebridge("conform --suite mount,pjdfstest --filter links mem:");
    let outcome = command::run(&mut user::as_user(&command), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds(&outcome.describe(), outcome.stderr.contains("the suite pjdfstest is skipped"))?;
    let outcome = command::run(&mut user::as_user(&stage.fusebridge("conform --suite pjdfstest mem:")), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))
}
