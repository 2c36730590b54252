//! Sockets, pipes and devices of the host.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::Result;
use e2e::sandbox::{self, Bundle, Sandbox};
use e2e::{check, command};

/// What a program in the container can do with them, without saying why not: releases differ there.
const PROGRAM: &str = r#"
perl -e '
    use strict; use Socket; use Fcntl; $| = 1;
    sub try { my ($name, $do) = @_; my $answer = eval { $do->() }; print "$name: ", $answer // "no", "\n"; }
    sub ask {
        socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
        connect($s, sockaddr_un("/host/socket")) or die "refused";
        syswrite($s, "hello\n"); my $answer = <$s>; chomp $answer; $answer;
    }
    try("connect", \&ask);
    try("pipe", sub { sysopen(my $p, "/host/pipe", O_RDWR | O_NONBLOCK) or die; syswrite($p, "x") == 1 or die; sysread($p, my $x, 1); $x });
    try("device", sub { sysopen(my $d, "/devices/zero", O_RDONLY) or die; sysread($d, my $x, 2) });
    try("bind", sub {
        socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un("/host/new-socket")) or die; listen($s, 5) or die; "done"
    });
    if (my $child = fork) { waitpid($child, 0) } else { $( = $) = "1000 1000"; $< = $> = 1000; try("connect as somebody", \&ask); exit }
    try("there", sub { join " ", sort map { s!.*/!!r } glob("/host/new*") });
'
"#;

/// Plays the program with a server at `/host/socket`, a pipe at `/host/pipe` and the host's devices.
fn play(sandbox: &Sandbox) -> Result<String> {
    let host = sandbox.directory("host")?;
    fs::set_permissions(&host, Permissions::from_mode(0o777))?;
    let socket = host.join("socket");
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    command::succeed(Command::new("mkfifo").arg(host.join("pipe")), sandbox::LIMIT)?;
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            // Whoever does not ask is not answered.
            let _ = client.read(&mut [0; 6]).and_then(|_| client.write_all(b"hello from the host\n"));
        }
    });
    let bundle =
        Bundle::host(sandbox, "c")?.bind(&host, "/host", &[]).bind(Path::new("/dev"), "/devices", &[]).script(PROGRAM);
    sandbox.output(&bundle)
}

fn says(output: &str, lines: &[&str]) -> Result<()> {
    lines.iter().try_for_each(|line| check::holds(&format!("{line:?} in {output}"), output.contains(line)))
}

#[test]
fn nothing_of_the_host_without_flags() -> Result<()> {
    sandbox::compare(|sandbox| {
        let output = play(sandbox)?;
        says(&output, &["\npipe: no\n", "\nconnect as somebody: no\n"])?;
        check::holds(&output, output.starts_with("connect: no\n"))?;
        Ok(output)
    })
}

#[test]
fn sockets_can_be_opened() -> Result<()> {
    for (flag, is_current) in [("--fsgofer-host-uds=true", false), ("--host-uds=open", true)] {
        sandbox::compare_with(&[flag], |sandbox| {
            if sandbox.runsc().is_current() != is_current {
                return Ok("this release calls the flag something else".to_owned());
            }
            let output = play(sandbox)?;
            check::holds(&output, output.starts_with("connect: hello from the host\n"))?;
            says(&output, &["\npipe: no\n", "\nconnect as somebody: hello from the host\n"])?;
            Ok(output)
        })?;
    }
    Ok(())
}

#[test]
fn everything_can_be_allowed() -> Result<()> {
    let flags = ["--host-uds=all", "--host-fifo=open", "--character-device-policy=passthrough"];
    sandbox::compare_with(&flags, |sandbox| {
        if !sandbox.runsc().is_current() {
            return Ok("this release has no such flags".to_owned());
        }
        let output = play(sandbox)?;
        check::holds(&output, output.starts_with("connect: hello from the host\n"))?;
        says(
            &output,
            &["\npipe: x\n", "\ndevice: 2\n", "\nbind: done\n", "\nconnect as somebody: hello from the host\n"],
        )?;
        says(&output, &["\nthere: new-socket\n"])?;
        Ok(output)
    })
}
