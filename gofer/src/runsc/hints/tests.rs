use super::*;

fn mounts(annotations: &[(&str, &str)]) -> Result<(MountHints, Vec<Warning>), HintError> {
    MountHints::parse(annotations.iter().copied())
}

fn rootfs(annotations: &[(&str, &str)]) -> Result<Option<RootfsHint>, HintError> {
    RootfsHint::parse(annotations.iter().copied())
}

/// A complete hint of name `data`, with one field more or another value for one.
fn complete_with(field: &str, value: &str) -> (Option<MountHint>, Vec<Warning>) {
    let key = format!("{MOUNT_PREFIX}data.{field}");
    let usual = [
        ("dev.gvisor.spec.mount.data.source", "/data"),
        ("dev.gvisor.spec.mount.data.type", "bind"),
        ("dev.gvisor.spec.mount.data.share", "pod"),
    ];
    let annotations = usual.into_iter().filter(|(usual, _)| *usual != key).chain([(key.as_str(), value)]);
    let (hints, warnings) = MountHints::parse(annotations).unwrap();
    (hints.iter().next().cloned(), warnings)
}

fn data_hint() -> MountHint {
    MountHint {
        name: "data".to_owned(),
        source: "/data".to_owned(),
        mount_type: MountType::Bind,
        share: Share::Pod,
        options: Vec::new(),
        directfs: Directfs::Default,
    }
}

#[test]
fn every_field_with_every_valid_value() {
    let strings = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect();
    let table: [(&str, &str, MountHint); 14] = [
        ("source", "/other", MountHint { source: "/other".to_owned(), ..data_hint() }),
        // Compared as it is, so whatever text there is will do.
        ("source", "x/../y", MountHint { source: "x/../y".to_owned(), ..data_hint() }),
        ("type", "bind", data_hint()),
        ("type", "tmpfs", MountHint { mount_type: MountType::Tmpfs, ..data_hint() }),
        ("share", "container", MountHint { share: Share::Container, ..data_hint() }),
        ("share", "pod", data_hint()),
        ("share", "shared", MountHint { share: Share::Shared, ..data_hint() }),
        ("options", "", data_hint()),
        ("options", "ro", MountHint { options: strings(&["ro"]), ..data_hint() }),
        ("options", "ro,size=1g", MountHint { options: strings(&["ro", "size=1g"]), ..data_hint() }),
        ("options", "rw,", MountHint { options: strings(&["rw"]), ..data_hint() }),
        ("directfs", "default", data_hint()),
        ("directfs", "off", MountHint { directfs: Directfs::Off, ..data_hint() }),
        ("options", "private", MountHint { options: strings(&["private"]), ..data_hint() }),
    ];
    for (field, value, expected) in table {
        assert_eq!(complete_with(field, value), (Some(expected), vec![]), "{field}={value}");
    }
}

#[test]
fn bad_values_cost_their_field_only() {
    let table = [
        ("directfs", "true"),
        ("directfs", "false"),
        ("directfs", "on"),
        ("directfs", "Off"),
        ("directfs", ""),
        ("lifecycle", "pod"),
        ("colour", "red"),
        ("Source", "/x"),
        ("", "x"),
    ];
    for (field, value) in table {
        let (hint, warnings) = complete_with(field, value);
        assert_eq!(hint, Some(data_hint()), "{field}={value}");
        let [warning] = &warnings[..] else { panic!("{field}={value}: {warnings:?}") };
        assert!(warning.to_string().contains(&format!("data.{field}")), "{warning}");
    }
    let (hint, warnings) = complete_with("options", "shared,ro,rshared");
    assert_eq!(hint.unwrap().options, ["ro"]);
    let key = "dev.gvisor.spec.mount.data.options".to_owned();
    let bad = |option: &str| Warning::BadOption { key: key.clone(), option: option.to_owned() };
    assert_eq!(warnings, [bad("shared"), bad("rshared")]);
}

