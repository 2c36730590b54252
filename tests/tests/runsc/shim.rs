//! The runtime shim itself: which program it loads, how, and what it says when it cannot.
//!
//! Where runsc itself does not matter, busybox takes its place: a static program that tells what it was started with.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::sandbox::{self, Bundle, LIMIT};
use e2e::{bins, check, command, scratch, skip, wait};

const BUSYBOX: &str = "/bin/busybox";

/// `gofer runtime --runsc RUNSC -- ARGUMENTS`.
fn runtime(runsc: impl AsRef<OsStr>, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(bins::gofer()?);
    command.args(["runtime", "--runsc"]).arg(runsc).arg("--").args(arguments);
    Ok(command)
}

/// What busybox prints.
fn told(arguments: &[&str]) -> Result<String> {
    command::succeed(&mut runtime(BUSYBOX, arguments)?, LIMIT)
}

/// The one line that is said instead of running something.
fn refusal(command: &mut Command) -> Result<String> {
    let outcome = command::run(command, LIMIT)?;
    check::equal("status", &outcome.status.code(), &Some(128)).with_context(|| outcome.describe())?;
    check::equal("stdout", &outcome.stdout, &"")?;
    check::equal("lines", &outcome.stderr.lines().count(), &1).with_context(|| outcome.describe())?;
    match outcome.stderr.strip_prefix("gofer: ") {
        Some(line) => Ok(line.trim_end().to_owned()),
        None => bail!("{}", outcome.stderr),
    }
}

fn executable(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Makes `program` of what is written in C.
fn compile(source: &str, kind: &str, program: &Path) -> Result<()> {
    let file = program.with_extension("c");
    fs::write(&file, source)?;
    command::succeed(Command::new("cc").arg(kind).arg("-o").arg(program).arg(&file), LIMIT)?;
    Ok(())
}

#[test]
fn our_gofer_and_otherwise_the_real_runsc() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.arguments(&["sleep", "1000"]);
        sandbox.start(&bundle)?;
        let programs = |kind: &str| -> Result<Vec<PathBuf>> {
            let processes = sandbox.processes(kind)?;
            processes.into_iter().map(|pid| Ok(fs::read_link(format!("/proc/{pid}/exe"))?)).collect()
        };
        check::equal("gofer", &programs("gofer")?, &[fs::canonicalize(bins::gofer()?)?])?;
        let sandboxes = programs("sandbox")?;
        // The real one makes a root directory for itself, in which it has another path.
        let real = sandbox.runsc().path().file_name();
        check::equal("sandboxes", &sandboxes.len(), &1)?;
        check::holds("runsc", [real, Some(OsStr::new("exe"))].contains(&sandboxes[0].file_name()))?;
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        Ok(())
    })
}

#[test]
fn a_link_is_a_runtime() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let link = sandbox.path().join("runsc-gofer-rs");
        symlink(bins::gofer()?, &link)?;
        let bundle = Bundle::busybox(sandbox, "c")?.script("echo in a container");
        bundle.write(sandbox)?;
        let with_flags = sandbox.command(["run", "--bundle"])?;
        let flags: Vec<&OsStr> = with_flags.get_args().skip_while(|&word| word != "--").skip(1).collect();
        let mut command = Command::new(&link);
        command.args(flags).arg(bundle.path()).arg(bundle.id()).env("GOFER_RUNSC", sandbox.runsc().path());
        check::equal("stdout", &command::succeed(&mut command, LIMIT)?, &"in a container\n")
    })
}

#[test]
fn its_command_line_says_which_runsc() -> Result<()> {
    let scratch = scratch::disk()?;
    let link = scratch.path().join("runsc-gofer-rs");
    symlink(bins::gofer()?, &link)?;
    let mut plain = Command::new(&link);
    // No privilege is needed to show it.
    let mut limited = Command::new("setpriv");
    limited.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(&link);
    for command in [&mut plain, &mut limited] {
        command.args(["cat", "/proc/self/cmdline"]).env("GOFER_RUNSC", BUSYBOX);
        let shown = command::succeed(command, LIMIT)?;
        let wanted = "gofer\0runtime\0--runsc\0/bin/busybox\0--\0cat\0/proc/self/cmdline\0";
        check::equal("command line", &shown, &wanted)?;
    }
    Ok(())
}

