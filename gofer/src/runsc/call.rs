//! Who calls this program, and for what.
//!
//! The same program is a command of its own, stands in for runsc, and is what runsc starts in place of itself. Which of
//! them is told by the arguments alone, before anything else is done.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a command line asks of this program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// runsc starts its gofer: that is us. The arguments after the program's name.
    Gofer(Vec<OsString>),
    /// runsc mounts a directory in a running container, and starts a gofer for it alone. The arguments of that command.
    DynamicGofer(Vec<OsString>),
    /// runsc starts another part of itself, which must be the real one. The whole command line.
    Helper(Vec<OsString>),
    /// Somebody starts runsc, and we are in its place.
    Runtime(Runtime),
    /// A command of our own, or nothing that is known.
    Own(Vec<OsString>),
}

/// A call of runsc.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// Which runsc.
    pub(crate) runsc: Choice,
    /// What to tell it.
    pub(crate) arguments: Vec<OsString>,
}

/// Which runsc is the real one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The call says it.
    Path(PathBuf),
    /// What the machine is configured for.
    Configured,
    /// The one that our parent is.
    Parents,
}

/// The command, and option, for which runsc is found by children that inherit nothing else. See [`super::shim`].
pub(crate) const COMMAND: &str = "runtime";
pub(crate) const OPTION: &str = "--runsc";

/// The executable as runsc names it, when it runs its own command line again with other rights.
const AGAIN: &[u8] = b"/proc/self/exe";
/// The name under which it starts its gofer.
const GOFER: &[u8] = b"runsc-gofer";
/// The command of a gofer for a single directory, which the pull request google/gvisor#13793 brings.
const DYNAMIC: &str = "dynamic-gofer";
/// Those of other parts of itself: the sandbox, and the process that waits for a detached `exec`.
const HELPERS: [&[u8]; 2] = [b"runsc-sandbox", b"runsc-exec"];
/// Any other name that starts so makes us runsc.
const RUNTIME: &[u8] = b"runsc";

/// What `arguments` ask for. The first is the program's name.
pub(crate) fn classify(mut arguments: Vec<OsString>) -> Call {
    let Some(program) = arguments.first() else {
        return Call::Own(arguments);
    };
    let name = Path::new(program).file_name().unwrap_or_default().as_bytes();
    if (program.as_bytes() == AGAIN || name == GOFER) && subcommand(&arguments) == Some(OsStr::new(DYNAMIC)) {
        let at = arguments.iter().position(|argument| argument == DYNAMIC).map_or(0, |at| at + 1);
        return Call::DynamicGofer(arguments.split_off(at));
    }
    if program.as_bytes() == AGAIN {
        arguments.remove(0);
        return Call::Runtime(Runtime { runsc: Choice::Parents, arguments });
    }
    if name == GOFER {
        return if subcommand(&arguments) == Some(OsStr::new("gofer")) {
            arguments.remove(0);
            Call::Gofer(arguments)
        } else {
            Call::Helper(arguments)
        };
    }
    if HELPERS.contains(&name) {
        return Call::Helper(arguments);
    }
    if name.starts_with(RUNTIME) {
        arguments.remove(0);
        return Call::Runtime(Runtime { runsc: Choice::Configured, arguments });
    }
    match explicit(&arguments) {
        Some(runtime) => Call::Runtime(runtime),
        None => Call::Own(arguments),
    }
}

/// The call that `NAME runtime [--runsc PATH] -- ARGS..` is. `None` for anything else, in which the parser of our own
/// command line then finds the mistake.
pub(super) fn explicit(arguments: &[OsString]) -> Option<Runtime> {
    let (command, rest) = arguments.get(1..)?.split_first()?;
    if command != COMMAND {
        return None;
    }
    let (runsc, rest) = match rest {
        [option, path, rest @ ..] if option == OPTION => (Choice::Path(path.into()), rest),
        [option, rest @ ..] => match option.as_bytes().strip_prefix(OPTION.as_bytes()) {
            Some([b'=', path @ ..]) => (Choice::Path(OsStr::from_bytes(path).into()), rest),
            _ => (Choice::Configured, arguments.get(2..)?),
        },
        [] => return None,
    };
    let (separator, arguments) = rest.split_first()?;
    (separator == "--").then(|| Runtime { runsc, arguments: arguments.to_vec() })
}

