//! The members of `config.json` that are looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::Mount;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) process: Option<Process>,
    pub(super) root: Option<Root>,
    pub(super) mounts: Option<Vec<Mount>>,
    pub(super) hooks: Option<Hooks>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
    pub(super) linux: Option<Linux>,
    pub(super) solaris: Option<Value>,
    pub(super) windows: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) selinux_label: Option<String>,
    pub(super) apparmor_profile: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Root {
    pub(super) path: Option<PathBuf>,
    pub(super) readonly: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hooks {
    pub(super) create_container: Option<Vec<Hook>>,
    pub(super) prestart: Option<Vec<Hook>>,
}

/// A program to run at some point.
#[derive(Debug, Deserialize)]
pub(in crate::runsc) struct Hook {
    /// Absolute.
    pub(in crate::runsc) path: PathBuf,
    pub(in crate::runsc) args: Option<Vec<String>>,
    /// `NAME=VALUE`.
    pub(in crate::runsc) env: Option<Vec<String>>,
    /// In seconds.
    pub(in crate::runsc) timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Linux {
    pub(super) devices: Option<Vec<Device>>,
    pub(super) rootfs_propagation: Option<String>,
}

/// A device that the container gets.
#[derive(Debug, Deserialize)]
pub(in crate::runsc) struct Device {
    /// In the container and on the host.
    pub(in crate::runsc) path: PathBuf,
}
