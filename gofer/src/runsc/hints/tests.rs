use super::*;

type Outcome = Result<(Hints, Vec<String>), HintError>;

fn parse<K: AsRef<str>>(annotations: &[(K, &str)]) -> Outcome {
    Hints::parse(annotations.iter().map(|(key, value)| (key.as_ref(), *value)))
}

/// What is said of a complete hint which would turn directfs off for /data, with one field more or another value for
/// one, and whether it does.
fn mount_with(field: &str, value: &str) -> (bool, Vec<String>) {
    let usual = [("source", "/data"), ("type", "bind"), ("share", "pod"), ("directfs", "off")];
    let fields = usual.into_iter().filter(|(usual, _)| *usual != field).chain([(field, value)]);
    let annotations: Vec<_> = fields.map(|(field, value)| (format!("{MOUNT_PREFIX}data.{field}"), value)).collect();
    let (hints, warnings) = parse(&annotations).unwrap();
    (hints.is_off("/data"), warnings)
}

#[test]
fn valid_fields_of_mounts_are_taken_as_they_are() {
    for (field, value) in [
        ("type", "bind"),
        ("type", "tmpfs"),
        ("share", "container"),
        ("share", "pod"),
        ("share", "shared"),
        ("options", ""),
        ("options", "rw,size=1g,private,"),
        ("directfs", "off"),
    ] {
        assert_eq!(mount_with(field, value), (true, vec![]), "{field}={value}");
    }
    assert_eq!(mount_with("directfs", "default"), (false, vec![]));
    // The same text is the same source, whatever text that is.
    assert_eq!(mount_with("source", "/data/"), (false, vec![]));
}

#[test]
fn bad_fields_of_mounts_cost_themselves_only() {
    let said = |field: &str, wrong: &str| vec![format!("annotation {MOUNT_PREFIX}data.{field} is ignored: {wrong}")];
    for value in ["true", "false", "on", "Off", ""] {
        let expected = said("directfs", &format!("expected default or off, found {value:?}"));
        assert_eq!(mount_with("directfs", value), (false, expected));
    }
    for (field, value) in [("lifecycle", "pod"), ("Source", "/x"), ("", "x")] {
        assert_eq!(mount_with(field, value), (true, said(field, "no such field")));
    }
    let spread = |option| {
        format!(
            "annotation {MOUNT_PREFIX}data.options: the option {option:?} is ignored because it would let mounts propagate"
        )
    };
    assert_eq!(mount_with("options", "shared,ro,rshared"), (true, vec![spread("shared"), spread("rshared")]));
}

#[test]
fn a_hint_without_a_valid_source_type_and_share_does_nothing() {
    let ignored = |field: &str| format!("the mount hint data is ignored: {field} is missing or not valid");
    for (field, value) in [("source", ""), ("type", "erofs"), ("type", ""), ("share", "everybody"), ("share", "")] {
        let (is_off, warnings) = mount_with(field, value);
        assert!(!is_off && warnings.len() == 2 && warnings[0].contains("expected "), "{field}={value}: {warnings:?}");
        assert_eq!(warnings[1], ignored(field));
    }
    let all = [("source", "/data"), ("type", "bind"), ("share", "pod"), ("directfs", "off")];
    for (left_out, _) in &all[..3] {
        let fields = all.iter().filter(|(field, _)| field != left_out);
        let annotations: Vec<_> =
            fields.map(|(field, value)| (format!("{MOUNT_PREFIX}data.{field}"), *value)).collect();
        let (hints, warnings) = parse(&annotations).unwrap();
        assert_eq!((hints.is_off("/data"), warnings), (false, vec![ignored(left_out)]));
    }
}

#[test]
fn malformed_keys_are_errors() {
    for rest in ["", "data", ".source", "my.data.source", "data.source."] {
        let key = format!("{MOUNT_PREFIX}{rest}");
        let told = "expected dev.gvisor.spec.mount.NAME.FIELD, with a NAME that is not empty and has no dot";
        assert_eq!(parse(&[(&key, "/data")]).unwrap_err().to_string(), format!("annotation {key}: {told}"));
    }
}

#[test]
fn other_annotations_are_about_something_else() {
    let others = [
        ("dev.gvisor.spec.mount", "x"),
        ("dev.gvisor.spec.mounts.data.source", "x"),
        ("dev.gvisor.flag.directfs", "false"),
        ("io.kubernetes.cri.container-type", "sandbox"),
        ("dev.gvisor.spec.rootfs", "x"),
    ];
    assert_eq!(parse(&others), Ok((Hints::default(), vec![])));
    assert!(!lisafs_needed(true, others, false));
}

#[test]
fn two_complete_hints_for_one_source_are_an_error() {
    let hint = |name: &str, field: &str| format!("{MOUNT_PREFIX}{name}.{field}");
    let mut annotations = vec![
        (hint("b", "source"), "/data"),
        (hint("b", "type"), "bind"),
        (hint("b", "share"), "pod"),
        (hint("a", "source"), "/data"),
        (hint("a", "type"), "tmpfs"),
    ];
    assert!(parse(&annotations).is_ok(), "one of them is incomplete");
    annotations.push((hint("a", "share"), "pod"));
    for _ in 0..annotations.len() {
        annotations.rotate_left(1);
        let error = parse(&annotations).unwrap_err().to_string();
        assert_eq!(error, "the mount hints a and b have the same source /data");
    }
}

