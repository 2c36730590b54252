//! All suites of `fusebridge conform` pass on every kind of backend that ships, on every way that requests and data take
//! to it. `cargo xtask conform` goes through all modes, also those that are another one under a second name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use ::conform::Outcome;
use ::conform::report::Counts;
use anyhow::Result;
use e2e::backend::Backend;
use e2e::modes::{Access, Io, Transport};
use e2e::ring::{self, Switch};
use e2e::scene::Scene;
use e2e::{check, command, conform, host, process, scratch, skip};
use rustix::process::Signal;

/// A reader that waits for the bridge does so until then.
const LIMIT: Duration = Duration::from_secs(30);

/// What a good FUSE file system reaches. Of the skipped tests 13 want to remount, one wants a limit on links.
const PJDFSTEST: Counts = Counts { passed: 384, failed: 0, skipped: 14 };

/// What a backend may lack: two modes of `fallocate` (tmpfs has neither), holes in a file (tmpfs may fill them), times
/// that not all file systems can have or know, times that stores through a mapping change (tmpfs never does; see
/// `times_on_a_disk`). Who keeps access control lists cannot refuse them.
const MAY_BE_SKIPPED: [&str; 8] = [
    "acl::refusal_changes_nothing",
    "allocate::collapse_range",
    "allocate::zero_range",
    "sparse::seek_hole",
    "times::born",
    "times::far_away",
    "times::outlived",
    "times::stored",
];

/// What host directories keep and files in memory, and others not: attributes other than those of users, access control
/// lists, whiteouts.
fn may_lack(backend: Backend) -> &'static [&'static str] {
    const ALL: &[&str] = &["xattr::capabilities", "xattr::security", "xattr::trusted", "rename::whiteout", "acl::"];
    match backend.behind().map_or(backend, |(behind, _)| behind) {
        Backend::Host | Backend::Memory | Backend::Wrapped | Backend::Withholding => &[],
        // The format makes attributes of users of them all, which symbolic links cannot have.
        Backend::Crypt | Backend::CryptMemory => &ALL[..4],
        _ => ALL,
    }
}

fn may_be_skipped(backend: Backend, case: &str) -> bool {
    MAY_BE_SKIPPED.contains(&case) || may_lack(backend).iter().any(|part| case.starts_with(part))
}

/// Whether pjdfstest is among the suites. It asks for names, kinds, modes, owners and links, and hardly ever for data:
/// where each question is asked, in a shared mount, it takes the same way whichever way data goes, and backends whose
/// shared mount has it are asked for less in the exclusive one.
fn has_pjdfstest(backend: Backend, io: Io, access: Access) -> bool {
    match backend {
        Backend::Host => access == Access::Exclusive || io == Io::Rpc,
        Backend::Wrapped => io == Io::Rpc,
        Backend::Blob => access == Access::Shared,
        _ => true,
    }
}

fn conforms(backend: Backend, io: Io, access: Access, transport: Transport) -> Result<()> {
    let mut options = vec!["--transport", transport.word()];
    if !has_pjdfstest(backend, io, access) {
        options.extend(["--suite", "mount,fsx"]);
    }
    // The blob volume alone has all of them: the cache has the same before others.
    if backend.behind().is_some_and(|(behind, _)| behind == Backend::Blob) {
        options.extend(["--fsx-operations", "300"]);
    }
    conforms_with(backend, io, access, &options)
}

