//! What mount(8) runs for `mount -t fuse.fusebridge BACKEND MOUNTPOINT -o OPTIONS` and for lines of fstab: this program,
//! under a name that begins with `mount.`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use clap::Command;

/// Exit statuses of mount(8).
pub(super) const USAGE: u8 = 1;
pub(super) const FAILURE: u8 = 32;

/// What mount(8) does by itself, what others read from fstab, and what is so anyway.
const IGNORED: [&str; 36] = [
    "_netdev",
    "async",
    "atime",
    "auto",
    "comment",
    "default_permissions",
    "defaults",
    "diratime",
    "exec",
    "fail",
    "group",
    "group_id",
    "lazytime",
    "loud",
    "noauto",
    "nodev",
    "nodiratime",
    "nofail",
    "nogroup",
    "noiversion",
    "nolazytime",
    "nomand",
    "noowner",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nouser",
    "nousers",
    "owner",
    "relatime",
    "rw",
    "silent",
    "strictatime",
    "user",
    "user_id",
    "users",
];

/// Whether this program is called as mount(8) calls it, by the name `program`.
pub(super) fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name.as_bytes().starts_with(b"mount."))
}

/// The command line of ours that does what mount(8) asks for, or `None` if it asks for nothing. `command` is all of ours.
pub(super) fn line(arguments: &[OsString], command: &Command) -> Result<Option<Vec<OsString>>, String> {
    let Some(mnt) = command.find_subcommand("mnt") else { unreachable!("there is that command") };
    let Some(line) = translate(arguments, mnt)? else { return Ok(None) };
    let line: Vec<OsString> = std::iter::once("fusebridge".into()).chain(line).collect();
    // What is wrong with the value of an option, in one line.
    command.clone().try_get_matches_from(&line).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })?;
    Ok(Some(line))
}

/// [`line`], behind the program's name. `mnt` is the command that mounts, with all its options.
fn translate(arguments: &[OsString], mnt: &Command) -> Result<Option<Vec<OsString>>, String> {
    let mut words = Vec::new();
    let mut options = Vec::new();
    let (mut is_sloppy, mut is_fake) = (false, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-o") => options.extend(split(arguments.next().ok_or("-o needs options")?)),
            // The type and the namespace, in which this process is already.
            Some("-t" | "-N") => _ = arguments.next(),
            Some(flags) if flags.starts_with('-') && flags.len() > 1 => {
                for flag in flags[1..].chars() {
                    match flag {
                        's' => is_sloppy = true,
                        'f' => is_fake = true,
                        'n' | 'v' => {}
                        'r' => options.push("ro".into()),
                        'w' => options.push("rw".into()),
                        other => return Err(format!("unknown flag -{other}")),
                    }
                }
            }
            _ => words.push(argument.clone()),
        }
    }
    let [backend, mountpoint] = <[OsString; 2]>::try_from(words)
        .map_err(|_| "needs a BACKEND and a mountpoint, as mount(8) gives them".to_owned())?;
    let mut line: Vec<OsString> = ["mnt", "--daemon", "--quiet"].map(OsString::from).into();
    // What fstab says, so that `mount -a` finds it mounted the next time.
    line.extend(["--fsname".into(), backend.clone()]);
    for option in options {
        match flag(&option, mnt) {
            Ok(flag) => line.extend(flag),
            Err(_) if is_sloppy => {}
            Err(error) => return Err(error),
        }
    }
    line.extend(["--".into(), backend, mountpoint]);
    Ok((!is_fake).then_some(line))
}