#[test]
fn what_a_program_is_started_with() -> Result<()> {
    check::equal("arguments", &told(&["echo", "-n", "", " a b ", "--", "-x"])?, &"  a b  -- -x")?;
    check::equal("program", &told(&["sh", "-c", "echo $0"])?, &"sh\n")?;
    let exe = fs::canonicalize(bins::gofer()?)?;
    check::equal(
        "the executable is ours",
        &told(&["readlink", "/proc/self/exe"])?.trim_end(),
        &exe.to_str().unwrap_or_default(),
    )?;
    check::equal("name", &told(&["cat", "/proc/self/comm"])?, &"busybox\n")?;
    let listed = ["ls", "/proc/self/fd"];
    let plain = command::succeed(Command::new(BUSYBOX).args(listed), LIMIT)?;
    check::equal("descriptors", &told(&listed)?, &plain)?;
    let mut large = runtime(BUSYBOX, &["env"])?;
    large.env_clear().env("BIG", "x".repeat(100_000)).env("EMPTY", "");
    for n in 0..1000 {
        large.env(format!("VARIABLE_{n}"), n.to_string());
    }
    let answer = command::succeed(&mut large, LIMIT)?;
    check::equal("variables", &answer.lines().count(), &1002)?;
    check::holds("empty", answer.contains("\nEMPTY=\n") || answer.starts_with("EMPTY=\n"))?;
    check::holds("big", answer.lines().any(|line| line.len() == 100_004))
}

#[test]
fn signals_are_as_after_an_execve() -> Result<()> {
    let status = |wrapped: &Command| -> Result<String> {
        let mut shell = Command::new("sh");
        // One ignored signal; whatever else is blocked or ignored comes from us.
        shell.args(["-c", "trap '' USR1; exec \"$@\"", "sh"]).arg(wrapped.get_program()).args(wrapped.get_args());
        command::succeed(&mut shell, LIMIT)
    };
    // Not `SigQ`, which counts what all processes of the user have queued.
    let arguments = ["grep", "-E", "^(Sig[^Q]|Shd|Threads|NoNewPrivs|Seccomp:)", "/proc/self/status"];
    let mut plain = Command::new(BUSYBOX);
    plain.args(arguments);
    check::equal("signals", &status(&runtime(BUSYBOX, &arguments)?)?, &status(&plain)?)?;
    let killed = command::run(&mut runtime(BUSYBOX, &["sh", "-c", "kill -SEGV $$"])?, LIMIT)?;
    check::equal("killed by", &killed.status.signal(), &Some(11))?;
    let piped = command::run(&mut runtime(BUSYBOX, &["sh", "-c", "kill -PIPE $$"])?, LIMIT)?;
    check::equal("killed by", &piped.status.signal(), &Some(13))?;
    check::equal(
        "status",
        &command::run(&mut runtime(BUSYBOX, &["sh", "-c", "exit 77"])?, LIMIT)?.status.code(),
        &Some(77),
    )
}

#[test]
fn programs_that_can_be_put_anywhere() -> Result<()> {
    let scratch = scratch::disk()?;
    let program = scratch.path().join("program");
    let source = "\
         #include <stdio.h>\n#include <stdlib.h>\n#include <sys/auxv.h>\n\
         static char zero[1 << 20]; static int data = 42; static int *pointer = &data;\n\
         int main(int argc, char **argv) {\n\
           for (size_t i = 0; i < sizeof zero; i++) if (zero[i]) return 1;\n\
           char *more = malloc(1 << 16); if (!more) return 2;\n\
           if (*pointer != 42 || getauxval(AT_BASE) || getauxval(AT_PAGESZ) != 4096) return 3;\n\
           printf(\"%d %s %s\\n\", argc, argv[argc - 1], (char *)getauxval(AT_EXECFN)); return 5; }\n";
    for kind in ["-static", "-static-pie"] {
        compile(source, kind, &program)?;
        let outcome = command::run(&mut runtime(&program, &["one", "two"])?, LIMIT)?;
        check::equal(kind, &outcome.status.code(), &Some(5)).with_context(|| outcome.describe())?;
        check::equal(kind, &outcome.stdout, &format!("3 two {}\n", program.display()))?;
    }
    Ok(())
}

