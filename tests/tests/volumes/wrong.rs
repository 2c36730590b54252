//! What is said when a volume cannot be had.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use anyhow::Result;
use e2e::sandbox::DirectFs;
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, check, command, process, sandbox, scratch, wait};
use rustix::process::Signal;

use crate::containers::with_volume;

/// What `gofer serve` says when it is to hand a connection to `volume` over.
fn message(configuration: &Path, volume: &str) -> Result<String> {
    let mut fusebridge = std::process::Command::new(bins::fusebridge()?);
    fusebridge.env("GOFER_CONFIG", configuration).args(["run", &format!("volume:{volume}"), "--", "true"]);
    let outcome = command::run(&mut fusebridge, e2e::sandbox::LIMIT)?;
    check::holds("it fails", !outcome.status.success())?;
    check::equal(&format!("lines in {}", outcome.stderr), &outcome.stderr.lines().count(), &1)?;
    Ok(outcome.stderr)
}

/// A server that says `answer` to a request and hangs up.
fn answering(path: &Path, answer: &'static [u8]) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    thread::spawn(move || {
        let (mut client, _) = listener.accept()?;
        let mut request = Vec::new();
        while !request.ends_with(b"\n") {
            let mut buffer = [0; 512];
            let read = client.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            request.extend_from_slice(&buffer[..read]);
        }
        client.write_all(answer)
    });
    Ok(())
}

#[test]
fn every_failure_is_one_clear_line() -> Result<()> {
    let scratch = scratch::disk()?;
    let file = scratch.path().join("runtime.json");
    let socket = |name: &str| scratch.path().join(name);
    fs::write(socket("file"), "")?;
    let _other = UnixListener::bind(socket("other"))?;
    chown(socket("other"), Some(1234), None)?;
    drop(UnixListener::bind(socket("left"))?);
    let _silent = UnixListener::bind(socket("silent"))?;
    let long = Vec::leak(vec![b'x'; 5000]);
    for (name, answer) in [
        ("hangs-up", &b""[..]),
        ("nonsense", b"{]\n"),
        ("half", b"{\"version\": 1}\n"),
        ("both", b"{\"version\": 1, \"ok\": true, \"error\": \"x\"}\n"),
        ("newer", b"{\"version\": 2, \"error\": \"no\"}\n"),
        ("unwilling", b"{\"version\": 1, \"error\": \"not \\n today\"}\n"),
        ("long", long),
    ] {
        answering(&socket(name), answer)?;
    }
    let server = VolumeServer::start(
        "data = 'mem:'\ngone = '/not/there'\nother = { backend = 'mem:', access = { users = [4321] } }",
    )?;
    for (name, at, wanted) in [
        ("none", socket("none"), "cannot connect: No such file or directory"),
        ("file", socket("file"), "this is not a socket"),
        ("other", socket("other"), "the socket belongs to user 1234, not to root"),
        ("left", socket("left"), "cannot connect: Connection refused"),
        ("silent", socket("silent"), "no answer within 2 s"),
        ("hangs-up", socket("hangs-up"), "the server hung up without an answer"),
        ("nonsense", socket("nonsense"), "the answer is not valid: "),
        ("half", socket("half"), "the answer is not valid: it must have either"),
        ("both", socket("both"), "the answer is not valid: it must have either"),
        ("newer", socket("newer"), "the server speaks version 2 of the hand-over, this gofer speaks 1"),
        ("unwilling", socket("unwilling"), "refused: not   today"),
        ("long", socket("long"), "the answer is not valid: it is not one line of at most 4096 bytes"),
        ("gone", server.socket(), "refused: cannot serve \"/not/there\": No such file or directory"),
        ("unknown", server.socket(), "refused: there is no volume \"unknown\""),
        ("other", server.socket(), "refused: there is no volume \"other\""),
    ] {
        fs::write(&file, configuration(&at, &[name]))?;
        let line = message(&file, name)?;
        let start = format!("volume {name:?} at {}: ", at.display());
        check::holds(&format!("{wanted:?} is said of {name}: {line}"), line.contains(&start) && line.contains(wanted))?;
    }
    fs::write(&file, configuration(&server.socket(), &["home-*"]))?;
    for (name, wanted) in [
        ("data", "no volume \"data\" in "),
        ("home-..", "is not a volume name"),
        ("../data", "is not a volume name"),
        ("", "\"\" is not a volume name"),
    ] {
        let line = message(&file, name)?;
        check::holds(&format!("{wanted:?} is said of {name:?}: {line}"), line.contains(wanted))?;
    }
    fs::write(&file, r#"{"volumes": {"data": {"socket": "relative"}}}"#)?;
    let line = message(&file, "data")?;
    check::holds(&line, line.contains("relative is not an absolute path"))?;
    server.stop()
}

#[test]
fn whoever_starts_a_container_is_told_of_a_server_that_is_not_there() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let socket = |name: &str| sandbox.path().join(name);
        fs::write(socket("file"), "")?;
        let _other = UnixListener::bind(socket("other"))?;
        chown(socket("other"), Some(1234), None)?;
        drop(UnixListener::bind(socket("left"))?);
        for (name, wanted) in [
            ("none", "cannot connect: No such file or directory"),
            ("file", "this is not a socket"),
            ("other", "the socket belongs to user 1234, not to root"),
            ("left", "cannot connect: Connection refused"),
        ] {
            fs::write(sandbox.configuration(), configuration(&socket(name), &["data"]))?;
            let outcome = sandbox.run(&with_volume(sandbox, name, "data")?.script("true"))?;
            let line = format!(
                "gofer: the mount at \"/data\": volume: volume \"data\" at {}: {wanted}\n",
                socket(name).display()
            );
            check::equal(name, &outcome.stderr, &line)?;
        }
        Ok(())
    })
}

