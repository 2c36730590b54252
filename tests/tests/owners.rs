//! Owners and permissions as the mount shows them, with users who obey them.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::mount::Mount;
use e2e::{bins, command, host, scratch, skip};

const LIMIT: Duration = Duration::from_secs(20);

/// What each script begins with.
const USERS: &str = "
    as() { setpriv --reuid $1 --regid $1 --clear-groups --inh-caps=-all bash -ceu \"$2\"; }
    is() { actual=$(stat --format '%u:%g %a' $1); [ \"$actual\" = \"$2\" ] || { echo \"$1: $actual\" >&2; exit 1; }; }
";

/// Mounts a directory, which `prepare` has filled, with `options`, and runs `script` in the mount. In both `$below` is
/// the directory.
fn story(options: &[&str], prepare: &str, script: &str) -> Result<()> {
    let served = scratch::memory()?;
    let below = format!("below={}\n", served.path().display());
    command::shell(served.path(), &format!("umask 022; chmod 755 .\n{prepare}"), LIMIT)?;
    let mut command = Command::new(bins::fusebridge()?);
    let mount = Mount::start(command.arg("mnt").args(options).arg(served.path()))?;
    command::shell(mount.path(), &format!("{below}{USERS}{script}"), LIMIT)?;
    mount.unmount()
}

/// The same over everything that answers the kernel.
fn stories(options: &[&str], prepare: &str, script: &str) -> Result<()> {
    for more in [&[][..], &["--access=exclusive", "--io=rpc", "--transport=fuser"], &["--server=in-process"]] {
        let options: Vec<&str> = more.iter().chain(options).copied().collect();
        story(&options, prepare, script)?;
    }
    Ok(())
}

#[test]
fn one_user_stands_for_another() -> Result<()> {
    if !host::is_root() {
        skip!("files of others are made, which needs root");
    }
    stories(
        &["--map=1000/2000:0/3000:@1000/@2000"],
        "echo text >file; chmod 640 file; chown 1000:1000 . file; touch root; chmod 600 root",
        r#"
            is file '2000:2000 640'
            is root '3000:0 600'
            as 2000 'cat file && echo more >>file && mkdir made && ln -s file link && mkfifo fifo && echo x >made/new'
            for name in file made link fifo made/new; do
                [ "$(stat --format %u:%g $below/$name)" = 1000:1000 ]
                [ "$(stat --format %u:%g $name)" = 2000:2000 ]
            done
            as 3000 'echo x >root'
            fails as 1000 'cat file'
            fails as 2000 'cat root'
            touch by-root && chown 2000:2000 by-root && is $below/by-root '1000:1000 644'
            as 2000 'chmod 600 by-root' && is $below/by-root '1000:1000 600'
        "#,
    )
}

#[test]
fn all_files_are_one_users() -> Result<()> {
    if !host::is_root() {
        skip!("files of others are made, which needs root");
    }
    stories(
        &["--force-user=2000", "--force-group=2001", "--create-for-user=1000", "--create-for-group=1001"],
        "echo text >file; chmod 600 file; chown 5:6 file; mkdir dir; chmod 2700 dir; chown 7:8 dir",
        r#"
            is . '2000:2001 755'
            is file '2000:2001 600'
            as 2000 'cat file && echo more >>file && umask 027 && echo x >new && mkdir made && echo x >dir/new'
            is $below/file '5:6 600'
            is new '2000:2001 640'
            is $below/new '1000:1001 640'
            is $below/made '1000:1001 750'
            is $below/dir/new '1000:8 640'
            fails as 1000 'cat file'
            chown 2000:2001 file
            fails chown 5 file
            is $below/file '5:6 600'
        "#,
    )
}

/// Otherwise whoever is shown as the owner would get the rights of the real one.
#[test]
fn nobody_makes_programs_that_run_as_others() -> Result<()> {
    if !host::is_root() {
        skip!("files of others are made, which needs root");
    }
    stories(
        &["--force-user=2000", "--umask=007"],
        "echo text >file; chmod 640 file; echo text >program; chmod 4711 program; echo text >other; chmod 6755 other",
        r#"
            is file '2000:0 770'
            is program '2000:0 4770'
            as 2000 'echo more >>program; echo x >other'
            is $below/program '0:0 711'
            is $below/other '0:0 755'
            as 2000 'chmod 4700 file || true'
            is $below/file '0:0 700'
            as 2000 'chmod 770 file'
            is $below/file '0:0 700'
            chmod 6711 program
            is $below/program '0:0 711'
            fails as 1000 'cat file'
        "#,
    )
}
