use super::*;
use crate::hostfs::UdsPolicy;

const CURRENT: &str = "--root=/run/runsc --directfs=false --host-uds=open --character-device-policy=passthrough \
    --never-heard-of=1 --log-fd=3 --debug-log-fd=4 gofer --bundle /b --gofer-mount-confs=lisafs:self,lisafs:none \
    --spec-fd=5 --mounts-fd=6 --rpc-fd=7 --pin-ring-fd=8 --sync-sentry-exit-fd=9 --io-fds=10 --io-fds=11 --dev-io-fd=12 \
    --sync-chroot-fd=13 the-id";

const OF_2022: &str = "--root=/r --debug=true --overlay2=root:memory --debug-log-fd=3 gofer --bundle /b --spec-fd=4 \
    --mounts-fd=5 --io-fds=6 --io-fds=7";

fn parse(line: &str) -> Result<Call, ArgsError> {
    let arguments = texts(line.split_whitespace().map(OsString::from))?;
    let (globals, rest) = globals(&arguments);
    call(globals, rest?, |name| name == "extra")
}

#[test]
fn a_current_caller_is_understood() {
    let call = parse(CURRENT).unwrap();
    assert_eq!(call.globals.directfs, Some(false));
    assert_eq!(call.globals.host_uds(), UdsPolicy::Open);
    assert_eq!(call.globals.char_devices, CharDevices::Passthrough);
    assert_eq!((call.globals.log_fd, call.globals.debug_log_fd), (Some(3), Some(4)));
    assert_eq!(call.command.io_fds, [10, 11]);
    assert_eq!(call.command.dev_io_fd, Some(12));
    assert_eq!((call.command.pin_ring_fd, call.command.sync_sentry_exit_fd), (Some(8), Some(9)));
    assert_eq!((call.command.rpc_fd, call.command.sync_chroot_fd), (Some(7), Some(13)));
    assert_eq!(call.command.mount_confs.unwrap().len(), 2);
    assert_eq!(call.command.container_id, "the-id");
    assert!(call.command.apply_caps && call.command.setup_root);
}

#[test]
fn a_caller_of_2022_is_understood() {
    let call = parse(OF_2022).unwrap();
    assert_eq!((call.globals.directfs, call.globals.char_devices), (Some(false), CharDevices::Passthrough));
    assert!(call.globals.overlay.root && !call.globals.overlay.mounts);
    assert!(call.globals.is_debugged());
    assert_eq!((call.command.spec_fd, call.command.mounts_fd), (4, 5));
    assert_eq!(call.command.mount_confs, None);
    assert_eq!(call.command.container_id, "");
}

#[test]
fn callers_of_2024_do_not_say_which_container() {
    let call = parse("gofer --bundle /b --gofer-mount-confs=lisafs:self --spec-fd=4 --mounts-fd=5 --io-fds=6").unwrap();
    assert_eq!(call.command.mount_confs.map(|confs| confs.len()), Some(1));
    assert_eq!(call.command.container_id, "");
}

#[test]
fn wrong_flags_are_named() {
    for (change, message) in [
        ("gofer --unheard-of=1 --bundle /b", "flag provided but not defined: -unheard-of"),
        ("gofer --spec-fd=4 --mounts-fd=5 --io-fds=6 id", "--bundle is missing"),
        ("gofer --bundle=/b --mounts-fd=5 --io-fds=6 id", "--spec-fd is missing"),
        ("gofer --bundle=/b --spec-fd=4 --io-fds=6 id", "--mounts-fd is missing"),
        ("gofer --bundle=/b --spec-fd=4 --mounts-fd=5 id", "--io-fds is missing"),
        ("gofer --bundle=/b --spec-fd=-1 --mounts-fd=5 --io-fds=6 id", "--spec-fd is missing"),
        ("gofer --bundle=/b --spec-fd=4 --mounts-fd=5 --io-fds=6 id another", "found 2 arguments"),
        ("gofer --bundle=/b --spec-fd=x --mounts-fd=5 --io-fds=6 id", "invalid value \"x\" for flag -spec-fd"),
        ("gofer --bundle=/b --spec-fd=4 --mounts-fd=5 --io-fds=6,, id", "invalid value \"6,,\" for flag -io-fds"),
        ("gofer --bundle=/b --apply-caps=yes id", "invalid value \"yes\" for flag -apply-caps"),
        ("gofer --bundle=/b --gofer-mount-confs=lisafs id", "invalid value \"lisafs\" for flag -gofer-mount-confs"),
        ("--host-uds=some gofer", "invalid value \"some\" for flag -host-uds"),
        ("--fsgofer-host-uds --host-uds=create gofer", "are mutually exclusive"),
        ("--debug-log-format=xml gofer", "invalid value \"xml\" for flag -debug-log-format"),
        ("boot", "expected the command gofer, found \"boot\""),
        ("", "expected the command gofer"),
    ] {
        let error = parse(change).unwrap_err().to_string();
        assert!(error.contains(message), "{change}: {error}");
    }
}

#[test]
fn a_wrong_flag_does_not_hide_where_to_say_so() {
    let arguments = ["--host-uds=some", "--debug=maybe", "--log-fd=3", "gofer"].map(str::to_owned);
    let (globals, rest) = globals(&arguments);
    assert!(rest.unwrap_err().to_string().contains("flag -host-uds"));
    assert_eq!(globals.log_fd, Some(3));
}

#[test]
fn devices_alone_are_enough() {
    let call =
        parse("gofer --bundle=/b --spec-fd=4 --mounts-fd=5 --dev-io-fd=6 --gofer-mount-confs=erofs:none id").unwrap();
    assert!(call.command.io_fds.is_empty());
}

#[test]
fn flags_of_extensions_are_kept_for_them() {
    let call = parse("gofer --bundle=/b --extra=1 --extra 2 --spec-fd=4 --mounts-fd=5 --io-fds=6 id").unwrap();
    assert_eq!(call.command.extra, ["--extra=1", "--extra=2"]);
}

#[test]
fn commands_to_debug_are_listed() {
    for (flags, expected) in [
        ("", false),
        ("--debug", true),
        ("--debug --debug-command=boot", false),
        ("--debug --debug-command=boot,gofer", true),
        ("--debug --debug-command=!gofer", false),
        ("--debug --debug-command=!boot", true),
        ("--debug-command=gofer", false),
    ] {
        let arguments = texts(flags.split_whitespace().map(OsString::from)).unwrap();
        let (globals, rest) = globals(&arguments);
        assert_eq!(rest, Ok(&[][..]));
        assert_eq!(globals.is_debugged(), expected, "{flags}");
    }
}