#[test]
fn a_container_does_not_start_and_the_log_says_why() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let server = VolumeServer::start("data = 'mem:'")?;
        fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
        let directfs = sandbox.runsc().directfs() == DirectFs::On;
        let log = sandbox.path().join("log");
        let refused = |container: &str, name: &str, wanted: &str| {
            let bundle = with_volume(sandbox, container, name)?.script("true");
            bundle.write(sandbox)?;
            let flag = format!("--log={}", log.display());
            let words = ["run", "--bundle"].map(str::to_owned);
            let arguments =
                [flag].into_iter().chain(words).chain([bundle.path().display().to_string(), bundle.id().to_owned()]);
            check::holds("it does not start", !sandbox.call(arguments)?.status.success())?;
            let text = fs::read_to_string(&log)?;
            check::holds(&format!("{wanted:?} is in the log: {text}"), text.contains(wanted))
        };
        if directfs {
            refused("a", "data", "this volume has no descriptor to give to the sandbox")?;
        }
        refused("b", "else", "no volume \\\"else\\\" in ")?;
        // An annotation cannot choose a socket.
        refused("c", &format!("{}#data", server.socket().display()), "is not a volume name")?;
        server.is_left()?;
        // While the server is stopped, a start ends in time.
        process::stop(server.pid())?;
        refused("d", "data", "no answer within 2 s")?;
        server.signal(rustix::process::Signal::CONT);
        server.stop()
    })
}

#[test]
fn a_volume_that_is_never_opened_does_not_keep_the_server() -> Result<()> {
    let scratch = scratch::disk()?;
    let silent = UnixListener::bind(scratch.path().join("silent"))?;
    let options = format!("?dir={}", scratch.path().join("cache").display());
    let backend = format!("cache:unix:{}{options}", scratch.path().join("silent").display());
    let mut server = VolumeServer::start(&format!("silent = '{backend}'\nmem = 'cache:mem:{options}'"))?;
    let mut mount = std::process::Command::new(bins::fusebridge()?);
    let mut waiting = mount.args(["run", &server.backend("silent"), "--", "true"]).spawn()?;
    let _client = silent.accept()?;
    // Others do not wait for it.
    let mut mount = std::process::Command::new(bins::fusebridge()?);
    command::succeed(mount.args(["run", &server.backend("mem"), "--", "true"]), e2e::sandbox::LIMIT)?;
    server.signal(Signal::TERM);
    wait::until("nobody else is served", e2e::sandbox::LIMIT, || !server.socket().exists())?;
    server.signal(Signal::TERM);
    check::holds("it ends well", server.ended()?.success())?;
    check::holds("nothing was mounted", !command::exit_status(&mut waiting, e2e::sandbox::LIMIT)?.success())
}
