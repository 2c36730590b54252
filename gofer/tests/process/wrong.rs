//! Calls, descriptors and specs that are wrong.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::caller::{Call, closed};

/// All files below a directory.
fn files(directory: &Path, all: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, all);
        }
        all.insert(path);
    }
}

/// The process must end with `code` and one line about `message`, having changed nothing outside the root file system.
fn fails(what: &str, code: i32, message: &str, change: impl FnOnce(&mut Call)) {
    let mut call = Call::new();
    change(&mut call);
    let dir = call.dir.path().to_path_buf();
    let rootfs = call.rootfs();
    let mut before = BTreeSet::new();
    files(&dir, &mut before);
    let mut running = call.go();
    let mut after = BTreeSet::new();
    running.clients.clear();
    // The directory goes with the process.
    let kept = std::mem::replace(&mut running.dir, tempfile::tempdir().unwrap());
    let end = running.end();
    files(&dir, &mut after);
    drop(kept);
    assert_eq!(end.code, Some(code), "{what}: {end:?}");
    let line: serde_json::Value = serde_json::from_str(&end.log).unwrap_or_else(|_| panic!("{what}: {end:?}"));
    assert!(line["msg"].as_str().unwrap().contains(message), "{what}: {line}");
    assert_eq!(line["level"], "error");
    assert!(!line["msg"].as_str().unwrap().contains('\n'), "{what}: {line}");
    assert!(end.debug_log.contains("FATAL ERROR"), "{what}: {end:?}");
    let ours = ["bundle/config.json", "log", "debug-log", "runsc-gofer"].map(|name| dir.join(name));
    let new: Vec<_> =
        after.difference(&before).filter(|path| !path.starts_with(&rootfs) && !ours.contains(path)).collect();
    assert!(new.is_empty(), "{what}: {new:?}");
}

#[test]
fn wrong_flags() {
    fails("a global flag", 2, "flag -host-uds", |call| call.globals.push("--host-uds=some".into()));
    fails("two policies", 2, "are mutually exclusive", |call| {
        call.globals.extend(["--fsgofer-host-uds".into(), "--host-uds=create".into()]);
    });
    fails("an unknown flag", 128, "not defined: -surprise", |call| call.flags.push("--surprise=1".into()));
    fails("no bundle", 128, "--bundle is missing", |call| drop(call.flags.remove(0)));
    fails("bad confs", 128, "-gofer-mount-confs", |call| call.confs("lisafs:none,lisafs"));
    fails("few confs", 128, "has 1 entries, but the spec has 2", |call| call.confs("lisafs:none"));
    fails("many confs", 128, "has 3 entries", |call| call.confs("lisafs:none,lisafs:none,none:memory"));
    fails("no user", 128, "flag -uid", |call| call.flags.push("--uid=-5".into()));
}

#[test]
fn wrong_descriptors() {
    for flag in ["mounts-fd", "io-fds"] {
        fails(flag, 128, &format!("--{flag} is missing"), |call| call.without(flag));
    }
    fails("few connections", 128, "has 1 descriptors, but 2 mounts", |call| {
        let position = call.fds.iter().position(|(flag, _)| flag == "io-fds").unwrap();
        call.fds.remove(position);
    });
    fails("many connections", 128, "has 3 descriptors, but 2 mounts", |call| call.serve("io-fds", 1));
    fails("closed", 128, "this descriptor is not open", |call| {
        call.without("rpc-fd");
        call.flags.push(format!("--rpc-fd={}", closed()));
    });
    fails("used twice", 128, "is used for something else", |call| {
        // The first descriptor is the pipe for mounts.
        call.without("rpc-fd");
        call.flags.push("--rpc-fd=3".into());
    });
    fails("standard stream", 128, "standard streams", |call| call.flags.push("--dev-io-fd=1".into()));
    for flag in ["io-fds", "rpc-fd", "sync-chroot-fd", "dev-io-fd", "sync-sentry-exit-fd", "sync-userns-fd"] {
        fails(flag, 128, &format!("--{flag}="), |call| {
            call.fds.retain(|(name, _)| name != flag || name == "io-fds");
            call.fds.push((flag.into(), File::open("/dev/null").unwrap().into()));
        });
    }
    fails("a directory", 128, "--spec-fd=", |call| {
        call.fds.push(("spec-fd".into(), File::open("/").unwrap().into()));
    });
    fails("a reading end", 128, "not the write end of a pipe", |call| {
        call.without("mounts-fd");
        call.fds.push(("mounts-fd".into(), std::io::pipe().unwrap().0.into()));
    });
    fails("data instead of an end", 128, "sync-chroot-fd: runsc sent data", |call| call.sync.write_all(b"x").unwrap());
}

