//! Every optional field of the runtime specification, as `null` and with a value.

use std::fs;

use anyhow::Result;
use e2e::bins;
use e2e::check;
use e2e::sandbox::{self, Bundle, Sandbox};
use serde_json::{Map, Value, json};

/// A spec with every field in it that there is. The gofer's own tests read it field by field; a container would be
/// started too often for that.
fn whole() -> Result<Value> {
    let file = bins::workspace().join("gofer/src/runsc/spec/testdata/whole.json");
    Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
}

/// Values that a container can have, of all fields that no other test is about.
fn values() -> Value {
    let hook = json!([{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 10}]);
    json!({
        "process": {
            "terminal": false,
            "consoleSize": {"height": 25, "width": 80},
            "user": {"umask": 0o27, "additionalGids": [4], "username": "name"},
            "commandLine": "sh",
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 512, "soft": 256}],
            "noNewPrivileges": true,
            "apparmorProfile": "profile",
            "oomScoreAdj": 0,
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
            "scheduler": {"policy": "SCHED_OTHER", "nice": 0, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
            "execCPUAffinity": {"initial": "0", "final": "0"},
        },
        "domainname": "domain",
        "hooks": {
            "prestart": hook, "createRuntime": hook, "createContainer": hook, "poststart": hook, "poststop": hook,
        },
        "annotations": {"key": "value"},
        "linux": {
            "netDevices": {},
            "sysctl": {"net.core.somaxconn": "256"},
            "resources": {
                "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
                "memory": {"limit": 1_u64 << 30, "swappiness": 0, "checkBeforeUpdate": true},
                "cpu": {"shares": 100, "quota": 100_000, "period": 100_000, "cpus": "0"},
                "pids": {"limit": 1000},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            },
            "cgroupsPath": "/not/used",
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 4, "gid": 5}],
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"]},
            "rootfsPropagation": "slave",
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "mountLabel": "",
            "personality": {"domain": "LINUX"},
            "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}},
        },
    })
}

/// `value` with `null` for all that is in it.
fn hollow(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), hollow(value))).collect(),
        Value::Array(elements) if elements.iter().all(Value::is_object) => elements.iter().map(hollow).collect(),
        _ => Value::Null,
    }
}

/// Adds to `spec` what it does not have, as `change` makes it of what `other` has.
fn complete(spec: &mut Map<String, Value>, other: &Value, change: fn(&Value) -> Value) {
    for (name, value) in other.as_object().into_iter().flatten() {
        match spec.get_mut(name) {
            Some(Value::Object(members)) => complete(members, value, change),
            Some(_) => {}
            None => _ = spec.insert(name.clone(), change(value)),
        }
    }
}

/// Runs a container that has all fields of `fields`, and answers what it says.
fn run(sandbox: &Sandbox, name: &str, fields: &Value, change: fn(&Value) -> Value) -> Result<String> {
    let data = sandbox.directory(&format!("data-{name}"))?;
    fs::write(data.join("file"), "")?;
    let script = "ls /data; touch /data/new /new; id -u; id -G; umask; ulimit -n; echo x > /proc/sys/kernel/hostname || echo refused";
    let bundle = Bundle::busybox(sandbox, name)?.bind(&data, "/data", &["rw"]).script(script);
    bundle.write(sandbox)?;
    let file = bundle.path().join("config.json");
    let mut spec: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&file)?)?;
    // They are there, but empty.
    spec.remove("hooks");
    complete(&mut spec, fields, change);
    for mount in spec.get_mut("mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(mount) = mount.as_object_mut() else { continue };
        complete(mount, &fields["mounts"][0], |_| Value::Null);
    }
    fs::write(&file, Value::from(spec).to_string())?;
    let outcome = sandbox.call(["run", "--bundle", &bundle.path().to_string_lossy(), bundle.id()])?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds(&outcome.describe(), outcome.stdout.starts_with("file\n") && data.join("new").exists())?;
    Ok(outcome.describe())
}

#[test]
fn every_optional_field_is_null() -> Result<()> {
    let all = whole()?;
    let mut parts = all.clone();
    // Of these, not even runsc takes empty ones.
    parts["process"]["rlimits"].take();
    parts["hooks"].take();
    for field in ["uidMappings", "gidMappings", "devices", "seccomp"] {
        parts["linux"][field].take();
    }
    sandbox::compare(|sandbox| {
        let whole = run(sandbox, "whole", &all, |_| Value::Null)?;
        let parts = run(sandbox, "parts", &parts, hollow)?;
        Ok(format!("{whole}\n{parts}"))
    })
}

#[test]
fn every_optional_field_has_a_value() -> Result<()> {
    let fields = values();
    sandbox::compare(|sandbox| {
        let said = run(sandbox, "c", &fields, Value::clone)?;
        check::holds(&said, said.contains("\n256\n"))?;
        Ok(said)
    })
}