fn conforms_with(backend: Backend, io: Io, access: Access, options: &[&str]) -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    if io == Io::Passthrough && !host::can_pass_through() {
        skip!("this kernel has no FUSE passthrough");
    }
    let served = backend.fresh()?;
    let mut arguments: Vec<OsString> =
        ["--io", io.word(), "--access", access.word(), "--expect"].map(Into::into).into();
    arguments.push(conform::expectations(backend.name()).into());
    arguments.extend(options.iter().map(Into::into));
    arguments.extend(served.flags());
    arguments.push(served.argument.clone());
    let run = conform::run(arguments)?;
    run.ended_with(0)?;
    if !options.contains(&"--suite") {
        check::equal("pjdfstest", &run.suite("pjdfstest")?.1, &PJDFSTEST)?;
    }
    check::equal("fsx", &run.suite("fsx")?.1, &Counts { passed: 2, failed: 0, skipped: 0 })?;
    let (cases, _) = run.suite("mount")?;
    check::holds("the suite mount is whole", cases.len() > 200)?;
    let skipped = cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped { .. }));
    let skipped = skipped.map(|case| case.name.as_str()).filter(|name| !may_be_skipped(backend, name));
    check::equal("skipped", &skipped.collect::<Vec<_>>(), &Vec::<&str>::new())?;
    if let Some(directory) = &served.directory {
        check::equal("files left behind", &directory.path().read_dir()?.count(), &0)?;
    }
    if let Some(volume) = &served.volume {
        // The configuration and the initialization vector of the root.
        check::equal("files left behind", &volume.path().read_dir()?.count(), &2)?;
        if e2e::crypt::has_gocryptfs() {
            volume.check()?;
        }
    }
    Ok(())
}

/// One test for each backend and mode.
macro_rules! modes {
    ($($name:ident: $backend:ident, $io:ident, $access:ident;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            conforms(Backend::$backend, Io::$io, Access::$access, Transport::Device)
        })*

        #[test]
        fn no_mode_is_left_out() {
            let covered = [$((Backend::$backend, Io::$io, Access::$access)),*];
            for backend in Backend::ALL {
                for io in Io::ALL.into_iter().filter(|io| backend.can(*io)) {
                    for access in Access::ALL {
                        let mode = (backend, io, access);
                        // A wrapper passes donated files on: what the kernel or the bridge does with them is the same.
                        // Which questions come is up to the mount: in a shared one all do.
                        let same = backend == Backend::Wrapped
                            && !matches!((io, access), (Io::Auto, Access::Exclusive) | (Io::Rpc, Access::Shared));
                        // Neither does the one that keeps them to itself know who else changes files.
                        let same = same || (backend == Backend::Withholding && access == Access::Exclusive);
                        // Where the kernel takes files over, this is `passthrough`, else `direct`; see
                        // `auto_lets_the_kernel_have_files`.
                        let same = same || (backend == Backend::Host && io == Io::Auto);
                        // Without donated files there is no other way than the server.
                        let only = !backend.donates() && io == Io::Auto;
                        // Who else changes files is nothing that volumes of several kinds differ in.
                        let other = backend.only().is_some_and(|only| only != access);
                        let kinds = (backend == Backend::Crypt && access == Access::Shared)
                            || (backend == Backend::CryptMemory && access == Access::Exclusive);
                        assert!(same || only || other || kinds || covered.contains(&mode), "{mode:?}");
                    }
                }
            }
        }
    };
}

modes! {
    host_passthrough_exclusive: Host, Passthrough, Exclusive;
    host_passthrough_shared: Host, Passthrough, Shared;
    host_direct_exclusive: Host, Direct, Exclusive;
    host_direct_shared: Host, Direct, Shared;
    host_rpc_exclusive: Host, Rpc, Exclusive;
    host_rpc_shared: Host, Rpc, Shared;
    memory_rpc_exclusive: Memory, Rpc, Exclusive;
    memory_rpc_shared: Memory, Rpc, Shared;
    wrapped_auto_exclusive: Wrapped, Auto, Exclusive;
    wrapped_rpc_shared: Wrapped, Rpc, Shared;
    withholding_rpc_shared: Withholding, Rpc, Shared;
    blob_rpc_exclusive: Blob, Rpc, Exclusive;
    blob_rpc_shared: Blob, Rpc, Shared;
    crypt_rpc_exclusive: Crypt, Rpc, Exclusive;
    crypt_memory_rpc_shared: CryptMemory, Rpc, Shared;
    cache_host_rpc_exclusive: CacheHost, Rpc, Exclusive;
    cache_host_back_rpc_exclusive: CacheHostBack, Rpc, Exclusive;
    cache_memory_rpc_shared: CacheMemory, Rpc, Shared;
    cache_memory_back_rpc_exclusive: CacheMemoryBack, Rpc, Exclusive;
    cache_blob_rpc_shared: CacheBlob, Rpc, Shared;
    cache_blob_back_rpc_exclusive: CacheBlobBack, Rpc, Exclusive;
}