#[test]
fn a_bad_value_of_a_field_that_is_needed_costs_the_hint() {
    for (field, value) in [("source", ""), ("type", "erofs"), ("type", ""), ("share", "everybody"), ("share", "")] {
        let (hint, warnings) = complete_with(field, value);
        assert_eq!(hint, None, "{field}={value}");
        let incomplete = |warning: &Warning| matches!(warning, Warning::Incomplete { field: f, .. } if *f == field);
        assert!(matches!(warnings[0], Warning::BadValue { .. }) && incomplete(&warnings[1]), "{warnings:?}");
        assert_eq!(warnings.len(), 2);
    }
}

#[test]
fn an_incomplete_hint_does_nothing() {
    let all = [
        ("dev.gvisor.spec.mount.data.source", "/data"),
        ("dev.gvisor.spec.mount.data.type", "bind"),
        ("dev.gvisor.spec.mount.data.share", "pod"),
    ];
    for (left_out, field) in ["source", "type", "share"].into_iter().enumerate() {
        let mut annotations = all.to_vec();
        annotations.remove(left_out);
        annotations.push(("dev.gvisor.spec.mount.data.directfs", "off"));
        let (hints, warnings) = mounts(&annotations).unwrap();
        assert_eq!(hints.iter().next(), None);
        assert_eq!(warnings, [Warning::Incomplete { name: "data".to_owned(), field }]);
    }
}

#[test]
fn malformed_keys_are_fatal() {
    for key in [
        "dev.gvisor.spec.mount.",
        "dev.gvisor.spec.mount.data",
        "dev.gvisor.spec.mount..source",
        "dev.gvisor.spec.mount.my.data.source",
        "dev.gvisor.spec.mount.data.source.",
    ] {
        assert_eq!(mounts(&[(key, "/data")]), Err(HintError::Key { key: key.to_owned() }));
    }
    assert_eq!(
        HintError::Key { key: "k".to_owned() }.to_string(),
        "annotation k: expected dev.gvisor.spec.mount.NAME.FIELD, with a NAME that is not empty and has no dot"
    );
}

#[test]
fn other_annotations_are_none_of_our_business() {
    let others = [
        ("dev.gvisor.spec.mount", "x"),
        ("dev.gvisor.spec.mounts.data.source", "x"),
        ("dev.gvisor.flag.directfs", "false"),
        ("io.kubernetes.cri.container-type", "sandbox"),
        ("dev.gvisor.spec.rootfs", "x"),
    ];
    assert_eq!(mounts(&others), Ok((MountHints::default(), vec![])));
    assert_eq!(rootfs(&others), Ok(None));
    assert!(!lisafs_needed(true, others, false));
}

#[test]
fn two_complete_hints_for_one_source_are_fatal() {
    let mut annotations = vec![
        ("dev.gvisor.spec.mount.b.source", "/data"),
        ("dev.gvisor.spec.mount.b.type", "bind"),
        ("dev.gvisor.spec.mount.b.share", "pod"),
        ("dev.gvisor.spec.mount.a.source", "/data"),
        ("dev.gvisor.spec.mount.a.type", "tmpfs"),
    ];
    let (hints, warnings) = mounts(&annotations).unwrap();
    assert_eq!(hints.for_mount("/data").unwrap().name, "b");
    assert_eq!(warnings, [Warning::Incomplete { name: "a".to_owned(), field: "share" }]);

    annotations.push(("dev.gvisor.spec.mount.a.share", "pod"));
    let same =
        HintError::SameSource { mount_source: "/data".to_owned(), first: "a".to_owned(), second: "b".to_owned() };
    for _ in 0..annotations.len() {
        annotations.rotate_left(1);
        assert_eq!(mounts(&annotations), Err(same.clone()));
    }
    // Another spelling is another source.
    annotations.retain(|(key, _)| *key != "dev.gvisor.spec.mount.a.source");
    annotations.push(("dev.gvisor.spec.mount.a.source", "/data/"));
    let (hints, _) = mounts(&annotations).unwrap();
    assert_eq!(hints.for_mount("/data").unwrap().name, "b");
    assert_eq!(hints.for_mount("/data/").unwrap().name, "a");
    assert_eq!(hints.for_mount("/data/x"), None);
}

