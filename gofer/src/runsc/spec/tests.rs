use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn valid() -> Value {
    json!({
        "ociVersion": "1.0.0",
        "process": {"args": ["sh"], "cwd": "/work", "env": ["A=b"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/data", "type": "bind", "source": "../volume", "options": ["rbind", "ro"]},
            {"destination": "/other", "source": "/a/./b", "options": ["bind"]},
            {"destination": "/tmp", "type": "tmpfs"},
        ],
        "annotations": {"key": "value"},
    })
}

fn parse(document: &Value) -> Result<Container, SpecError> {
    Container::parse(document.to_string().as_bytes(), Path::new("/bundle"), false)
}

#[test]
fn paths_become_absolute() {
    let container = parse(&valid()).unwrap();
    assert_eq!(container.root, Path::new("/bundle/rootfs"));
    assert!(container.root_read_only);
    let sources: Vec<_> = container.mounts.iter().map(|mount| mount.source().clone()).collect();
    let expected = [Some("/bundle/proc"), Some("/volume"), Some("/a/./b"), None];
    assert_eq!(sources, expected.map(|source| source.map(PathBuf::from)));
    assert_eq!(container.mounts.iter().map(is_bind).collect::<Vec<_>>(), [false, true, true, false]);
    assert_eq!(container.cwd, Path::new("/work"));
    assert_eq!(container.environment, ["A=b"]);
}

#[test]
fn wrong_specs_are_refused() {
    for (path, value, complaint) in [
        ("/process", Value::Null, "the spec has no process"),
        ("/process/args", json!([]), "the spec has no process.args"),
        ("/process/selinuxLabel", json!("x"), "process.selinuxLabel, which is not supported"),
        ("/root", Value::Null, "the spec has no root"),
        ("/root/path", json!(""), "the spec has no root.path"),
        ("/root/path", json!(7), "the spec is not valid: invalid type"),
        ("/windows", json!({}), "windows, which is not supported"),
        ("/linux", json!({"rootfsPropagation": "shared"}), "rootfsPropagation: \"shared\""),
        ("/mounts/0/destination", json!("proc"), "\"proc\" is not absolute"),
        ("/mounts/1/options", json!(["bind", "rshared"]), "the mount at /data has the option rshared"),
        ("/mounts/1/destination", Value::Null, "the spec is not valid"),
        ("/annotations", json!({"io.kubernetes.cri.container-type": "pod"}), "use sandbox or container"),
        ("/annotations", json!({"io.kubernetes.cri-o.ContainerType": "container"}), "no annotation says to which"),
        ("/annotations", json!({"dev.gvisor.tar.rootfs.upper.c": "/x"}), "--allow-rootfs-tar-annotation is not set"),
    ] {
        let mut document = valid();
        let (parent, name) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(complaint), "{path}: {error}");
    }
    for text in ["", "{", "[]", "null", "\u{0}"] {
        assert!(Container::parse(text.as_bytes(), Path::new("/"), false).is_err(), "{text}");
    }
}

#[test]
fn nothing_is_as_good_as_null() {
    let document = json!({
        "process": {"args": ["sh"], "env": null}, "root": {"path": "/r", "readonly": null}, "mounts": null, "linux": null,
        "hooks": {"createContainer": null}, "annotations": null, "windows": null,
    });
    let container = parse(&document).unwrap();
    assert!(container.mounts.is_empty() && container.create_container.is_empty() && !container.root_read_only);
}

#[test]
fn the_last_of_equal_members_counts() {
    let text = r#"{"root": {"path": "/a"}, "process": {"args": ["x"]}, "root": {"path": "/b"}}"#;
    assert_eq!(Container::parse(text.as_bytes(), Path::new("/"), false).unwrap().root, Path::new("/b"));
}

#[test]
fn huge_specs_are_refused() {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(LARGEST + 1).unwrap();
    file.write_all(b"{").unwrap();
    assert!(matches!(Container::read(file, Path::new("/"), false), Err(SpecError::TooLarge)));
}

#[test]
fn extensions_see_the_spec() {
    let mut document = valid();
    let spec = parse(&document).unwrap().oci().unwrap();
    assert_eq!(spec.mounts().as_ref().unwrap()[1].source().as_deref(), Some(Path::new("/volume")));
    assert!(spec.process().is_some());
    // What nobody has heard of is missing, and nothing else.
    document["process"]["capabilities"] = json!({"bounding": ["CAP_OF_THE_FUTURE"]});
    let spec = parse(&document).unwrap().oci().unwrap();
    let process = spec.process().as_ref().unwrap();
    assert!(process.capabilities().is_none());
    assert_eq!(process.env().as_deref(), Some(&["A=b".to_owned()][..]));
    assert_eq!(spec.annotations().as_ref().unwrap()["key"], "value");
    assert_eq!(spec.mounts().as_ref().unwrap().len(), 4);
}

#[test]
fn extensions_miss_only_what_cannot_be_read() {
    for (path, value) in [
        ("/process/user", Value::Null),
        ("/hooks", json!({"startContainer": [{"args": ["x"]}]})),
        ("/linux", json!({"rootfsPropagation": "slave", "seccomp": {"defaultAction": "SCMP_ACT_OF_THE_FUTURE"}})),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]})),
    ] {
        let mut document = valid();
        document["linux"] = json!({"rootfsPropagation": "slave"});
        let (parent, name) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        let spec = parse(&document).unwrap().oci().unwrap();
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.env().as_deref(), Some(&["A=b".to_owned()][..]), "{path}");
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.rootfs_propagation().as_deref(), Some("slave"), "{path}");
        assert_eq!(spec.annotations().as_ref().unwrap()["key"], "value", "{path}");
    }
}