#[test]
fn over_io_uring() -> Result<()> {
    if let Some(why) = ring::missing() {
        skip!("{why}");
    }
    let _switch = Switch::on()?;
    conforms(Backend::Host, Io::Auto, Access::Shared, Transport::Ring)?;
    conforms(Backend::Host, Io::Rpc, Access::Exclusive, Transport::Ring)
}

#[test]
fn host_in_a_process_of_its_own() -> Result<()> {
    conforms_with(Backend::Host, Io::Auto, Access::Shared, &["--server", "separate"])
}

#[test]
fn memory_in_a_process_of_its_own() -> Result<()> {
    conforms_with(Backend::Memory, Io::Rpc, Access::Exclusive, &["--server", "separate"])
}

/// No way of its own: what is read while the bridge stands still has not come from it.
#[test]
fn auto_lets_the_kernel_have_files() -> Result<()> {
    if !host::is_root() || !host::can_pass_through() {
        skip!("FUSE passthrough needs root and Linux 6.9");
    }
    for access in Access::ALL {
        let scene = Scene::new(Io::Auto, access)?;
        // From below, so that the kernel has nothing of it.
        fs::write(scene.directory()?.join("file"), "content\n")?;
        let mut reader = Command::new("sh");
        // Whoever asks for attributes first would wait for these.
        reader.args(["-c", "read -r line; test $line = content"]).stdin(File::open(scene.path().join("file"))?);
        let bridge = scene.mount().pid();
        process::stop(bridge)?;
        let status = reader.spawn().map_err(Into::into).and_then(|mut child| command::exit_status(&mut child, LIMIT));
        process::signal(bridge, Signal::CONT);
        check::equal(access.word(), &status?.code(), &Some(0))?;
        drop(reader);
        scene.end()?;
    }
    Ok(())
}

/// Stores through a mapping change times on file systems that have them on a disk, which scratch directories may not be
/// on.
#[test]
fn times_on_a_disk() -> Result<()> {
    const TMPFS: u64 = 0x0102_1994;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    if rustix::fs::statfs(directory.path())?.f_type.cast_unsigned() == TMPFS {
        skip!("{} is on tmpfs, whose mappings change no times", directory.path().display());
    }
    let mut arguments: Vec<OsString> = ["--suite", "mount", "--filter", "times::"].map(Into::into).into();
    arguments.push(directory.path().into());
    let run = conform::run(arguments)?;
    run.ended_with(0)?;
    let (cases, _) = run.suite("mount")?;
    for name in ["times::born", "times::outlived", "times::stored"] {
        check::holds(name, cases.iter().any(|case| case.name == name && matches!(case.outcome, Outcome::Passed)))?;
    }
    Ok(())
}

#[test]
fn read_only() -> Result<()> {
    let directory = scratch::open_to_all()?;
    std::fs::write(directory.path().join("file"), "content")?;
    std::fs::create_dir(directory.path().join("directory"))?;
    let mut backend = OsString::from("readonly:");
    backend.push(directory.path());
    let mut arguments: Vec<OsString> = ["--suite", "mount,fsx", "--expect"].map(Into::into).into();
    arguments.extend([conform::expectations("readonly").into(), backend]);
    let run = conform::run(arguments)?;
    run.ended_with(0)?;
    check::equal("mount", &run.suite("mount")?.1, &Counts { passed: 4, failed: 0, skipped: 0 })?;
    check::equal("fsx", &run.suite("fsx")?.1, &Counts { passed: 0, failed: 0, skipped: 1 })
}