#[test]
fn wrong_specs() {
    let with = |text: &'static [u8]| {
        move |call: &mut Call| {
            fs::write(call.dir.path().join("bundle/config.json"), text).unwrap();
        }
    };
    fails("nothing", 128, "reading spec: the spec is not valid", with(b""));
    fails("half", 128, "reading spec: the spec is not valid", with(b"{\"process\":"));
    fails("no text", 128, "reading spec: the spec is not valid", with(b"\xff\xfe\0"));
    fails("no process", 128, "the spec has no process", with(b"{}"));
    fails("100 MB", 128, "the spec is larger than 32 MiB", |call| {
        let mut file = File::create(call.dir.path().join("bundle/config.json")).unwrap();
        file.write_all(b"{\"hostname\":\"").unwrap();
        file.set_len(100_000_000).unwrap();
    });
    fails("deep", 128, "the spec is not valid: recursion limit", |call| {
        fs::write(call.dir.path().join("bundle/config.json"), "[".repeat(1 << 20)).unwrap();
    });
    fails("hints", 128, "parsing mount hints", |call| {
        call.spec["annotations"] = json!({"dev.gvisor.spec.mount.a.b.source": "/x"});
    });
    fails("propagation", 128, "rootfsPropagation", |call| {
        call.spec["linux"] = json!({"rootfsPropagation": "shared"});
    });
}

#[test]
fn annotations_for_nothing() {
    let with = |name: &'static str, backend: &'static str| {
        move |call: &mut Call| call.spec["annotations"] = json!({format!("dev.gofer.backend.{name}"): backend})
    };
    for name in ["data", "./data", ""] {
        fails(name, 128, "it does not say for which mount it is", with(name, "mem:"));
    }
    for name in ["/Data", "//data", "/dta"] {
        fails(name, 128, "the container has no mount at", with(name, "mem:"));
    }
    fails("a tmpfs", 128, "the sandbox has a file system of its own at \"/tmp\"", |call| {
        call.spec["mounts"].as_array_mut().unwrap().push(json!({"destination": "/tmp", "type": "tmpfs"}));
        with("/tmp", "mem:")(call);
    });
    fails("an emptyDir with hints", 128, "the sandbox has a file system of its own at \"/data\"", |call| {
        call.confs("lisafs:none,none:self");
        let connections: Vec<usize> = (0..call.fds.len()).filter(|at| call.fds[*at].0 == "io-fds").collect();
        call.fds.remove(connections[1]);
        with("/data", "mem:")(call);
    });
    fails("a root that is an image", 128, "the sandbox has a file system of its own at \"/\"", |call| {
        call.confs("erofs:none,lisafs:none");
        call.fds.remove(call.fds.iter().position(|(flag, _)| flag == "io-fds").unwrap());
        with("/", "mem:")(call);
    });
    for backend in ["etc", "host:etc", "", "men:"] {
        fails(backend, 128, "no extension serves", with("/data", backend));
    }
    fails("relative", 128, "write it from the root", with("/data", "readonly:host:etc"));
}

#[test]
fn hostile_root_file_systems() {
    fails("no root", 128, "cannot use the root file system", |call| call.spec["root"]["path"] = json!("missing"));
    fails("a root that is a file", 128, "cannot use the root file system", |call| {
        call.spec["root"]["path"] = json!("config.json");
    });
    fails("no source", 128, "runsc is gone", |call| {
        call.spec["mounts"][1]["source"] = json!("/not/there");
        call.rpc.shutdown(std::net::Shutdown::Both).unwrap();
    });
    fails("no source and nobody to ask", 128, "cannot open the mount source /not/there", |call| {
        call.spec["mounts"][1]["source"] = json!("/not/there");
        call.without("rpc-fd");
    });
    fails("links in circles", 128, "Too many levels of symbolic links", |call| {
        symlink("data", call.rootfs().join("data")).unwrap();
    });
    fails("a file in the way", 128, "Not a directory", |call| {
        fs::write(call.rootfs().join("data"), "").unwrap();
        call.spec["mounts"][1]["destination"] = json!("/data/below");
    });
    fails("a directory on a file", 128, "cannot attach it", |call| {
        fs::write(call.rootfs().join("data"), "").unwrap();
    });
}

#[test]
fn destinations_stay_inside() {
    for (link, destination, place) in [
        ("/tmp", "/link/x", "tmp/x"),
        ("../../../../..", "/link/etc", "etc"),
        ("/", "/../link/../../y", "y"),
        (".", "/link/link/z", "z"),
    ] {
        let mut call = Call::new();
        symlink(link, call.rootfs().join("link")).unwrap();
        call.spec["mounts"][1]["destination"] = json!(destination);
        let rootfs = call.rootfs();
        let mut running = call.go();
        assert_eq!(running.mounts()[1]["destination"], format!("/{place}"));
        assert!(rootfs.join(place).is_dir());
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn a_caller_who_goes_is_not_waited_for() {
    let mut running = Call::new().start();
    running.clients.clear();
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
}
