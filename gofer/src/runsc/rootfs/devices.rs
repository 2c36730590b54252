//! Devices of the host that sandboxes with accelerators get through `/dev`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::sealed::Sealed;
use super::tree::Tree;
use super::walk::{self, Kind};
use super::{RootError, Served, volume};
use crate::runsc::args::Globals;
use crate::runsc::spec::Container;

const GPU_ANNOTATION: &str = "dev.gvisor.internal.nvproxy";
const TPU_ANNOTATION: &str = "dev.gvisor.internal.tpuproxy";
const VISIBLE_GPUS: &str = "NVIDIA_VISIBLE_DEVICES=";

/// Makes `/dev` below `root`, with the devices in it that the flags and the spec allow.
pub(super) fn make(
    root: BorrowedFd<'_>,
    sealed: &Sealed,
    container: &Container,
    globals: &Globals,
) -> Result<Served, RootError> {
    let failed = |path: &Path, source| RootError::Device { path: path.to_path_buf(), source };
    let dev = Path::new("/dev");
    let place = walk::find_or_make(root, sealed, dev, Kind::Directory).map_err(|error| failed(dev, error))?;
    let allowed = Allowed::new(container, globals);
    for device in container.devices.iter().filter(|device| allowed.allows(&device.path)) {
        let path = device.path.as_path();
        let failed = |error| failed(path, error);
        let source = volume::open(path).map_err(failed)?;
        let tree = Tree::copy(&source, false).map_err(failed)?;
        let kind = volume::kind(tree.as_fd()).map_err(failed)?;
        let place = walk::find_or_make(root, sealed, path, kind).map_err(failed)?;
        tree.attach(place.fd).map_err(failed)?;
    }
    Ok(Served { fd: place.fd, path: dev.to_path_buf() })
}

/// Which kinds of devices are wanted.
struct Allowed {
    gpus: bool,
    tpus: bool,
    rdma: bool,
}

impl Allowed {
    fn new(container: &Container, globals: &Globals) -> Self {
        let has = |is: fn(&str) -> bool| container.devices.iter().any(|device| device.path.to_str().is_some_and(is));
        Allowed {
            gpus: globals.nvproxy
                || annotation(container, GPU_ANNOTATION)
                || has(|path| path == "/dev/nvidiactl")
                || has_gpu_hook(container, globals),
            tpus: globals.tpuproxy
                || annotation(container, TPU_ANNOTATION)
                || has(|path| {
                    path.starts_with("/dev/accel") || path.starts_with("/dev/vfio") && path != "/dev/vfio/vfio"
                }),
            rdma: globals.rdmaproxy,
        }
    }

    fn allows(&self, path: &Path) -> bool {
        let Some(path) = path.to_str() else { return false };
        let is_numbered = |prefix| {
            path.strip_prefix(prefix)
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        };
        let is_gpu = matches!(path, "/dev/nvidiactl" | "/dev/nvidia-uvm") || is_numbered("/dev/nvidia");
        let is_tpu = path.starts_with("/dev/vfio") || is_numbered("/dev/accel") && is_real_tpu(path);
        let is_rdma = path.starts_with("/dev/infiniband/uverbs");
        self.gpus && is_gpu || self.tpus && is_tpu || self.rdma && is_rdma
    }
}

/// Whether an annotation says yes. One that says neither yes nor no says no.
fn annotation(container: &Container, key: &str) -> bool {
    match container.annotations.get(key).map(String::as_str) {
        None => false,
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => {
            tracing::warn!("annotation {key} is ignored: expected true or false, found {other:?}");
            false
        }
    }
}

/// Whether a hook is going to bring GPUs, and the container wants some.
fn has_gpu_hook(container: &Container, globals: &Globals) -> bool {
    let has_hook = globals.nvproxy_docker
        || container.create_container.iter().any(|hook| hook.path.ends_with("nvidia-cdi-hook"))
        || container.prestart.iter().any(|hook| hook.path.ends_with("nvidia-container-runtime-hook"));
    let wanted = container.environment.iter().rev().find_map(|variable| variable.strip_prefix(VISIBLE_GPUS));
    has_hook && wanted.is_some_and(|wanted| !wanted.is_empty() && wanted != "void")
}

/// Whether the accelerator at `path` is one that the sandbox can drive: made by Google, by what sysfs says.
fn is_real_tpu(path: &str) -> bool {
    const GOOGLE: &str = "0x1ae0";
    const MODELS: [&str; 2] = ["0x005e", "0x0056"];
    let Some(name) = path.strip_prefix("/dev/") else { return false };
    let id = |which: &str| std::fs::read_to_string(format!("/sys/class/accel/{name}/device/{which}"));
    let (Ok(vendor), Ok(device)) = (id("vendor"), id("device")) else { return false };
    vendor.trim() == GOOGLE && MODELS.contains(&device.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(devices: &[&str], annotations: &serde_json::Value, env: &[&str]) -> Container {
        let devices: Vec<_> = devices.iter().map(|path| json!({"path": path})).collect();
        let document = json!({
            "process": {"args": ["sh"], "env": env},
            "root": {"path": "/r"},
            "linux": {"devices": devices},
            "hooks": {"createContainer": [{"path": "/usr/bin/nvidia-cdi-hook"}]},
            "annotations": annotations,
        });
        Container::parse(document.to_string().as_bytes(), Path::new("/"), false).unwrap()
    }

    fn allowed(container: &Container) -> Vec<&str> {
        let allowed = Allowed::new(container, &Globals::default());
        container
            .devices
            .iter()
            .filter_map(|device| device.path.to_str())
            .filter(|path| allowed.allows(Path::new(path)))
            .collect()
    }

    const DEVICES: [&str; 6] =
        ["/dev/nvidia0", "/dev/nvidiax", "/dev/nvidia-uvm", "/dev/vfio/vfio", "/dev/infiniband/uverbs0", "/dev/sda"];

    #[test]
    fn devices_need_a_reason() {
        let none = json!({});
        assert!(allowed(&container(&DEVICES, &none, &[])).is_empty());
        assert_eq!(
            allowed(&container(&DEVICES, &json!({GPU_ANNOTATION: "true"}), &[])),
            ["/dev/nvidia0", "/dev/nvidia-uvm"]
        );
        assert!(allowed(&container(&DEVICES, &json!({GPU_ANNOTATION: "maybe"}), &[])).is_empty());
        assert_eq!(allowed(&container(&DEVICES, &json!({TPU_ANNOTATION: "1"}), &[])), ["/dev/vfio/vfio"]);
        assert_eq!(allowed(&container(&["/dev/vfio/0"], &none, &[])), ["/dev/vfio/0"]);
    }

    #[test]
    fn hooks_bring_gpus_if_they_are_wanted() {
        let none = json!({});
        for (env, is_allowed) in [
            (&["NVIDIA_VISIBLE_DEVICES=all"][..], true),
            (&["NVIDIA_VISIBLE_DEVICES=void"], false),
            (&["NVIDIA_VISIBLE_DEVICES="], false),
            (&[], false),
        ] {
            assert_eq!(allowed(&container(&["/dev/nvidia0"], &none, env)).len(), usize::from(is_allowed), "{env:?}");
        }
    }
}
