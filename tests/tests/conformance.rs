//! The public test suites pass on the mount, on every kind of backend and in every mode. `cargo xtask conform` runs them at full length.

use anyhow::{Result, bail};
use e2e::backend::{Backend, Served};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{fsx, host, pjdfstest, scratch, skip};

/// Long enough to meet every operation many times.
const OPERATIONS: u64 = 4000;

fn mounted(backend: Backend, io: Io, access: Access) -> Result<(Served, Mount)> {
    let served = backend.fresh()?;
    let mut command = mount::command(io, access)?;
    let mount = Mount::start(command.args(["--suid", "--dev"]).arg(&served.argument))?;
    Ok((served, mount))
}

fn posix(backend: Backend, io: Io, access: Access) -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    if io == Io::Passthrough && !host::can_pass_through() {
        skip!("this kernel has no FUSE passthrough");
    }
    let aside = scratch::memory()?;
    let (_served, mount) = mounted(backend, io, access)?;
    let report = pjdfstest::run(mount.path(), aside.path())?;
    if report.counts != pjdfstest::BAR {
        bail!("{:?}, wanted {:?}\n{}", report.counts, pjdfstest::BAR, report.failures.join("\n"));
    }
    mount.unmount()
}

fn random_io(backend: Backend, io: Io, access: Access) -> Result<()> {
    if io == Io::Passthrough && !(host::is_root() && host::can_pass_through()) {
        skip!("FUSE passthrough needs root and Linux 6.9");
    }
    let aside = scratch::memory()?;
    let (_served, mount) = mounted(backend, io, access)?;
    for seed in [11, 12] {
        fsx::run(mount.path(), aside.path(), seed, OPERATIONS)?;
    }
    mount.unmount()
}

/// One test for each suite, backend and mode.
macro_rules! modes {
    ($($module:ident: $backend:ident, $io:ident, $access:ident;)*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn pjdfstest() -> Result<()> {
                posix(Backend::$backend, Io::$io, Access::$access)
            }

            #[test]
            fn fsx() -> Result<()> {
                random_io(Backend::$backend, Io::$io, Access::$access)
            }
        })*

        #[test]
        fn no_mode_is_left_out() {
            let covered = [$((Backend::$backend, Io::$io, Access::$access)),*];
            for backend in [Backend::Host, Backend::Memory, Backend::Wrapped] {
                for io in Io::ALL.into_iter().filter(|io| backend.can(*io)) {
                    for access in Access::ALL {
                        let mode = (backend, io, access);
                        // A wrapper passes donated files on: what the kernel or the bridge does with them is the same.
                        let same = backend == Backend::Wrapped && matches!(io, Io::Passthrough | Io::Direct);
                        assert!(same || covered.contains(&mode), "{mode:?}");
                    }
                }
            }
        }
    };
}

modes! {
    host_auto_exclusive: Host, Auto, Exclusive;
    host_auto_shared: Host, Auto, Shared;
    host_passthrough_exclusive: Host, Passthrough, Exclusive;
    host_passthrough_shared: Host, Passthrough, Shared;
    host_direct_exclusive: Host, Direct, Exclusive;
    host_direct_shared: Host, Direct, Shared;
    host_rpc_exclusive: Host, Rpc, Exclusive;
    host_rpc_shared: Host, Rpc, Shared;
    memory_auto_exclusive: Memory, Auto, Exclusive;
    memory_auto_shared: Memory, Auto, Shared;
    memory_rpc_exclusive: Memory, Rpc, Exclusive;
    memory_rpc_shared: Memory, Rpc, Shared;
    wrapped_auto_exclusive: Wrapped, Auto, Exclusive;
    wrapped_auto_shared: Wrapped, Auto, Shared;
    wrapped_rpc_exclusive: Wrapped, Rpc, Exclusive;
    wrapped_rpc_shared: Wrapped, Rpc, Shared;
}
