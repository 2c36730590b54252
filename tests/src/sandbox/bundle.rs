//! What a container consists of: a directory with its configuration and its root file system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::runsc::DirectFs;
use super::{Sandbox, rootfs};

/// A container to be.
#[derive(Debug)]
pub struct Bundle {
    id: String,
    path: PathBuf,
    arguments: Vec<String>,
    read_only: bool,
    mounts: Vec<Value>,
    annotations: Map<String, Value>,
    hooks: Map<String, Value>,
}

impl Bundle {
    /// One that has busybox for its root.
    pub fn busybox(sandbox: &Sandbox, name: &str) -> Result<Self> {
        Self::new(sandbox, name, rootfs::busybox)
    }

    /// One that has the host's programs, read only.
    pub fn host(sandbox: &Sandbox, name: &str) -> Result<Self> {
        Ok(Self::new(sandbox, name, rootfs::host)?.bind(Path::new("/usr"), "/usr", &["ro"]))
    }

    fn new(sandbox: &Sandbox, name: &str, fill: impl Fn(&Path) -> Result<()>) -> Result<Self> {
        let path = sandbox.path().join("bundles").join(name);
        let root = path.join("rootfs");
        fs::create_dir_all(&root)?;
        fill(&root)?;
        let mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}),
        ];
        let (annotations, hooks) = (Map::new(), Map::new());
        Ok(Self {
            id: format!("{}-{name}", sandbox.name()),
            path,
            arguments: Vec::new(),
            read_only: false,
            mounts,
            annotations,
            hooks,
        })
    }

    /// The container's name, which no other container on the machine has: runsc listens on sockets of that name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its root file system, on the host.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// What it runs.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// It runs a shell script, which ends at the first failing command.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        self.arguments(&["/bin/sh", "-euc", script])
    }

    /// With something of the host in it.
    #[must_use]
    pub fn bind(mut self, source: &Path, destination: &str, options: &[&str]) -> Self {
        let options: Vec<&str> = ["rbind"].iter().chain(options).copied().collect();
        self.mounts.push(json!({"destination": destination, "type": "bind", "source": source, "options": options}));
        self
    }

    /// The same, with root for the owner of what belongs to the user and group `id` on the host, and nobody for all
    /// others.
    #[must_use]
    pub fn bind_mapped(mut self, source: &Path, destination: &str, options: &[&str], id: u32) -> Self {
        self = self.bind(source, destination, options);
        if let Some(mount) = self.mounts.last_mut() {
            for ids in ["uidMappings", "gidMappings"] {
                mount[ids] = json!([{"containerID": id, "hostID": 0, "size": 1}]);
            }
        }
        self
    }

    /// With a root that nobody can change.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// With an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// With a shell script that runs on the host at the given moment of the container's life.
    #[must_use]
    pub fn hook(mut self, moment: &str, script: &str) -> Self {
        self.hooks.insert(moment.to_owned(), json!([{"path": "/bin/sh", "args": ["sh", "-euc", script]}]));
        self
    }

    /// As the first container of a pod, in whose sandbox others run.
    #[must_use]
    pub fn sandbox(self) -> Self {
        self.annotation("io.kubernetes.cri.container-type", "sandbox")
    }

    /// As another container of the pod of `first`.
    #[must_use]
    pub fn container_of(self, first: &Self) -> Self {
        self.annotation("io.kubernetes.cri.container-type", "container")
            .annotation("io.kubernetes.cri.sandbox-id", &first.id)
    }

    /// Writes the configuration for the runsc of `sandbox`.
    pub fn write(&self, sandbox: &Sandbox) -> Result<()> {
        let mut annotations = self.annotations.clone();
        if sandbox.runsc().directfs() == DirectFs::Annotated {
            self.opt_out(&sandbox.root_overlay(), &mut annotations);
        }
        let namespaces = ["pid", "mount", "network", "ipc", "uts"].map(|kind| json!({"type": kind}));
        let configuration = json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": self.arguments,
                "cwd": "/",
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"],
                "user": { "uid": 0, "gid": 0 },
                "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
            },
            "root": { "path": "rootfs", "readonly": self.read_only },
            "hostname": "container",
            "mounts": self.mounts,
            "hooks": self.hooks,
            "annotations": annotations,
            "linux": { "namespaces": namespaces },
        });
        Ok(fs::write(self.path.join("config.json"), configuration.to_string())?)
    }

    /// Asks for all mounts that the gofer opens their files. The annotations of the root decide on its overlay, too.
    fn opt_out(&self, root_overlay: &str, annotations: &mut Map<String, Value>) {
        let mut sources: Vec<&Value> =
            self.mounts.iter().filter(|mount| mount["type"] == "bind").map(|mount| &mount["source"]).collect();
        // One annotation for each source.
        sources.dedup();
        for (number, source) in sources.into_iter().enumerate() {
            for (field, value) in
                [("source", source), ("type", &"bind".into()), ("share", &"shared".into()), ("directfs", &"off".into())]
            {
                annotations.insert(format!("dev.gvisor.spec.mount.m{number}.{field}"), value.clone());
            }
        }
        let root = self.root().to_string_lossy().into_owned();
        let fields = [("source", root.as_str()), ("type", "bind"), ("overlay", root_overlay), ("directfs", "off")];
        for (field, value) in fields {
            annotations.insert(format!("dev.gvisor.spec.rootfs.{field}"), value.into());
        }
    }
}

/// What Docker gives to its containers.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
