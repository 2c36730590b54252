//! The process from its start to its end.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{self, Call, Globals, MountConf};
use super::descriptors::{self, DescriptorError, Donated, LogFiles};
use super::flags::Flags;
use super::hints::{HintError, Hints, lisafs_needed};
use super::hooks::{self, HookError};
use super::log::Log;
use super::memory::Code;
use super::plan::{Plan, PlanError};
use super::privileges::{self, PrivilegeError};
use super::rootfs::{self, RootError, RootFs, Served};
use super::rpc::Rpc;
use super::serve::{self, Common, Mounted, Prepared, ServeError};
use super::spec::{Container, SpecError, has_option};
use super::sync::{self, SyncError};
use super::{mounts, raw};
use crate::extension::{self, Extension, Registry};
use crate::hostfs::ProcFds;
use crate::limits;
use crate::seccomp::{self, InstallError, Needs};
use lisafs::server::{Connection, Server};

/// How it ends if something is wrong, whatever that is.
const FAILED: u8 = 128;
/// How it ends if the flags before the command are wrong.
const BAD_GLOBALS: u8 = 2;
/// How it ends when it is asked to.
const TERMINATED: i32 = 128 + libc::SIGTERM;

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Descriptor(#[from] DescriptorError),
    #[error("reading spec: {0}")]
    Spec(#[from] SpecError),
    #[error("parsing mount hints: {0}")]
    Hint(#[from] HintError),
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("waiting for runsc: {0}")]
    Sync(#[from] SyncError),
    #[error("Error setting up root FS: {0}")]
    Root(#[from] RootError),
    #[error("{0}")]
    Hook(#[from] HookError),
    #[error("{0}")]
    Annotation(#[from] extension::Stray),
    #[error("preparing gofer extensions: {0}")]
    Prepare(extension::Error),
    #[error("{0}")]
    Privilege(#[from] PrivilegeError),
    #[error("cannot open the descriptors of this process: {0}")]
    OwnDescriptors(#[source] rustix::io::Errno),
    #[error("cannot hold connections: {0}")]
    Hold(#[source] std::io::Error),
    #[error("cannot handle signals: {0}")]
    Signal(#[source] std::io::Error),
    #[error("cannot send the list of mounts: {0}")]
    Mounts(#[source] std::io::Error),
    #[error("{0}")]
    Serve(#[from] ServeError),
    #[error("installing seccomp filters: {0}")]
    Seccomp(#[from] InstallError),
}

/// The gofer process that runsc starts, with `extensions` in it. `arguments` are those after the program's name.
pub fn main(extensions: Vec<Box<dyn Extension>>, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match args::texts(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(FAILED);
        }
    };
    let (globals, rest) = args::globals(&arguments);
    // Before anything else, so that whatever is wrong is said there.
    let (files, files_taken) = LogFiles::take(&globals);
    let mut log = Log::start(&globals, files);
    let mut fail = |error: &dyn std::fmt::Display, status| {
        log.fatal(&error.to_string());
        ExitCode::from(status)
    };
    let rest = match rest {
        Ok(rest) => rest,
        Err(error) => return fail(&error, BAD_GLOBALS),
    };
    if let Err(error) = files_taken {
        return fail(&error, FAILED);
    }
    let registry = match Registry::new(extensions) {
        Ok(registry) => registry,
        Err(error) => return fail(&error, FAILED),
    };
    let flags = Flags::new(&registry);
    let call = match args::call(globals, rest, |name| flags.knows(name)) {
        Ok(call) => call,
        Err(error) => {
            let status = fail(&error, FAILED);
            eprintln!("{}", args::USAGE);
            return status;
        }
    };
    // The sandbox sees the end of its connections only when it was said what is wrong: runsc then kills this process.
    let mut held = Vec::new();
    match run(&call, &registry, &flags, &mut held) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, FAILED),
    }
}

fn run(call: &Call, registry: &Registry, flags: &Flags, held: &mut Vec<OwnedFd>) -> Result<(), Failure> {
    let Call { globals, command } = call;
    descriptors::close_others(globals, command);
    let donated = Donated::take(command)?;
    for socket in donated.io.iter().chain(&donated.dev_io) {
        held.push(socket.try_clone().map_err(Failure::Hold)?);
    }
    stop_on_signals(globals)?;
    // The standard one may look for a backtrace, which takes system calls that nothing else here needs.
    std::panic::set_hook(Box::new(|panic| tracing::warn!("{panic}")));
    let descriptors = limits::raise_descriptors();
    let bundle = PathBuf::from(&command.bundle);
    let container = Container::read(donated.spec, &bundle, globals.allow_rootfs_tar)?;
    let directfs = Directfs::new(call, &container)?;
    let plan = Plan::new(&container, command.mount_confs.as_deref(), globals.overlay, donated.io.len())?;

    if let Some(socket) = donated.sync_chroot {
        sync::wait_for_end("sync-chroot-fd", &socket)?;
    }
    if let Some(socket) = donated.sync_userns {
        sync::wait_for_end("sync-userns-fd", &socket)?;
        privileges::become_user(command.uid, command.gid)?;
    }
    // Through a procfs that is out of reach later, and with it everything else in it.
    let own_descriptors = rootfs::own_descriptors().map_err(Failure::OwnDescriptors)?;
    let code = Code::find();
    // Paths still mean what they mean to the host: in the container's root they would be its own.
    if !registry.is_empty() {
        check_annotations(&container, &plan)?;
    }
    let spec = if registry.is_empty() { None } else { Some(container.oci()?) };
    let container_id = Some(command.container_id.as_str()).filter(|id| !id.is_empty());
    let seen = spec.as_ref().map(|spec| extension::Container::new(spec, container_id, &bundle));
    flags.prepare(registry, &command.extra, seen).map_err(Failure::Prepare)?;
    let made = make_root(call, &container, &plan, donated.rpc.map(Rpc::new), donated.dev_io.is_some(), &bundle)?;

    limits::clear_umask();
    hooks::abandon_orphans();
    if command.apply_caps {
        privileges::drop_capabilities(globals.host_uds())?;
    }
    if let Some(limit) = globals.fd_limit {
        privileges::limit_descriptors(limit)?;
    }
    let descriptors = globals.fd_limit.unwrap_or(descriptors).min(descriptors);
    let proc_fds = ProcFds::from_dir(own_descriptors).map_err(Failure::OwnDescriptors)?;
    // For calls that take nothing but a path. The process has no other use for a working directory.
    proc_fds.enter().map_err(Failure::OwnDescriptors)?;
    let resolved = mounts::resolved(&container.mounts, &made.mounts);
    mounts::send(donated.mounts, &resolved).map_err(Failure::Mounts)?;

    let common = Common {
        globals,
        registry,
        container: seen,
        proc_fds: &proc_fds,
        max_fds: limits::for_one_of_several(limits::for_clients(descriptors)),
    };
    let prepared = prepare(&common, donated.io, donated.dev_io, made, &container, &plan, &directfs)?;
    let (ready, handed_over) = serve::separate(prepared);
    let without_descriptor = ready.iter().any(|ready| ready.needs_lisafs);
    let needs = Needs {
        lisafs: lisafs_needed(directfs.global, container.annotations(), without_descriptor),
        host_uds: globals.host_uds(),
    };
    let serving: Vec<&str> = ready.iter().flat_map(|ready| ready.claim.extensions()).copied().collect();
    let extra = registry.system_calls_of(&serving);
    // All threads are made before the filter, and no request is looked at before it.
    let server = Server::held();
    let connections = serve::connect(&server, ready, needs.lisafs)?;
    seccomp::install(&seccomp::merge(&seccomp::stock(needs), &extra))?;
    held.clear();
    code.forget();
    server.release();
    connections.iter().for_each(Connection::wait);
    handed_over.iter().for_each(|recipient| recipient.wait());
    registry.end();
    tracing::info!("All lisafs servers exited.");
    if let Some(socket) = &donated.sandbox_exit {
        sync::wait_for_sandbox(socket);
    }
    Ok(())
}

/// What somebody wants to be elsewhere must not end up on the host because of a slip of the pen, nor in the sandbox,
/// which makes file systems by rules of its own.
fn check_annotations(container: &Container, plan: &Plan) -> Result<(), Failure> {
    let mounts = container
        .mounts
        .iter()
        .zip(&plan.mounts)
        .filter_map(|(mount, conf)| Some((mount.destination().to_str()?, conf.is_some_and(MountConf::is_served))));
    let root = ("/", plan.root.is_served());
    for stray in extension::strays(&container.annotations, std::iter::once(root).chain(mounts)) {
        if !stray.is_for_another(&container.annotations) {
            return Err(stray.into());
        }
        tracing::warn!("{stray}");
    }
    Ok(())
}

/// Finds a backend for each connection: `io` are those of the root file system and of mounts, in the order of the plan.
fn prepare(
    common: &Common<'_>,
    io: Vec<OwnedFd>,
    dev_io: Option<OwnedFd>,
    made: Made,
    container: &Container,
    plan: &Plan,
    directfs: &Directfs,
) -> Result<Vec<Prepared>, ServeError> {
    let root = plan.root.is_served().then_some(made.root).flatten().map(|served| Mounted {
        served,
        mount: None,
        read_only: container.root_read_only || plan.root.is_overlaid(),
        directfs: directfs.of_root(),
        devices: false,
    });
    let mounts = container.mounts.iter().zip(&plan.mounts).zip(made.mounts);
    let mounts = mounts.filter_map(|((mount, conf), served)| {
        Some(Mounted {
            served: served?,
            mount: Some(mount),
            read_only: has_option(mount, "ro") || conf.is_some_and(MountConf::is_overlaid),
            directfs: directfs.of(mount),
            devices: false,
        })
    });
    let dev = made.dev.map(|served| Mounted {
        served,
        mount: None,
        read_only: false,
        directfs: directfs.global,
        devices: true,
    });
    let served = root.into_iter().chain(mounts).zip(io).chain(dev.into_iter().zip(dev_io));
    served.map(|(mounted, socket)| common.prepare(mounted, socket)).collect()
}

/// Ends the process when somebody asks for it. The first process of a namespace gets no signal that it has not asked
/// for.
fn stop_on_signals(globals: &Globals) -> Result<(), Failure> {
    if globals.keep_root {
        raw::ignore(libc::SIGTERM);
    } else {
        raw::exit_on(libc::SIGTERM, TERMINATED).map_err(Failure::Signal)?;
    }
    limits::survive_large_writes().map_err(Failure::Signal)
}

/// Which clients get a descriptor of their mount.
struct Directfs {
    global: bool,
    hints: Hints,
}

impl Directfs {
    fn new(call: &Call, container: &Container) -> Result<Self, Failure> {
        let (mut hints, warnings) = Hints::parse(container.annotations())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let global = call.globals.directfs.unwrap_or(true);
        // Without that flag, it is of before November 2024, and opens the host's files itself after all.
        let knows_them = call.command.rpc_fd.is_some();
        if global && !knows_them && hints.forget_mounts() {
            tracing::warn!(
                "this runsc ignores annotations dev.gvisor.spec.mount.NAME.directfs; only --directfs=false has an effect"
            );
        }
        Ok(Directfs { global, hints })
    }

    fn of_root(&self) -> bool {
        self.global && !self.hints.rootfs_is_off()
    }

    fn of(&self, mount: &oci_spec::runtime::Mount) -> bool {
        let source = mount.source().as_deref().and_then(Path::to_str);
        self.global && !source.is_some_and(|source| self.hints.is_off(source))
    }
}

/// The files that are served.
struct Made {
    root: Option<Served>,
    mounts: Vec<Option<Served>>,
    dev: Option<Served>,
}

fn make_root(
    call: &Call,
    container: &Container,
    plan: &Plan,
    rpc: Option<Rpc>,
    serves_dev: bool,
    bundle: &Path,
) -> Result<Made, Failure> {
    let Call { globals, command } = call;
    if !command.setup_root {
        let root = rootfs::ready(container)?;
        let mounts = container.mounts.iter().zip(&plan.mounts);
        let mounts = mounts
            .map(|(mount, conf)| match conf {
                Some(conf) if conf.is_served() => rootfs::ready_mount(&root, mount).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        return Ok(Made { root: Some(root), mounts, dev: None });
    }
    // Callers of before 2025 do not say which container it is. They know no such hooks, and no working directory that
    // is not there.
    let is_current = !command.container_id.is_empty();
    let has_hooks = is_current && hooks::are_there(container);
    let request = rootfs::Request {
        container,
        plan,
        globals,
        rpc: rpc.as_ref(),
        serves_dev,
        makes_cwd: !is_current,
        has_hooks: has_hooks && plan.root.is_served(),
    };
    let mut root = RootFs::mount(&request)?;
    if request.has_hooks {
        hooks::run(container, &command.container_id, bundle)?;
    } else if has_hooks {
        tracing::warn!("createContainer hooks are not run: the root file system is not here");
    }
    // It opens any path of the host.
    drop(rpc);
    let served = root.enter(globals)?;
    Ok(Made { root: Some(served), mounts: root.mounts, dev: root.dev })
}