/// The arguments of our own command that does what `dynamic-gofer ARGUMENTS` asks for, or what is not known of them.
pub(crate) fn dynamic(arguments: &[OsString]) -> Result<Vec<OsString>, String> {
    let mut line: Vec<OsString> = ["gofer", "serve"].map(OsString::from).into();
    let mut backend = None;
    for argument in arguments {
        let flag = argument.as_bytes().strip_prefix(b"-").map(|flag| flag.strip_prefix(b"-").unwrap_or(flag));
        let mut parts = flag.unwrap_or_default().splitn(2, |&byte| byte == b'=');
        match (parts.next().unwrap_or_default(), parts.next()) {
            (b"path", Some(path)) if !path.is_empty() => {
                let mut host = OsString::from("host:");
                host.push(OsStr::from_bytes(path));
                backend = Some(host);
            }
            (b"fd", Some(number)) => line.extend([OsStr::new("--fd"), OsStr::from_bytes(number)].map(OsStr::to_owned)),
            (b"readonly", None | Some(b"true")) => line.push("--read-only".into()),
            (b"readonly", Some(b"false")) => {}
            _ => return Err(format!("{DYNAMIC}: {} is not supported", argument.display())),
        }
    }
    line.push(backend.ok_or_else(|| format!("{DYNAMIC}: --path=DIR is missing"))?);
    Ok(line)
}

/// The first argument that is no flag. runsc writes the flags that it passes on as one argument each.
fn subcommand(arguments: &[OsString]) -> Option<&OsStr> {
    arguments.iter().skip(1).map(OsString::as_os_str).find(|argument| !argument.as_bytes().starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn call(line: &str) -> Call {
        classify(words(line))
    }

    fn runtime(runsc: Choice, arguments: &str) -> Call {
        Call::Runtime(Runtime { runsc, arguments: words(arguments) })
    }

    #[test]
    fn runsc_starts_its_gofer() {
        let line = "runsc-gofer --root=/run/x --log-fd=3 gofer --bundle /b --spec-fd=4 boot";
        let arguments = "--root=/run/x --log-fd=3 gofer --bundle /b --spec-fd=4 boot";
        assert_eq!(call(line), Call::Gofer(words(arguments)));
    }

    #[test]
    fn other_helpers_are_the_real_ones() {
        for line in [
            "runsc-sandbox --root=/run/x boot --bundle=/b gofer",
            "runsc-exec --root /run/x exec --pid-file=/p c true",
            "runsc-gofer --root=/run/x umount --sync-fd=3 gofer",
            "runsc-gofer",
        ] {
            assert_eq!(call(line), Call::Helper(words(line)));
        }
    }

    #[test]
    fn a_directory_alone_is_served_by_us() {
        for line in [
            "/proc/self/exe --root=/run/x dynamic-gofer --path=/a:b --fd=3 --readonly",
            "runsc-gofer --root=/run/x dynamic-gofer --path=/a:b --fd=3 --readonly",
        ] {
            assert_eq!(call(line), Call::DynamicGofer(words("--path=/a:b --fd=3 --readonly")), "{line}");
        }
        let dynamic = |line| super::dynamic(&words(line));
        assert_eq!(dynamic("--path=/a:b --fd=3"), Ok(words("gofer serve --fd 3 host:/a:b")));
        assert_eq!(dynamic("-fd=4 -readonly=true -path=/x"), Ok(words("gofer serve --fd 4 --read-only host:/x")));
        for (line, message) in [
            ("--path=/x --fd=3 --overlay=memory", "dynamic-gofer: --overlay=memory is not supported"),
            ("--path=/x --fd=3 more", "dynamic-gofer: more is not supported"),
            ("--fd=3", "dynamic-gofer: --path=DIR is missing"),
        ] {
            assert_eq!(dynamic(line), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn the_name_of_a_link_makes_a_runtime() {
        for name in ["runsc", "runsc-gofer-rs", "/usr/local/bin/runsc-gofer-rs", "runsc-rs"] {
            assert_eq!(
                call(&format!("{name} --root /run/x gofer")),
                runtime(Choice::Configured, "--root /run/x gofer")
            );
        }
        assert_eq!(
            classify(words("runsc")),
            Call::Runtime(Runtime { runsc: Choice::Configured, arguments: Vec::new() })
        );
    }

    #[test]
    fn runsc_runs_its_own_command_line_again() {
        assert_eq!(call("/proc/self/exe --rootless do true"), runtime(Choice::Parents, "--rootless do true"));
    }

    #[test]
    fn a_runtime_can_be_asked_for() {
        let given = || Choice::Path("/usr/bin/runsc".into());
        assert_eq!(call("gofer runtime --runsc /usr/bin/runsc -- run --x -- y"), runtime(given(), "run --x -- y"));
        assert_eq!(call("./gofer runtime --runsc=/usr/bin/runsc -- list"), runtime(given(), "list"));
        assert_eq!(call("gofer runtime -- list"), runtime(Choice::Configured, "list"));
    }

    #[test]
    fn everything_else_is_our_own() {
        for line in [
            "gofer",
            "gofer serve runtime -- list",
            "gofer runtime",
            "gofer runtime --help",
            "gofer runtime list",
            "gofer runtime --runsc",
            "gofer runtime --runsc /usr/bin/runsc",
            "gofer runtime --runsc-x=y -- list",
            "gofer gofer",
            "/usr/bin/gofer serve",
        ] {
            assert_eq!(call(line), Call::Own(words(line)));
        }
        assert_eq!(classify(Vec::new()), Call::Own(Vec::new()));
    }
}