#[test]
fn warnings_come_in_the_order_of_keys_and_then_of_names() {
    let mut annotations = vec![
        ("dev.gvisor.spec.mount.z.type", "no"),
        ("dev.gvisor.spec.mount.a.share", "no"),
        ("dev.gvisor.spec.mount.m.what", "no"),
    ];
    let (_, first) = mounts(&annotations).unwrap();
    let text: Vec<String> = first.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("a.share") && text[1].contains("m.what") && text[2].contains("z.type"), "{text:?}");
    assert!(text[3].contains("hint a ") && text[4].contains("hint m ") && text[5].contains("hint z "), "{text:?}");
    for _ in 0..annotations.len() {
        annotations.rotate_left(1);
        assert_eq!(mounts(&annotations).unwrap().1, first);
    }
}

/// A complete hint for the root file system, with one field more or another value for one.
fn rootfs_with(field: &str, value: &str) -> Result<Option<RootfsHint>, HintError> {
    let key = format!("{ROOTFS_PREFIX}{field}");
    let usual = [("dev.gvisor.spec.rootfs.source", "/rootfs"), ("dev.gvisor.spec.rootfs.type", "bind")];
    RootfsHint::parse(usual.into_iter().filter(|(usual, _)| *usual != key).chain([(key.as_str(), value)]))
}

#[test]
fn the_root_file_system_has_valid_values() {
    let usual = || RootfsHint {
        source: "/rootfs".to_owned(),
        rootfs_type: RootfsType::Bind,
        overlay: None,
        options: Vec::new(),
        directfs: Directfs::Default,
    };
    let table = [
        ("source", "/x", RootfsHint { source: "/x".to_owned(), ..usual() }),
        ("type", "bind", usual()),
        ("type", "erofs", RootfsHint { rootfs_type: RootfsType::Erofs, ..usual() }),
        ("overlay", "", RootfsHint { overlay: Some(Overlay::None), ..usual() }),
        ("overlay", "memory", RootfsHint { overlay: Some(Overlay::Memory), ..usual() }),
        ("overlay", "self", RootfsHint { overlay: Some(Overlay::InItself), ..usual() }),
        ("overlay", "dir=/x", RootfsHint { overlay: Some(Overlay::Directory("/x".to_owned())), ..usual() }),
        ("options", "", usual()),
        ("options", "size=1g", RootfsHint { options: vec!["size=1g".to_owned()], ..usual() }),
        ("directfs", "default", usual()),
        ("directfs", "off", RootfsHint { directfs: Directfs::Off, ..usual() }),
    ];
    for (field, value, expected) in table {
        assert_eq!(rootfs_with(field, value), Ok(Some(expected)), "{field}={value}");
    }
}

#[test]
fn the_root_file_system_forgives_nothing() {
    for (field, value) in [
        ("source", ""),
        ("source", "rootfs"),
        ("type", "tmpfs"),
        ("type", ""),
        ("overlay", "none"),
        ("overlay", "dir="),
        ("overlay", "dir=x"),
        ("options", "ro"),
        ("options", "size="),
        ("options", "size=1,ro"),
        ("directfs", "true"),
        ("directfs", ""),
    ] {
        let error = rootfs_with(field, value).unwrap_err();
        assert!(matches!(error, HintError::RootfsValue { .. }), "{field}={value}: {error}");
        assert!(error.to_string().contains(&format!("rootfs.{field}")), "{error}");
    }
    for field in ["share", "", "a.source", "source."] {
        let error = rootfs_with(field, "/x").unwrap_err();
        assert_eq!(error, HintError::RootfsField { key: format!("{ROOTFS_PREFIX}{field}") });
    }
    for (given, value, field) in [("type", "bind", "source"), ("source", "/x", "type"), ("directfs", "off", "source")] {
        let key = format!("{ROOTFS_PREFIX}{given}");
        assert_eq!(rootfs(&[(&key, value)]), Err(HintError::RootfsIncomplete { field }));
    }
}

