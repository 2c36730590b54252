//! The public test suites pass on the mount, in every mode. `cargo xtask conform` runs them at full length.

use anyhow::{Result, bail};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{fsx, host, pjdfstest, scratch, skip};

/// Long enough to meet every operation many times.
const OPERATIONS: u64 = 4000;

fn posix(io: Io, access: Access) -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    if io == Io::Passthrough && !host::can_pass_through() {
        skip!("this kernel has no FUSE passthrough");
    }
    let (served, aside) = (scratch::open_to_all()?, scratch::memory()?);
    let mut command = mount::command(io, access)?;
    let mount = Mount::start(command.args(["--suid", "--dev"]).arg(mount::backend(served.path())))?;
    let report = pjdfstest::run(mount.path(), aside.path())?;
    if report.counts != pjdfstest::BAR {
        bail!("{:?}, wanted {:?}\n{}", report.counts, pjdfstest::BAR, report.failures.join("\n"));
    }
    mount.unmount()
}

fn random_io(io: Io, access: Access) -> Result<()> {
    if io == Io::Passthrough && !(host::is_root() && host::can_pass_through()) {
        skip!("FUSE passthrough needs root and Linux 6.9");
    }
    let (served, aside) = (scratch::memory()?, scratch::memory()?);
    let mount = Mount::host(served.path(), io, access)?;
    for seed in [11, 12] {
        fsx::run(mount.path(), aside.path(), seed, OPERATIONS)?;
    }
    mount.unmount()
}

/// One test for each suite and mode.
macro_rules! modes {
    ($($module:ident: $io:ident, $access:ident;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn pjdfstest() -> Result<()> {
                posix(Io::$io, Access::$access)
            }

            #[test]
            fn fsx() -> Result<()> {
                random_io(Io::$io, Access::$access)
            }
        }
    )*};
}

modes! {
    auto_exclusive: Auto, Exclusive;
    auto_shared: Auto, Shared;
    passthrough_exclusive: Passthrough, Exclusive;
    passthrough_shared: Passthrough, Shared;
    direct_exclusive: Direct, Exclusive;
    direct_shared: Direct, Shared;
    rpc_exclusive: Rpc, Exclusive;
    rpc_shared: Rpc, Shared;
}
