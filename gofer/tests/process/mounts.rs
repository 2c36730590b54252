//! What is served, and what the sandbox is told about it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use lisafs::backend::Errno;
use serde_json::json;

use crate::caller::{Call, Running};
use crate::common::client::Pathway;

/// The content of a file.
fn content(running: &mut Running, client: usize, path: &[&[u8]]) -> Result<Vec<u8>, Errno> {
    let client = &mut running.clients[client];
    let root = client.mount();
    let file = if path.is_empty() { root } else { client.reach(root, path) };
    let open = client.open(file, libc::O_RDONLY)?;
    client.read(open, 0, 100)
}

/// Tries to make a file.
fn create(running: &mut Running, client: usize, name: &[u8]) -> Result<(), Errno> {
    let client = &mut running.clients[client];
    let root = client.mount();
    client.create(root, name, 0o644).map(drop)
}

#[test]
fn the_root_and_a_volume_are_served() {
    let call = Call::new();
    symlink("/etc/elsewhere", call.rootfs().join("data")).unwrap();
    let mut running = call.go();
    let mounts = running.mounts();
    assert_eq!(mounts[0]["destination"], "/proc");
    assert_eq!(mounts[0]["source"], running.dir.path().join("bundle/proc").to_str().unwrap());
    assert_eq!(mounts[1]["destination"], "/etc/elsewhere");
    assert_eq!(content(&mut running, 0, &[b"etc", b"in-root"]).unwrap(), b"root");
    assert_eq!(content(&mut running, 0, &[b"etc", b"elsewhere", b"in-volume"]).unwrap(), b"volume");
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    create(&mut running, 0, b"new-in-root").unwrap();
    create(&mut running, 1, b"new-in-volume").unwrap();
    assert!(running.dir.path().join("bundle/rootfs/new-in-root").is_file());
    assert!(running.dir.path().join("volume/new-in-volume").is_file());
    // The mount point is real, and what is mounted there is not seen from outside.
    let point = running.dir.path().join("bundle/rootfs/etc/elsewhere");
    assert_eq!(fs::read_dir(point).unwrap().count(), 0);
    let end = running.end();
    assert_eq!((end.code, end.stderr.as_str(), end.log.as_str()), (Some(0), "", ""), "{}", end.debug_log);
}