/// What an option of mount(8) is on our command line; nothing if it is none of our business.
fn flag(option: &OsStr, mnt: &Command) -> Result<Option<OsString>, String> {
    let bytes = option.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = (&bytes[..at.unwrap_or(bytes.len())], at.map(|at| OsStr::from_bytes(&bytes[at + 1..])));
    let unknown =
        || format!("unknown option {:?} in -o; known are those of `fusebridge mnt`", option.display().to_string());
    let name = std::str::from_utf8(name).map_err(|_| unknown())?;
    if name.starts_with("x-") || name.starts_with("X-") || IGNORED.contains(&name) {
        return Ok(None);
    }
    let name = match name {
        "ro" => "read-only".to_owned(),
        "remount" => return Err("a mount cannot be changed; unmount it and mount it again".to_owned()),
        name => name.replace('_', "-"),
    };
    // What only the program itself says to itself is nobody's option.
    let mut known = mnt.get_arguments().filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "daemon"));
    let known = known.find(|arg| arg.get_long() == Some(&name)).ok_or_else(unknown)?;
    let mut flag = OsString::from(format!("--{name}"));
    match (known.get_action().takes_values(), value) {
        (true, Some(value)) => {
            flag.push("=");
            flag.push(value);
        }
        (false, None) => {}
        (true, None) => return Err(format!("the option {name} in -o needs a value: {name}=..")),
        (false, Some(_)) => return Err(format!("the option {name} in -o has no value")),
    }
    Ok(Some(flag))
}

/// The options of a list with commas between them. A comma of a value is written as `\,`, or the value in double quotes.
fn split(list: &OsStr) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut option = Vec::new();
    let mut is_quoted = false;
    let mut bytes = list.as_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if matches!(bytes.peek(), Some(b',' | b'\\')) => option.extend(bytes.next()),
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => options.push(std::mem::take(&mut option)),
            byte => option.push(byte),
        }
    }
    options.push(option);
    options.into_iter().filter(|option| !option.is_empty()).map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn translated(words: &str) -> Result<Option<String>, String> {
        let flag = |name: &'static str| Arg::new(name).long(name).action(clap::ArgAction::SetTrue);
        let mnt = Command::new("mnt")
            .args(["read-only", "noatime", "allow-other", "suid", "daemon"].map(flag))
            .args(["io", "ttl", "log-filter"].map(|name| Arg::new(name).long(name)))
            .arg(flag("background").hide(true));
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let line = translate(&words, &mnt)?;
        let text = |line: Vec<OsString>| line.join(OsStr::new(" ")).into_string().unwrap();
        Ok(line.map(text).map(|line| line.strip_prefix("mnt --daemon --quiet --fsname ").unwrap().to_owned()))
    }

    #[test]
    fn options_become_ours() {
        for (given, expected) in [
            ("/srv /mnt", "/srv -- /srv /mnt"),
            ("/srv /mnt -o rw", "/srv -- /srv /mnt"),
            (
                "mem: /mnt -n -o ro,noatime,nodev,nosuid,x-systemd.automount,user=me",
                "mem: --read-only --noatime -- mem: /mnt",
            ),
            ("-t fuse.fusebridge mem: /mnt -o allow_other,io=rpc", "mem: --allow-other --io=rpc -- mem: /mnt"),
            ("mem: /mnt -sv -o nobarrier,suid,ttl=5", "mem: --suid --ttl=5 -- mem: /mnt"),
            (r"a /m -o log_filter=lisafs=off\,warn,ro", "a --log-filter=lisafs=off,warn --read-only -- a /m"),
            (r#"a /m -o log_filter="lisafs=off,warn",ro"#, "a --log-filter=lisafs=off,warn --read-only -- a /m"),
        ] {
            assert_eq!(translated(given), Ok(Some(expected.to_owned())), "{given}");
        }
        assert_eq!(translated("mem: /mnt -f -o rw"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (given, word) in [
            ("mem:", "BACKEND"),
            ("mem: /mnt more", "BACKEND"),
            ("mem: /mnt -o", "-o"),
            ("mem: /mnt -x", "-x"),
            ("mem: /mnt -o nobarrier", "nobarrier"),
            ("mem: /mnt -o background", "background"),
            ("mem: /mnt -o daemon", "daemon"),
            ("mem: /mnt -o io", "value"),
            ("mem: /mnt -o noatime=1", "value"),
            ("mem: /mnt -o remount,ro", "unmount"),
        ] {
            let error = translated(given).unwrap_err();
            assert!(error.contains(word), "{given}: {error}");
        }
    }

    #[test]
    fn mount_calls_by_name() {
        for (name, expected) in
            [("/sbin/mount.fuse.fusebridge", true), ("mount.fusebridge", true), ("/x/mount.d/fusebridge", false)]
        {
            assert_eq!(is_called(OsStr::new(name)), expected, "{name}");
        }
    }
}
