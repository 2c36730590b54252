//! What the process may do while it serves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use lisafs::wire::message::MountReq;
use rustix::process::Signal;
use serde_json::json;

use crate::caller::{Call, NOBODY, Running};
use crate::common::client::Pathway;
use crate::common::until;

fn status(running: &Running) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

fn serving(mut call: Call, globals: &[&str]) -> Running {
    call.globals.extend(globals.iter().map(|flag| (*flag).to_owned()));
    let mut running = call.go();
    running.mounts();
    for client in &mut running.clients {
        client.mount();
    }
    running
}

#[test]
fn few_capabilities_are_left() {
    for (flag, expected) in [("--host-uds=none", "1f"), ("--host-uds=create", "1f"), ("--host-uds=all", "df")] {
        let running = serving(Call::new(), &[flag]);
        let status = status(&running);
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(status[set].trim_start_matches('0'), expected, "{flag} {set}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(status[set].trim_start_matches('0'), "", "{flag} {set}");
        }
        assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
        assert_eq!(status["Umask"], "0000");
        for thread in fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            assert!(status.contains("Seccomp:\t2\n"), "{status}");
            assert!(status.contains(&format!("CapPrm:\t{expected:0>16}\n")), "{status}");
        }
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn few_descriptors_are_left() {
    let mut call = Call::new();
    // As if something had leaked.
    call.fds.push((String::new(), fs::File::open("/etc").unwrap().into()));
    let running = serving(call, &[]);
    let directory = format!("/proc/{}/fd", running.pid());
    // One that is closed just then is none that is left.
    let names = fs::read_dir(directory).unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let names: Vec<String> = names.map(|name| name.display().to_string()).collect();
    let bundle = running.dir.path().join("bundle").display().to_string();
    assert!(!names.iter().any(|name| name.contains("config.json")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with(&bundle) || name == "/etc"), "{names:?}");
    // The two connections: neither the one to runsc, nor the one whose end is a sign.
    assert_eq!(names.iter().filter(|name| name.starts_with("socket:")).count(), 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("pipe:")).count(), 0, "{names:?}");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn there_is_no_way_out() {
    let running = serving(Call::new(), &[]);
    let pid = running.pid();
    let mut root: Vec<_> =
        fs::read_dir(format!("/proc/{pid}/root")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    root.sort();
    assert_eq!(root, ["data", "etc"]);
    // The only piece of procfs is the directory of its own descriptors, which nothing leads up from.
    for thing in ["root", "cwd"] {
        let up = format!("/proc/{pid}/{thing}/../../..");
        let up = fs::read_dir(&up).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let up: Vec<String> = up.collect();
        assert!(!up.iter().any(|name| name == "usr" || name == "status" || name == "self"), "{thing}: {up:?}");
    }
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn limits_are_set() {
    let running = serving(Call::new(), &["--fdlimit=300"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["300", "300"]);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn it_stops_when_it_is_asked_to() {
    let mut call = Call::new();
    call.is_first = true;
    let mut running = call.go();
    running.clients[0].mount();
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(128 + libc::SIGTERM));
}

#[test]
fn an_ordinary_user_can_start_it() {
    let mut call = Call::new();
    call.is_rootless = true;
    let (ours, theirs) = UnixStream::pair().unwrap();
    call.fds.push(("sync-userns-fd".into(), theirs.into()));
    call.flags.push("--uid=0".into());
    drop(ours);
    let mut running = serving(call, &[]);
    let status = status(&running);
    assert_eq!(status["CapEff"].trim_start_matches('0'), "1f");
    assert_eq!(status["Uid"].split_whitespace().next(), Some(NOBODY.to_string().as_str()));
    let client = &mut running.clients[1];
    let root = client.mount();
    client.create(root, b"new", 0o600).unwrap();
    let new = fs::metadata(running.dir.path().join("volume/new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (NOBODY, NOBODY));
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn clients_with_descriptors_have_no_threads_for_channels() {
    // Directfs is on if nothing is said.
    for (globals, channels) in [(vec![], 0), (vec!["--directfs=false".to_owned()], 4)] {
        let mut call = Call::new();
        call.globals = globals;
        let mut running = call.go();
        running.mounts();
        for client in &mut running.clients {
            let donated = client.call(&MountReq {}).unwrap().fds.len();
            assert_eq!(donated, usize::from(channels == 0));
            assert_eq!(client.channel().is_ok(), channels > 0);
        }
        let threads = || fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap().count();
        until("the right number of threads", || threads() == 1 + 2 * (1 + channels));
        assert_eq!(running.end().code, Some(0));
    }
}

/// A call whose annotations switch directfs off for the volume.
fn volume_without_directfs() -> Call {
    let mut call = Call::new();
    call.globals.clear();
    let hint = |field: &str| format!("dev.gvisor.spec.mount.v.{field}");
    call.spec["annotations"] = json!({
        hint("source"): call.dir.path().join("volume"), hint("type"): "bind", hint("share"): "shared", hint("directfs"): "off",
    });
    call
}

/// How many descriptors each client gets with its root.
fn donated(running: &mut Running) -> Vec<usize> {
    running.clients.iter_mut().map(|client| client.call(&MountReq {}).unwrap().fds.len()).collect()
}

#[test]
fn one_mount_without_directfs_does_not_change_the_others() {
    let call = volume_without_directfs();
    let mut running = call.go();
    running.mounts();
    assert_eq!(donated(&mut running), [1, 0]);
    running.clients[1].channel().unwrap();
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_runsc_that_knows_no_such_annotation_gets_a_descriptor() {
    let mut call = volume_without_directfs();
    call.without("rpc-fd");
    let mut running = call.go();
    running.mounts();
    assert_eq!(donated(&mut running), [1, 1]);
    let end = running.end();
    assert!(end.code == Some(0) && end.debug_log.contains("this runsc ignores annotations"), "{end:?}");
}

#[test]
fn an_extension_without_a_descriptor_needs_a_mount_without_directfs() {
    let mut call = Call::new();
    call.globals.clear();
    call.spec["annotations"] = json!({"dev.gofer.backend./data": "mem:"});
    let end = call.go().end();
    assert_eq!(end.code, Some(128));
    assert!(end.log.contains("the backend of /data has no descriptor to give to the sandbox"), "{end:?}");
    let mut call = Call::new();
    call.spec["annotations"] = json!({"dev.gofer.backend./data": "mem:"});
    let mut running = serving(call, &[]);
    let client = &mut running.clients[1];
    let root = client.mount();
    assert!(client.walk(root, &[b"in-volume"]).unwrap().1.is_empty());
    client.channel().unwrap();
    client.create(root, b"new", 0o600).unwrap();
    assert!(!running.dir.path().join("volume/new").exists());
    assert_eq!(running.end().code, Some(0));
}