#[test]
fn a_mount_opts_out_alone() {
    let annotations = [
        ("dev.gvisor.spec.mount.a.source", "/off"),
        ("dev.gvisor.spec.mount.a.type", "bind"),
        ("dev.gvisor.spec.mount.a.share", "pod"),
        ("dev.gvisor.spec.mount.a.directfs", "off"),
        ("dev.gvisor.spec.mount.b.source", "/default"),
        ("dev.gvisor.spec.mount.b.type", "bind"),
        ("dev.gvisor.spec.mount.b.share", "pod"),
        ("dev.gvisor.spec.mount.b.directfs", "default"),
        ("dev.gvisor.spec.mount.c.source", "/unset"),
        ("dev.gvisor.spec.mount.c.type", "bind"),
        ("dev.gvisor.spec.mount.c.share", "pod"),
    ];
    let (hints, _) = mounts(&annotations).unwrap();
    let table = [
        (true, "/no hint", true),
        (true, "/unset", true),
        (true, "/default", true),
        (true, "/off", false),
        (false, "/no hint", false),
        (false, "/unset", false),
        (false, "/default", false),
        (false, "/off", false),
    ];
    for (global, source, donates) in table {
        assert_eq!(mount_directfs(global, hints.for_mount(source)), donates, "{global} {source}");
    }
    for (global, value, donates) in [
        (true, None, true),
        (true, Some("default"), true),
        (true, Some("off"), false),
        (false, None, false),
        (false, Some("default"), false),
        (false, Some("off"), false),
    ] {
        let hint = value.and_then(|value| rootfs_with("directfs", value).unwrap());
        assert_eq!(root_directfs(global, hint.as_ref()), donates, "{global} {value:?}");
    }
}

#[test]
fn who_needs_lisafs() {
    let nothing: &[(&str, &str)] = &[];
    let default: &[_] =
        &[("dev.gvisor.spec.mount.a.directfs", "default"), ("dev.gvisor.spec.rootfs.directfs", "default")];
    // As in the spec of a later container: there is no source.
    let off: &[_] = &[("dev.gvisor.spec.mount.a.directfs", "off")];
    let off_with_type: &[_] = &[("dev.gvisor.spec.mount.a.directfs", "off"), ("dev.gvisor.spec.mount.a.type", "bind")];
    let rootfs_off: &[_] = &[("dev.gvisor.spec.rootfs.directfs", "off")];
    let one_of_two: &[_] =
        &[("dev.gvisor.spec.mount.a.directfs", "default"), ("dev.gvisor.spec.mount.b.directfs", "off")];
    let bad: &[_] = &[("dev.gvisor.spec.mount.a.directfs", "false"), ("dev.gvisor.spec.rootfs.directfs", "no")];
    let elsewhere: &[_] = &[("dev.gvisor.spec.mount.directfs", "off"), ("dev.gvisor.directfs", "off")];
    let table = [
        (nothing, false),
        (default, false),
        (off, true),
        (off_with_type, true),
        (rootfs_off, true),
        (one_of_two, true),
        (bad, false),
        (elsewhere, false),
    ];
    for (annotations, with_directfs) in table {
        let needed = |global, extension| lisafs_needed(global, annotations.iter().copied(), extension);
        assert_eq!(needed(true, false), with_directfs, "{annotations:?}");
        assert!(needed(false, false) && needed(false, true) && needed(true, true), "{annotations:?}");
    }
}

#[test]
fn later_containers_of_a_pod_know_volumes_by_their_names() {
    let hint = |field: &str| format!("{MOUNT_PREFIX}cache.{field}");
    let [kind, share, directfs] = ["type", "share", "directfs"].map(hint);
    let without_source = [(kind.as_str(), "bind"), (share.as_str(), "shared"), (directfs.as_str(), "off")];
    let (hints, warnings) = mounts(&without_source).unwrap();
    assert_eq!(warnings, [Warning::Incomplete { name: "cache".to_owned(), field: "source" }]);
    let volumes = "/var/lib/kubelet/pods/1a-2b/volumes/kubernetes.io~empty-dir";
    assert!(hints.is_volume_without_directfs(&format!("{volumes}/cache")));
    for other in [format!("{volumes}/other"), format!("{volumes}/cache/below"), "/cache".into(), volumes.into()] {
        assert!(!hints.is_volume_without_directfs(&other), "{other}");
    }
    // Neither does a hint count that the sandbox would not know either, nor one that is not about directfs.
    for part in [&without_source[1..], &without_source[..2]] {
        assert!(!mounts(part).unwrap().0.is_volume_without_directfs(&format!("{volumes}/cache")), "{part:?}");
    }
}