#[test]
fn warnings_come_in_the_order_of_keys_and_then_of_names() {
    let mut annotations = vec![
        ("dev.gvisor.spec.mount.z.type", "no"),
        ("dev.gvisor.spec.mount.a.share", "no"),
        ("dev.gvisor.spec.mount.m.what", "no"),
    ];
    let (_, first) = parse(&annotations).unwrap();
    let words = ["a.share", "m.what", "z.type", "hint a ", "hint m ", "hint z "];
    assert!(first.len() == 6 && first.iter().zip(words).all(|(warning, word)| warning.contains(word)), "{first:?}");
    for _ in 0..annotations.len() {
        annotations.rotate_left(1);
        assert_eq!(parse(&annotations).unwrap().1, first);
    }
}

/// A complete hint which turns directfs off for the root file system, with one field more or another value for one.
fn rootfs_with(field: &str, value: &str) -> Result<bool, String> {
    let usual = [("source", "/rootfs"), ("type", "bind"), ("directfs", "off")];
    let fields = usual.into_iter().filter(|(usual, _)| *usual != field).chain([(field, value)]);
    let annotations: Vec<_> = fields.map(|(field, value)| (format!("{ROOTFS_PREFIX}{field}"), value)).collect();
    parse(&annotations).map(|(hints, _)| hints.rootfs_is_off()).map_err(|error| error.to_string())
}

#[test]
fn the_root_file_system_forgives_nothing() {
    for (field, value) in [
        ("source", "/x"),
        ("type", "bind"),
        ("type", "erofs"),
        ("overlay", ""),
        ("overlay", "memory"),
        ("overlay", "self"),
        ("overlay", "dir=/x"),
        ("options", ""),
        ("options", "size=1g"),
        ("directfs", "off"),
    ] {
        assert_eq!(rootfs_with(field, value), Ok(true), "{field}={value}");
    }
    assert_eq!(rootfs_with("directfs", "default"), Ok(false));
    for (field, value, expected) in [
        ("source", "", "an absolute path"),
        ("source", "rootfs", "an absolute path"),
        ("type", "tmpfs", "erofs or bind"),
        ("type", "", "erofs or bind"),
        ("overlay", "none", "nothing, memory, self, or dir= and an absolute path"),
        ("overlay", "dir=", "nothing, memory, self, or dir= and an absolute path"),
        ("overlay", "dir=x", "nothing, memory, self, or dir= and an absolute path"),
        ("options", "ro", "size= and a size"),
        ("options", "size=", "size= and a size"),
        ("options", "size=1,ro", "size= and a size"),
        ("directfs", "true", "default or off"),
        ("directfs", "", "default or off"),
    ] {
        let told = format!("annotation {ROOTFS_PREFIX}{field}: expected {expected}, found {value:?}");
        assert_eq!(rootfs_with(field, value), Err(told));
    }
    for field in ["share", "", "a.source", "source."] {
        let told = format!("annotation {ROOTFS_PREFIX}{field}: no such field");
        assert_eq!(rootfs_with(field, "/x"), Err(told));
    }
    for (given, value, field) in [("type", "bind", "source"), ("source", "/x", "type"), ("directfs", "off", "source")] {
        let error = parse(&[(format!("{ROOTFS_PREFIX}{given}"), value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("annotation {ROOTFS_PREFIX}{field} is missing: ")), "{error}");
    }
}

#[test]
fn whoever_says_off_needs_lisafs() {
    for (annotations, with_directfs) in [
        (vec![], false),
        (vec![("mount.a.directfs", "default"), ("rootfs.directfs", "default")], false),
        // As in the spec of a later container: there is no source.
        (vec![("mount.a.directfs", "off")], true),
        (vec![("mount.a.directfs", "off"), ("mount.a.type", "bind")], true),
        (vec![("rootfs.directfs", "off")], true),
        (vec![("mount.a.directfs", "default"), ("mount.b.directfs", "off")], true),
        (vec![("mount.a.directfs", "false"), ("rootfs.directfs", "no")], false),
        (vec![("mount.directfs", "off"), ("directfs", "off")], false),
    ] {
        let keys: Vec<_> = annotations.iter().map(|(key, value)| (format!("dev.gvisor.spec.{key}"), *value)).collect();
        let needed = |global, extension| {
            lisafs_needed(global, keys.iter().map(|(key, value)| (key.as_str(), *value)), extension)
        };
        assert_eq!(needed(true, false), with_directfs, "{annotations:?}");
        assert!(needed(false, false) && needed(false, true) && needed(true, true), "{annotations:?}");
    }
}

#[test]
fn later_containers_of_a_pod_know_volumes_by_their_names() {
    let hint = |field: &str| format!("{MOUNT_PREFIX}cache.{field}");
    let without_source = [(hint("type"), "bind"), (hint("share"), "shared"), (hint("directfs"), "off")];
    let (hints, warnings) = parse(&without_source).unwrap();
    assert_eq!(warnings, ["the mount hint cache is ignored: source is missing or not valid"]);
    let volumes = "/var/lib/kubelet/pods/1a-2b/volumes/kubernetes.io~empty-dir";
    assert!(hints.is_off(&format!("{volumes}/cache")));
    for other in [format!("{volumes}/other"), format!("{volumes}/cache/below"), "/cache".into(), volumes.into()] {
        assert!(!hints.is_off(&other), "{other}");
    }
    // Neither does a hint count that the sandbox would not know either, nor one that is not about directfs.
    for part in [&without_source[1..], &without_source[..2]] {
        assert!(!parse(part).unwrap().0.is_off(&format!("{volumes}/cache")), "{part:?}");
    }
}
