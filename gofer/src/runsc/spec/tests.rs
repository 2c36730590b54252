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
    for (path, value, message) in [
        ("/process", Value::Null, "the spec has no process"),
        ("/process/args", json!([]), "the spec has no process.args"),
        ("/process/selinuxLabel", json!("x"), "process.selinuxLabel, which is not supported"),
        ("/root", Value::Null, "the spec has no root"),
        ("/root/path", json!(""), "the spec has no root.path"),
        ("/root/path", json!(7), "the spec is not valid: root.path: invalid type"),
        ("/windows", json!({}), "windows, which is not supported"),
        ("/linux", json!({"rootfsPropagation": "shared"}), "rootfsPropagation: \"shared\""),
        ("/mounts/0/destination", json!("proc"), "\"proc\" is not absolute"),
        ("/mounts/1/options", json!(["bind", "rshared"]), "the mount at /data has the option rshared"),
        ("/mounts/1/destination", Value::Null, "mount destination \"\" is not absolute"),
        ("/annotations", json!({"io.kubernetes.cri.container-type": "pod"}), "use sandbox or container"),
        ("/annotations", json!({"io.kubernetes.cri-o.ContainerType": "container"}), "no annotation says which"),
        ("/annotations", json!({"dev.gvisor.tar.rootfs.upper.c": "/x"}), "--allow-rootfs-tar-annotation is not set"),
    ] {
        let mut document = valid();
        let (parent, name) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value;
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(message), "{path}: {error}");
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
fn members_are_found_as_go_finds_them() {
    let text = r#"{
        "root": {"path": "/a", "readonly": true}, "Process": {"ARGS": ["x"], "CWD": "/w"}, "root": {"PATH": "/b"},
        "Annotations": {"Key": "1", "key": "2"}, "mounts": [{"Destination": "/m", "Type": "bind", "SOURCE": "/s", "Options": null}],
        "hooks": {"prestart": [{"args": ["x"]}], "startContainer": 7}, "LINUX": {"ROOTFSPROPAGATION": "slave", "Devices": [{}]}
    }"#;
    let container = Container::parse(text.as_bytes(), Path::new("/"), false).unwrap();
    assert_eq!((container.root.as_path(), container.root_read_only), (Path::new("/b"), true));
    assert_eq!(container.cwd, Path::new("/w"));
    assert_eq!(container.annotations.len(), 2);
    assert!(is_bind(&container.mounts[0]));
    assert_eq!(container.root_propagation.as_deref(), Some("slave"));
    assert_eq!((container.prestart.len(), container.devices.len()), (1, 1));
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
    document["process"]["capabilities"] = json!({"bounding": ["CAP_KILL", "CAP_OF_THE_FUTURE"], "effective": null});
    let spec = parse(&document).unwrap().oci().unwrap();
    let process = spec.process().as_ref().unwrap();
    let capabilities = process.capabilities().as_ref().unwrap();
    assert_eq!(capabilities.bounding().as_ref().map(|set| set.len()), Some(1));
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

/// Every member that the specification has for Linux.
fn whole() -> Value {
    serde_json::from_str(include_str!("testdata/whole.json")).unwrap()
}

fn seen(text: &str) -> Value {
    let container = Container::parse(text.as_bytes(), Path::new("/"), false);
    let container = container.unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_value(container.oci().unwrap()).unwrap()
}

/// The places of all members of objects in `value`, as JSON pointers.
fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut go = |name: &str, value| {
        let at = format!("{at}/{name}");
        members(value, &at, found);
        if !name.starts_with(|first: char| first.is_ascii_digit()) {
            found.push(at);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| go(name, value)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| go(&index.to_string(), value));
        }
        _ => {}
    }
}

/// Objects whose members have names that the specification does not give.
const MAPS: [&str; 6] = [
    "/annotations",
    "/linux/netDevices",
    "/linux/sysctl",
    "/linux/resources/rdma",
    "/linux/resources/unified",
    "/linux/timeOffsets",
];

#[test]
fn extensions_see_all_of_a_spec() {
    assert_eq!(seen(&whole().to_string()), whole());
}

#[test]
fn every_member_may_be_missing_or_null() {
    let mut places = Vec::new();
    members(&whole(), "", &mut places);
    // Without these there is no container.
    let needed = ["/root", "/root/path", "/process", "/process/args", "/mounts/0/destination"];
    let places: Vec<&String> = places.iter().filter(|place| !needed.contains(&place.as_str())).collect();
    assert!(places.len() > 150, "{}", places.len());
    for place in places {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let mut null = whole();
        *null.pointer_mut(place).unwrap() = Value::Null;
        let mut missing = whole();
        missing.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        let (null, missing) = (seen(&null.to_string()), seen(&missing.to_string()));
        if !MAPS.contains(&parent) {
            assert_eq!(null, missing, "{place}");
        }
        // What is beside it is still there.
        let mut expected = whole();
        for changed in [&null, &missing] {
            for (name, value) in expected.as_object_mut().unwrap() {
                if !place[1..].starts_with(name.as_str()) {
                    assert_eq!(value, &changed[name], "{place}");
                }
            }
            assert_eq!(place.starts_with("/process/env"), changed["process"]["env"] != json!(["A=b"]), "{place}");
        }
    }
}

/// The text of `value`, with another spelling of its members' names, and each twice if `twice`.
fn respelled(value: &Value, at: &str, twice: bool) -> String {
    match value {
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| {
                let spelled = if MAPS.contains(&at) { name.clone() } else { name.to_uppercase() };
                let place = format!("{at}/{name}");
                let inner = respelled(value, &place, twice);
                let again = if twice { format!("{:?}: {value},", name) } else { String::new() };
                format!("{again}{spelled:?}: {inner}")
            };
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(","))
        }
        Value::Array(elements) => {
            let one = |(index, value): (usize, &Value)| respelled(value, &format!("{at}/{index}"), twice);
            format!("[{}]", elements.iter().enumerate().map(one).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn every_member_may_be_spelled_otherwise_and_come_twice() {
    for twice in [false, true] {
        assert_eq!(seen(&respelled(&whole(), "", twice)), whole(), "{twice}");
    }
}

#[test]
fn flags_are_known_by_the_names_of_the_specification() {
    let mut document = whole();
    document["process"]["scheduler"]["flags"] =
        json!(["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_OF_THE_FUTURE"]);
    let container = Container::parse(document.to_string().as_bytes(), Path::new("/"), false).unwrap();
    let spec = container.oci().unwrap();
    let scheduler = spec.process().as_ref().unwrap().scheduler().as_ref().unwrap();
    assert_eq!(scheduler.flags().as_ref().map(Vec::len), Some(2));
}
