//! mount(8), umount(8) and fstab.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::mount::Point;
use e2e::{bins, check, command, host, process, scratch, skip, user, wait};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a script in a fresh directory that is also `$PWD`, with a file system table of its own in `/etc` and links to
/// fusebridge where mount(8) looks for them.
fn story(script: &str) -> Result<String> {
    let (directory, programs) = (scratch::open_to_all()?, user::programs()?);
    let prepare = r#"
        mkdir links
        for name in mount.fuse.fusebridge mount.fusebridge; do ln -s "$1" "links/$name"; done
        mount -t overlay sbin -o "lowerdir=$PWD/links:/usr/sbin" /usr/sbin
        touch fstab
        mount --bind fstab /etc/fstab
        mkdir served point
        echo content >served/file
        shown() { findmnt --noheadings --output "$1" --mountpoint "$2"; }
        gone() { until ! pgrep -f -- "--background.*$1\$" >/dev/null; do sleep 0.01; done; }
    "#;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "bash", "-euc", &format!("{prepare}\n{script}"), "bash"]);
    shell.arg(programs.path().join("fusebridge")).current_dir(directory.path());
    command::succeed(&mut shell, LIMIT)
}

#[test]
fn options_of_mount() -> Result<()> {
    if !host::is_root() {
        skip!("mount(8) needs root");
    }
    let said = story(
        r#"
        mount -t fuse.fusebridge -o ro,noexec,strictatime,lazytime,io=rpc,log_file="$PWD/log",log_filter="lisafs=off\,info" "$PWD/served" point
        test "$(shown FSTYPE,SOURCE point | tr -s ' ')" = "fuse.fusebridge $PWD/served"
        shown VFS-OPTIONS point
        cat point/file
        if echo >point/file; then exit 1; fi
        umount point
        gone "$PWD/point"
        test -e log

        mount -t fusebridge -o fsname=scratch mem: point
        shown SOURCE point
        echo more >point/file
        umount point
        gone "$PWD/point"
        "#,
    )?;
    check::equal("said", &said.as_str(), &"ro,nosuid,nodev,noexec,relatime\ncontent\nscratch\n")
}

#[test]
fn what_mount_is_told_when_it_fails() -> Result<()> {
    if !host::is_root() {
        skip!("mount(8) needs root");
    }
    let said = story(
        r#"
        attempt() { status=0; mount -t fuse.fusebridge "$@" point 2>said || status=$?; echo "$status $(cat said)"; }
        attempt -o nobarrier mem:
        attempt -o ttl=soon mem:
        attempt -o remount mem:
        attempt /does/not/exist
        attempt mem:size=bogus
        attempt -s -o nobarrier mem:
        umount point
        "#,
    )?;
    let lines: Vec<&str> = said.lines().collect();
    let words = [
        ("32 ", "nobarrier"),
        ("32 ", "'soon' for '--ttl <SECONDS>'"),
        ("32 ", "unmount it"),
        ("32 ", "/does/not/exist"),
        ("32 ", "not a size"),
        ("0 ", ""),
    ];
    check::equal(&said, &lines.len(), &words.len())?;
    for (line, (status, word)) in lines.iter().zip(words) {
        check::holds(line, line.starts_with(status) && line.contains(word))?;
    }
    Ok(())
}

#[test]
fn lines_of_fstab() -> Result<()> {
    if !host::is_root() {
        skip!("mount(8) needs root");
    }
    let said = story(
        r#"
        mkdir a b c
        cat >fstab <<END
$PWD/served  $PWD/a  fuse.fusebridge  access=exclusive,x-systemd.automount,_netdev,nofail  0  0
mem:size=1m  $PWD/b  fuse.fusebridge  defaults,noatime,allow_other  0  0
mem:size=2m  $PWD/c  fuse.fusebridge  noauto  0  0
END
        mount -a
        cat a/file
        df --output=size b | tail -n 1
        # Nothing is mounted twice.
        mount -a
        shown TARGET a | wc -l
        shown TARGET c | wc -l
        mount c
        df --output=size c | tail -n 1
        umount -a -t fuse.fusebridge
        shown TARGET a | wc -l
        for point in a b c; do gone "$PWD/$point"; done
        "#,
    )?;
    let words: Vec<&str> = said.split_whitespace().collect();
    check::equal("said", &words, &vec!["content", "1024", "1", "0", "2048", "0"])
}

#[test]
fn users_mount_what_fstab_lets_them() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let said = story(
        r#"
        chown -R nobody: served point
        echo "$PWD/served  $PWD/point  fuse.fusebridge  user,noauto  0  0" >fstab
        as_user() { setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all "$@"; }
        as_user mount "$PWD/point"
        as_user cat point/file
        as_user umount "$PWD/point"
        gone "$PWD/point"
        "#,
    )?;
    check::equal("said", &said.as_str(), &"content\n")
}

/// Kills the process of a mount on a temporary directory without warning, and gives that directory.
fn dead_run(options: &[&str]) -> Result<std::path::PathBuf> {
    let mut run = Command::new(bins::fusebridge()?);
    run.arg("run").args(options).args(["mem:", "--", "sh", "-c", "pwd -P; kill -KILL $PPID"]);
    let outcome = command::run(&mut run, LIMIT)?;
    Ok(outcome.stdout.trim().into())
}

#[test]
fn the_directory_that_a_dead_run_left_goes_with_its_mount() -> Result<()> {
    let left = dead_run(&[])?;
    check::equal("mounted", &host::mounted(&left)?.as_deref(), &Some("fuse.fusebridge"))?;
    let mut umount = Command::new(bins::fusebridge()?);
    command::succeed(umount.arg("umount").arg(&left), LIMIT)?;
    check::holds("it is gone", !left.exists())
}

#[test]
fn a_mount_goes_with_its_process_if_it_is_to() -> Result<()> {
    let left = dead_run(&["--auto-unmount"])?;
    wait::until("the unmounting", LIMIT, || !left.exists())?;

    // Nothing stays behind of one that ends well.
    let mut run = Command::new(bins::fusebridge()?);
    run.args(["run", "--auto-unmount", "mem:", "--", "sh", "-c", "echo $PPID"]);
    let pid: u32 = command::succeed(&mut run, LIMIT)?.trim().parse()?;
    check::holds("no process", !process::alive(pid))
}

#[test]
fn who_meets_a_dead_mount_is_told_what_to_do() -> Result<()> {
    let left = dead_run(&[])?;
    let point = Point::new()?;
    let advice = format!("fusebridge umount {}", left.display());
    let attempts = [("mnt", left.clone(), point.path().to_path_buf()), ("mnt", "mem:".into(), left.join("below"))];
    let outcomes: Result<Vec<_>> = attempts
        .iter()
        .map(|(word, backend, point)| {
            let mut command = Command::new(bins::fusebridge()?);
            command::run(command.arg(word).arg(backend).arg(point), LIMIT)
        })
        .collect();
    command::succeed(Command::new(bins::fusebridge()?).arg("umount").arg(Path::new(&left)), LIMIT)?;
    for outcome in outcomes? {
        check::holds(&outcome.describe(), outcome.stderr.contains(&advice) && outcome.stderr.lines().count() == 1)?;
    }
    Ok(())
}