#[test]
fn barriers_are_registered_while_that_is_free() -> Result<()> {
    let scratch = scratch::disk()?;
    let program = scratch.path().join("program");
    let source = "\
         #include <stdio.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
         enum { GET_REGISTRATIONS = 1 << 9 };\n\
         int main() { printf(\"%ld\\n\", syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0)); }\n";
    compile(source, "-static", &program)?;
    let plain = command::succeed(&mut Command::new(&program), LIMIT)?;
    if plain == "-1\n" {
        skip!("Linux before 6.3 does not tell what is registered");
    }
    check::equal("without us", &plain, &"0\n")?;
    let private_expedited = format!("{}\n", 1 << 4);
    check::equal("as runsc does it", &command::succeed(&mut runtime(&program, &[])?, LIMIT)?, &private_expedited)
}

#[test]
fn the_environment_comes_before_the_path() -> Result<()> {
    let scratch = scratch::disk()?;
    let (link, real) = (scratch.path().join("runsc"), scratch.path().join("real"));
    symlink(bins::gofer()?, &link)?;
    fs::create_dir(&real)?;
    let path = std::env::join_paths([scratch.path(), &real])?;
    let call = |variable: &str| {
        let mut command = Command::new(&link);
        command.args(["echo", "found"]).env_clear().env("PATH", &path);
        if !variable.is_empty() {
            command.env("GOFER_RUNSC", variable);
        }
        command
    };
    // There is a link to us only, which does not count.
    check::holds("none", refusal(&mut call(""))?.starts_with("no runsc in PATH; "))?;
    // Answers by its name: no applet of busybox is called so.
    let unknown = |command: &mut Command| -> Result<String> { Ok(command::run(command, LIMIT)?.stdout) };
    check::equal("variable", &unknown(&mut call(BUSYBOX))?, &"found\n")?;
    fs::copy(BUSYBOX, real.join("busybox"))?;
    symlink("busybox", real.join("runsc"))?;
    let found = command::run(&mut call(""), LIMIT)?;
    check::holds("the other one", found.stderr.contains("runsc: applet not found")).with_context(|| found.describe())
}

#[test]
fn the_configuration_file() -> Result<()> {
    let scratch = scratch::disk()?;
    let link = scratch.path().join("runsc-gofer-rs");
    symlink(bins::gofer()?, &link)?;
    // A directory for configurations that only this process sees.
    let script = "cp -a /etc \"$1/etc\"; mkdir -p \"$1/etc/gofer\"; printf '%s' \"$2\" > \"$1/etc/gofer/runtime.json\"
        mount --bind \"$1/etc\" /etc; rm -rf \"$1/etc/ssl\"; exec \"$1/runsc-gofer-rs\" echo configured";
    let call = |text: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-euc", script, "sh"]).arg(scratch.path()).arg(text).env_remove("GOFER_RUNSC");
        unshare
    };
    check::equal("stdout", &command::succeed(&mut call(r#"{"runsc": "/bin/busybox"}"#), LIMIT)?, &"configured\n")?;
    for (text, wanted) in [
        ("", "EOF while parsing"),
        (r#"{"runsc": "bin/busybox"}"#, "/etc/gofer/runtime.json: bin/busybox is not an absolute path"),
        (r#"{"runcs": "/bin/busybox"}"#, "unknown field `runcs`"),
    ] {
        let said = refusal(&mut call(text))?;
        check::holds(wanted, said.contains(wanted)).with_context(|| said.clone())?;
    }
    Ok(())
}

#[test]
fn programs_beside_runsc_are_found() -> Result<()> {
    let scratch = scratch::disk()?;
    let runsc = scratch.path().join("busybox");
    fs::copy(BUSYBOX, &runsc)?;
    let show = ["sh", "-c", "echo $GVISOR_SIDECAR_BINARIES_DIR"];
    let answer = |command: &mut Command| command::succeed(command, LIMIT);
    check::equal("nothing there", &answer(&mut runtime(&runsc, &show)?)?, &"\n")?;
    let beside = scratch.path().join("gvisor-bin");
    fs::create_dir(&beside)?;
    check::equal("its directory", &answer(&mut runtime(&runsc, &show)?)?, &format!("{}\n", beside.display()))?;
    let mut told = runtime(&runsc, &show)?;
    let empty = answer(told.env("GVISOR_SIDECAR_BINARIES_DIR", ""))?;
    check::equal("none is another", &empty, &format!("{}\n", beside.display()))?;
    check::equal("another", &answer(told.env("GVISOR_SIDECAR_BINARIES_DIR", "/x"))?, &"/x\n")
}

#[test]
fn what_cannot_be_loaded() -> Result<()> {
    let scratch = scratch::disk()?;
    let at = |name: &str| scratch.path().join(name);
    let program = fs::read(BUSYBOX)?;
    executable(&at("script"), b"#!/bin/sh\necho no\n")?;
    executable(&at("empty"), b"")?;
    executable(&at("short"), &program[..300])?;
    executable(&at("cut"), &program[..100_000])?;
    let mut foreign = program.clone();
    // The machine in the header: SPARC.
    foreign[18..20].copy_from_slice(&[2, 0]);
    executable(&at("foreign"), &foreign)?;
    fs::write(at("data"), &program)?;
    fs::set_permissions(at("data"), fs::Permissions::from_mode(0o644))?;
    symlink(bins::gofer()?, at("ourselves"))?;
    for (name, wanted) in [
        ("nowhere", "cannot run "),
        ("data", "Permission denied"),
        ("", "Permission denied"),
        ("script", "it is not an ELF program"),
        ("empty", "it is not a readable ELF program"),
        ("short", "it is not a readable ELF program"),
        ("cut", "ELF program"),
        ("foreign", "it is for another machine"),
        ("ourselves", "is this program, not the runsc that it stands in for"),
    ] {
        let said = refusal(&mut runtime(at(name), &["list"])?)?;
        check::holds(name, said.contains(wanted) && said.contains(&*at(name).to_string_lossy()))
            .with_context(|| said.clone())?;
    }
    let said = refusal(&mut runtime("/bin/bash", &["list"])?)?;
    check::holds("dynamic", said.contains("it is dynamically linked; only a static runsc"))
        .with_context(|| said.clone())?;
    let mut relative = Command::new(bins::gofer()?);
    relative.args(["runtime", "--runsc", "nowhere", "--", "list"]).current_dir(scratch.path());
    check::holds("relative", refusal(&mut relative)?.contains(&*at("nowhere").to_string_lossy()))?;
    let script = "mount -t tmpfs -o noexec tmpfs \"$1\"; cp /bin/busybox \"$1/runsc\"; exec \"$2\" runtime --runsc \"$1/runsc\" -- list";
    let mut noexec = Command::new("unshare");
    noexec.args(["--mount", "sh", "-euc", script, "sh"]).arg(scratch.path()).arg(bins::gofer()?);
    let said = refusal(&mut noexec)?;
    check::holds("noexec", said.contains("noexec") || said.contains("Permission denied")).with_context(|| said.clone())
}

#[test]
fn docker_is_not_told_to_start_something_else() -> Result<()> {
    for arguments in [&["install"][..], &["--debug", "--root", "/run/x", "install", "--runtime=x"]] {
        let said = refusal(&mut runtime(BUSYBOX, arguments)?)?;
        check::holds("what to do", said.contains("daemon.json") && said.contains("runsc-gofer-rs"))
            .with_context(|| said.clone())?;
    }
    // Here it is a name.
    let named = command::run(&mut runtime(BUSYBOX, &["echo", "install"])?, LIMIT)?;
    check::equal("a name", &named.stdout, &"install\n")
}

#[test]
fn mistakes_in_the_call() -> Result<()> {
    for arguments in [&["runtime", "--runsc"][..], &["runtime", "--help"], &["runtime", "list"]] {
        let outcome = command::run(Command::new(bins::gofer()?).args(arguments), LIMIT)?;
        let text = outcome.stdout + &outcome.stderr;
        check::holds("usage", text.contains("Usage: gofer runtime [OPTIONS]") || text.contains("--runsc <PATH>"))
            .with_context(|| text.clone())?;
    }
    let mut inner = Command::new(bins::fusebridge()?);
    let outcome = command::run(inner.args(["gofer", "runtime", "--", "list"]), LIMIT)?;
    check::equal("status", &outcome.status.code(), &Some(1))?;
    check::holds("why", outcome.stderr.contains("only the program gofer itself")).with_context(|| outcome.describe())
}

#[test]
fn a_runtime_without_environment() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.arguments(&["sleep", "1000"]);
        bundle.write(sandbox)?;
        let mut create = sandbox.command(["create", "--bundle"])?;
        command::succeed(create.arg(bundle.path()).arg(bundle.id()).env_clear(), LIMIT)?;
        command::succeed(sandbox.command(["start", bundle.id()])?.env_clear(), LIMIT)?;
        command::succeed(sandbox.command(["delete", "--force", bundle.id()])?.env_clear(), LIMIT)?;
        wait::until("its end", LIMIT, || sandbox.processes("gofer").is_ok_and(|left| left.is_empty()))
    })
}
