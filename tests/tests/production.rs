//! The chapter on production: what it tells people to write into configuration files is well-formed and fits together.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{bins, check, command, scratch};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// The texts of all code blocks in `language`.
fn blocks(language: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(bins::workspace().join("gofer/docs/production.md"))?;
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line.strip_prefix("```") == Some(language)) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
    }
    if blocks.is_empty() {
        bail!("there is no {language} in the chapter");
    }
    Ok(blocks)
}

fn json() -> Result<Vec<Value>> {
    blocks("json")?.iter().map(|text| serde_json::from_str(text).with_context(|| text.clone())).collect()
}

fn toml() -> Result<Vec<Value>> {
    blocks("toml")?.iter().map(|text| toml::from_str(text).with_context(|| text.clone())).collect()
}

/// Our runtime in a configuration of containerd, with its name.
fn containerd_runtime(config: &Value) -> Option<(&str, &Value)> {
    let plugin = match config["version"].as_u64()? {
        2 => "io.containerd.grpc.v1.cri",
        3 => "io.containerd.cri.v1.runtime",
        _ => return None,
    };
    let runtimes = config["plugins"][plugin]["containerd"]["runtimes"].as_object()?;
    // It is the one beside the default.
    runtimes.iter().find(|(name, _)| *name != "runc").map(|(name, runtime)| (name.as_str(), runtime))
}

/// The two objects of Kubernetes: the class and the pod.
fn with_kubernetes<T>(look: impl FnOnce(&Yaml<'_>, &Yaml<'_>) -> Result<T>) -> Result<T> {
    let texts = blocks("yaml")?;
    let [class, pod] = texts.as_slice() else { bail!("there are {} blocks of YAML", texts.len()) };
    let (class, pod) = (Yaml::load_from_str(class)?, Yaml::load_from_str(pod)?);
    look(class.first().context("empty")?, pod.first().context("empty")?)
}

fn text<'a>(yaml: &'a Yaml<'_>, path: &[&str]) -> Result<&'a str> {
    let found = path.iter().try_fold(yaml, |node, name| node.as_mapping_get(name));
    found.and_then(Yaml::as_str).with_context(|| format!("there is no text at {path:?}"))
}

/// The annotations of the pod.
fn annotations(pod: &Yaml<'_>) -> Result<Vec<(String, String)>> {
    let metadata = pod.as_mapping_get("metadata").context("no metadata")?;
    let mapping = metadata.as_mapping_get("annotations").and_then(Yaml::as_mapping).context("no annotations")?;
    let pair = |(key, value): (&Yaml<'_>, &Yaml<'_>)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
    mapping.iter().map(|entry| pair(entry).context("an annotation that is no text")).collect()
}

#[test]
fn docker_starts_runsc() -> Result<()> {
    let places = scratch::memory()?;
    let gofer = bins::gofer()?;
    symlink(&gofer, places.path().join("gofer"))?;
    symlink(&gofer, places.path().join("runsc-gofer-rs"))?;
    let mut started = 0;
    for config in json()? {
        for (name, runtime) in config["runtimes"].as_object().into_iter().flatten() {
            let path = Path::new(runtime["path"].as_str().context("no path")?);
            check::equal(name, &path.parent(), &Some(Path::new("/usr/local/bin")))?;
            // A runsc that is not there says by its name that it was looked for.
            let words = runtime["runtimeArgs"].as_array().context("no runtimeArgs")?;
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            let file = path.file_name().context("no file name")?;
            let mut command = Command::new(places.path().join(file));
            command.args(&words).arg("--version").env("GOFER_RUNSC", "/opt/runsc-next/runsc");
            let outcome = command::run(&mut command, LIMIT)?;
            let said = format!("{name}: {}", outcome.describe());
            check::equal(&said, &outcome.status.code(), &Some(128))?;
            check::holds(&said, outcome.stderr.starts_with("gofer: cannot run /opt/runsc-next/runsc: "))?;
            started += 1;
        }
    }
    check::equal("runtimes", &started, &3)
}

#[test]
fn containerd_and_kubernetes_fit_together() -> Result<()> {
    let tables = toml()?;
    let shim =
        tables.iter().find(|table| table.get("binary_name").is_some()).context("no configuration of the shim")?;
    check::equal("program", &shim["binary_name"].as_str(), &Some("/usr/local/bin/runsc-gofer-rs"))?;
    for table in tables.iter().filter(|table| table.get("runsc_config").is_some()) {
        let flags = table["runsc_config"].as_object().context("flags are a table")?;
        check::holds("flags are texts", flags.values().all(Value::is_string))?;
    }
    let runtimes: Vec<_> = tables.iter().filter_map(containerd_runtime).collect();
    check::equal("both versions of containerd", &runtimes.len(), &2)?;
    check::equal("both say the same", &runtimes[0], &runtimes[1])?;
    let (name, runtime) = runtimes[0];
    let file = runtime["options"]["ConfigPath"].as_str().context("no ConfigPath")?;
    let chapter = fs::read_to_string(bins::workspace().join("gofer/docs/production.md"))?;
    // Wherever the lines are broken.
    let words = chapter.split_whitespace().collect::<Vec<_>>().join(" ");
    check::holds("the file is introduced", words.contains(&format!("a new file `{file}`")))?;
    with_kubernetes(|class, pod| {
        check::equal("handler", &text(class, &["handler"])?, &name)?;
        check::equal("class", &text(pod, &["spec", "runtimeClassName"])?, &text(class, &["metadata", "name"])?)?;
        let passed: Vec<&str> =
            runtime["pod_annotations"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, _) in annotations(pod)? {
            let passes = passed.iter().any(|pattern| key.starts_with(pattern.trim_end_matches('*')));
            check::holds(&format!("containerd passes {key} on"), passes)?;
        }
        Ok(())
    })
}

#[test]
fn kubernetes_accepts_the_annotations() -> Result<()> {
    with_kubernetes(|_, pod| {
        let all = annotations(pod)?;
        for (key, _) in &all {
            // Without a prefix and a slash, which none needs here.
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            check::holds(key, key.len() <= 63 && key.chars().all(allowed) && key.ends_with(char::is_alphanumeric))?;
        }
        let value = |key: &str| all.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str());
        check::equal("place", &value("dev.gofer.destination.scratch"), &Some("/scratch"))?;
        check::equal("directfs", &value("dev.gvisor.spec.mount.scratch.directfs"), &Some("off"))
    })
}

#[test]
fn the_bundle_is_about_one_mount() -> Result<()> {
    let all = json()?;
    let bundle = all.iter().find(|value| value.get("annotations").is_some()).context("no bundle")?;
    let mount = &bundle["mounts"][0];
    let destination = mount["destination"].as_str().context("no destination")?;
    let annotations = &bundle["annotations"];
    check::holds("backend", annotations.get(format!("dev.gofer.backend.{destination}")).is_some())?;
    check::equal("source", &annotations["dev.gvisor.spec.mount.cache.source"], &mount["source"])
}