#[test]
fn a_caller_of_2022_is_served() {
    let mut call = Call::new();
    call.spec["process"]["cwd"] = json!("/made/for/it");
    call.globals = vec!["--overlay2=all:memory".into()];
    call.flags.retain(|flag| !flag.starts_with("--gofer-mount-confs"));
    call.without("rpc-fd");
    call.without("sync-chroot-fd");
    call.id = None;
    let mut running = call.go();
    assert_eq!(running.mounts()[1]["destination"], "/data");
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    assert_eq!(create(&mut running, 0, b"new").unwrap_err(), Errno::ROFS);
    assert_eq!(create(&mut running, 1, b"new").unwrap_err(), Errno::ROFS);
    assert!(running.dir.path().join("bundle/rootfs/made/for/it").is_dir());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_caller_of_2024_is_served() {
    let mut call = Call::new();
    call.spec["process"]["cwd"] = json!("/made/for/it");
    let hook = call.dir.path().join("hook");
    call.spec["hooks"] = json!({"createContainer": [{"path": "/bin/touch", "args": ["touch", hook]}]});
    call.without("rpc-fd");
    call.without("sync-chroot-fd");
    call.id = None;
    let mut running = call.go();
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    assert!(running.dir.path().join("bundle/rootfs/made/for/it").is_dir());
    assert!(!running.dir.path().join("hook").exists());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_volume_can_be_the_root() {
    for destination in ["/", "/..", "/a/.."] {
        let mut call = Call::new();
        call.spec["mounts"][1]["destination"] = json!(destination);
        let other = call.dir.path().join("other");
        fs::create_dir(&other).unwrap();
        call.add_mount(json!({"destination": "/made/here", "type": "bind", "source": other, "options": ["bind"]}));
        let mut running = call.go();
        let mounts = running.mounts();
        assert_eq!((&mounts[1]["destination"], &mounts[2]["destination"]), (&json!("/"), &json!("/made/here")));
        // What it is mounted on nobody sees, as with runsc's own gofer.
        for client in [0, 1] {
            assert_eq!(content(&mut running, client, &[b"in-volume"]).unwrap(), b"volume");
        }
        create(&mut running, 2, b"new").unwrap();
        assert!(running.dir.path().join("other/new").is_file());
        assert!(running.dir.path().join("volume/made/here").is_dir());
        assert!(!running.dir.path().join("bundle/rootfs/made").exists());
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", running.pid())).unwrap();
        assert!(mounts.lines().all(|line| !line.contains("bundle/rootfs")), "{mounts}");
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn nothing_is_mounted_before_runsc_says_so() {
    let mut running = Call::new().start();
    let pid = running.pid();
    let mounts = || fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    running.until_it_waits();
    let before = mounts();
    let volume = running.dir.path().join("volume").display().to_string();
    assert!(before.lines().count() > 1 && !before.contains(&volume), "{before}");
    running.sync.take();
    running.mounts();
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    // Nothing of the host is left.
    assert!(mounts().lines().count() <= 2, "{}", mounts());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn read_only_is_read_only_all_the_way_down() {
    let mut call = Call::new();
    let nested = call.dir.path().join("volume/nested");
    fs::create_dir(&nested).unwrap();
    assert!(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&nested).status().unwrap().success());
    call.spec["mounts"][1]["options"] = json!(["rbind", "ro"]);
    // A mount point that has to be made in a volume that is read-only by then.
    let other = call.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    call.add_mount(json!({"destination": "/data/made/here", "type": "bind", "source": other, "options": ["bind"]}));
    let volume = call.dir.path().join("volume");
    let mut running = call.go();
    assert_eq!(running.mounts()[2]["destination"], "/data/made/here");
    let pid = running.pid();
    create(&mut running, 2, b"new").unwrap();
    assert_eq!(create(&mut running, 1, b"new").unwrap_err(), Errno::ROFS);
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    assert!(Command::new("umount").arg(&nested).status().unwrap().success());
    let of = |place: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(place));
        line.unwrap_or_else(|| panic!("no {place} in {mounts}")).split(' ').nth(5).unwrap().to_owned()
    };
    for place in ["/data", "/data/nested"] {
        assert!(of(place).starts_with("ro,nosuid,nodev"), "{place}: {}", of(place));
    }
    for place in ["/", "/data/made/here"] {
        assert!(of(place).starts_with("rw,nosuid,nodev"), "{place}: {}", of(place));
    }
    assert!(volume.join("made/here").is_dir());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn roots_are_read_only_if_changes_are_not_for_them() {
    for (spec, conf) in [(true, "lisafs:none"), (false, "lisafs:self")] {
        let mut call = Call::new();
        call.spec["root"]["readonly"] = json!(spec);
        call.confs(&format!("{conf},lisafs:none"));
        let mut running = call.go();
        running.mounts();
        assert_eq!(create(&mut running, 0, b"new").unwrap_err(), Errno::ROFS);
        create(&mut running, 1, b"new").unwrap();
        let pid = running.pid();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(" ro,nosuid,nodev"), "{root}");
        // The mount point in it has been made all the same.
        assert!(running.dir.path().join("bundle/rootfs/data").is_dir());
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn files_and_volumes_without_a_root_are_served() {
    let mut call = Call::new();
    let file = call.dir.path().join("file");
    fs::write(&file, "file").unwrap();
    call.add_mount(json!({"destination": "/etc/file", "type": "bind", "source": file, "options": ["bind"]}));
    call.confs("none:memory,lisafs:none,lisafs:none");
    // The root file system has no connection then.
    let position = call.fds.iter().position(|(flag, _)| flag == "io-fds").unwrap();
    call.fds.remove(position);
    call.clients.remove(0);
    let mut running = call.go();
    running.mounts();
    assert_eq!(content(&mut running, 0, &[b"in-volume"]).unwrap(), b"volume");
    assert_eq!(content(&mut running, 1, &[]).unwrap(), b"file");
    assert!(!running.dir.path().join("bundle/rootfs/data").exists());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn devices_are_served_without_leaving_the_root() {
    let mut call = Call::new();
    symlink(call.dir.path(), call.rootfs().join("dev")).unwrap();
    call.globals.push("--nvproxy=true".into());
    call.spec["linux"] = json!({"devices": [{"path": "/dev/sda"}]});
    call.serve("dev-io-fd", 1);
    let mut running = call.go();
    running.mounts();
    let client = &mut running.clients[2];
    let root = client.mount();
    assert!(client.walk(root, &[b"sda"]).unwrap().1.is_empty());
    let mut made: Vec<_> = fs::read_dir(running.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    made.sort();
    assert_eq!(made, ["bundle", "debug-log", "log", "runsc-gofer", "volume"]);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn devices_below_dev_can_be_opened() {
    let mut call = Call::new();
    call.add_mount(json!({"destination": "/dev/host", "type": "bind", "source": "/dev", "options": ["bind"]}));
    let device = call.rootfs().join("dev/nvidia0");
    fs::create_dir(call.rootfs().join("dev")).unwrap();
    fs::write(&device, "").unwrap();
    call.serve("dev-io-fd", 1);
    let mut running = call.start();
    running.until_it_waits();
    // As nvidia-container-cli does it for runsc: in the mount namespace of the process, before it goes on.
    let mut mount = Command::new("nsenter");
    mount.args(["--mount", "--target", &running.pid().to_string(), "mount", "--bind", "/dev/zero"]).arg(&device);
    assert!(mount.status().unwrap().success());
    running.sync.take();
    running.mounts();
    let client = &mut running.clients[3];
    let root = client.mount();
    for path in [&[&b"nvidia0"[..]][..], &[b"host", b"zero"]] {
        let device = client.reach(root, path);
        client.open(device, libc::O_RDONLY).unwrap();
    }
    // Whoever has the volume gets what the policy for devices says.
    let client = &mut running.clients[2];
    let root = client.mount();
    let device = client.reach(root, &[b"zero"]);
    assert_eq!(client.open(device, libc::O_RDONLY).map(drop), Err(Errno::PERM));
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[test]
fn access_times_that_nobody_may_change_stay() {
    for option in ["nodiratime", "noatime", "strictatime"] {
        let mut call = Call::new();
        call.is_rootless = true;
        call.spec["mounts"][1]["options"] = json!(["rbind", option, "ro"]);
        let mut running = call.go();
        running.mounts();
        assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
        assert_eq!(create(&mut running, 1, b"new").unwrap_err(), Errno::ROFS);
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn orphans_of_hooks_are_nobodys_burden() {
    let mut call = Call::new();
    call.is_first = true;
    // The hook ends when its orphan has.
    call.spec["hooks"] = json!({"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "(sleep 0 &) | cat"]}]});
    let mut running = call.go();
    running.clients[0].mount();
    let pid = running.pid();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap(), "");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.end().code, Some(128 + libc::SIGTERM));
}

#[test]
fn hooks_see_the_root_file_system_with_its_mounts() {
    let mut call = Call::new();
    let out = call.dir.path().join("out");
    let script = format!(
        "cat > {0}; cat {1}/data/in-volume >> {0}; echo $(ls /proc/self/fd) >> {0}; touch {1}/by-hook",
        out.display(),
        call.rootfs().display()
    );
    call.spec["hooks"] = json!({"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    call.spec["root"]["readonly"] = json!(true);
    let mut running = call.go();
    running.mounts();
    let text = fs::read_to_string(&out).unwrap();
    let bundle = running.dir.path().join("bundle");
    let state = format!(
        "{{\"bundle\":\"{}\",\"id\":\"container\",\"ociVersion\":\"1.2.1\",\"pid\":-1,\"status\":\"creating\"}}",
        bundle.display()
    );
    // Of all descriptors, hooks get the standard ones (and `ls` has one for the directory).
    assert_eq!(text, format!("{state}volume0 1 2 3\n"));
    assert_eq!(create(&mut running, 0, b"new").unwrap_err(), Errno::ROFS);
    assert!(bundle.join("rootfs/by-hook").exists());
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_failed_hook_is_fatal() {
    let mut call = Call::new();
    call.spec["hooks"] = json!({"createContainer": [{"path": "/bin/false"}]});
    let end = call.go().end();
    assert_eq!((end.code, end.stderr.as_str()), (Some(128), ""));
    assert!(end.log.contains("hook /bin/false: exit status: 1"), "{}", end.log);
}

#[test]
fn a_linked_and_unclean_bundle_is_fine() {
    let mut call = Call::new();
    let link = call.dir.path().join("link");
    symlink(call.dir.path().join("bundle"), &link).unwrap();
    call.flags[0] = format!("--bundle={}/../link/./", call.dir.path().join("volume").display());
    call.spec["root"]["path"] = json!(format!("{}/./rootfs", link.display()));
    let mut running = call.go();
    assert_eq!(running.mounts()[1]["destination"], "/data");
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    assert_eq!(content(&mut running, 0, &[b"data", b"in-volume"]).unwrap(), b"volume");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn what_it_may_not_open_runsc_opens() {
    // Nobody has that path, but runsc is asked before that counts.
    let mut call = Call::new();
    call.spec["mounts"][1]["source"] = json!("/only/runsc/knows");
    // runsc's sockets are like that.
    for (flag, fd) in &call.fds {
        if ["rpc-fd", "sync-chroot-fd", "mounts-fd"].contains(&flag.as_str()) {
            rustix::io::ioctl_fionbio(fd, true).unwrap();
        }
    }
    let mut running = call.go();
    let request = running.question();
    assert_eq!(request["method"], "goferToHostRPC.OpenMount");
    assert_eq!(request["arg"]["Mount"]["source"], "/only/runsc/knows");
    assert_eq!(request["arg"]["Flags"], 0x5000);
    // As runsc does: opened in the mount namespace of the process.
    let volume = running.dir.path().join("volume");
    let seen = format!("/proc/{}/root{}", running.pid(), volume.display());
    let file = fs::File::open(seen).unwrap();
    assert_eq!(file.metadata().unwrap().ino(), fs::metadata(&volume).unwrap().ino());
    running.answer(&file);
    running.mounts();
    assert_eq!(content(&mut running, 1, &[b"in-volume"]).unwrap(), b"volume");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn nothing_is_made_in_what_the_host_shows_read_only() {
    let mut call = Call::new();
    let volume = call.dir.path().join("volume");
    let mount =
        |arguments: &[&str]| assert!(Command::new("mount").args(arguments).arg(&volume).status().unwrap().success());
    mount(&["--bind", volume.to_str().unwrap()]);
    mount(&["-o", "remount,bind,ro"]);
    let other = call.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    call.spec["mounts"][1]["options"] = json!(["rbind", "ro"]);
    call.add_mount(json!({"destination": "/data/made/here", "type": "bind", "source": other, "options": ["bind"]}));
    let end = call.go().end();
    assert!(Command::new("umount").arg(&volume).status().unwrap().success());
    assert_eq!(end.code, Some(128), "{end:?}");
    assert!(
        end.log.contains("mount at /data/made/here: cannot make its mount point: Read-only file system"),
        "{end:?}"
    );
}
