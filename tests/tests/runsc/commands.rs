//! runsc's commands.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use e2e::sandbox::{self, Bundle, Gofer, LIMIT, Sandbox};
use e2e::{check, command, process, wait};
use rustix::process::Signal;
use serde_json::Value;

/// A container that runs until somebody ends it.
fn endless(sandbox: &Sandbox) -> Result<Bundle> {
    Ok(Bundle::busybox(sandbox, "c")?.arguments(&["sleep", "1000"]))
}

fn state(sandbox: &Sandbox, id: &str) -> Result<Value> {
    Ok(serde_json::from_str(&sandbox.succeed(["state", id])?)?)
}

fn status(sandbox: &Sandbox, id: &str) -> Result<String> {
    Ok(state(sandbox, id)?["status"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_life_in_single_steps() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = endless(sandbox)?;
        let id = bundle.id();
        let mut told = String::new();
        sandbox.create(&bundle)?;
        told += &status(sandbox, id)?;
        sandbox.succeed(["start", id])?;
        told += &status(sandbox, id)?;
        let state = state(sandbox, id)?;
        check::equal("bundle", &state["bundle"].as_str(), &bundle.path().to_str())?;
        check::equal("id", &state["id"], &id)?;
        check::holds(
            "a process",
            state["pid"].as_u64().is_some_and(|pid| process::alive(u32::try_from(pid).unwrap_or(0))),
        )?;
        told += &sandbox.succeed(["list", "--quiet"])?;
        told += &sandbox.succeed(["ps", "--format=json", id])?;
        told += &sandbox.succeed(["exec", id, "sh", "-c", "echo in it; cat /proc/1/cmdline; pwd; echo x > /made"])?;
        check::equal("made", &fs::read_to_string(bundle.root().join("made"))?, &"x\n")?;
        let failed = sandbox.call(["exec", id, "sh", "-c", "exit 9"])?;
        check::equal("status of exec", &failed.status.code(), &Some(9))?;
        let events: Value = serde_json::from_str(&sandbox.succeed(["events", "--stats", id])?)?;
        told += &format!("{} {}", events["type"], events["id"]);
        sandbox.succeed(["pause", id])?;
        told += &status(sandbox, id)?;
        sandbox.succeed(["resume", id])?;
        told += &status(sandbox, id)?;
        sandbox.succeed(["kill", id, "TERM"])?;
        wait::until("the end", LIMIT, || status(sandbox, id).is_ok_and(|status| status == "stopped"))?;
        // It can be said to have stopped while its processes are still ending.
        wait::until("its deletion", LIMIT, || sandbox.succeed(["delete", id]).is_ok())?;
        let gone = sandbox.call(["state", id])?;
        check::equal("status of state", &gone.status.code(), &Some(128))?;
        check::equal("list", &sandbox.succeed(["list", "--quiet"])?, &"")?;
        Ok(told)
    })
}

#[test]
fn a_detached_process_in_a_container() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = endless(sandbox)?;
        let id = bundle.id();
        sandbox.start(&bundle)?;
        let pid_file = sandbox.path().join("pid");
        sandbox.succeed([
            "exec",
            "--detach",
            "--pid-file",
            &pid_file.to_string_lossy(),
            id,
            "sh",
            "-c",
            "echo x > /made",
        ])?;
        wait::until("what it makes", LIMIT, || bundle.root().join("made").exists())?;
        check::holds("a number", fs::read_to_string(&pid_file)?.parse::<u32>().is_ok())?;
        sandbox.succeed(["delete", "--force", id])?;
        Ok(String::new())
    })
}

#[test]
fn deleting_a_running_container_by_force() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = endless(sandbox)?;
        let id = bundle.id();
        sandbox.start(&bundle)?;
        let refused = sandbox.call(["delete", id])?;
        check::holds("a running one is not deleted", !refused.status.success())?;
        sandbox.succeed(["delete", "--force", id])?;
        Ok(format!("{:?}", refused.status.code()))
    })
}

#[test]
fn a_signal_ends_runsc_and_its_sandbox() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?
            .script("trap 'echo stopped' TERM; touch /ready; while :; do sleep 0.1; done");
        bundle.write(sandbox)?;
        let arguments = ["run", "--bundle", &bundle.path().to_string_lossy(), bundle.id()].map(str::to_owned);
        let mut run = sandbox.command(arguments)?.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        wait::until("the container", LIMIT, || bundle.root().join("ready").exists())?;
        process::signal(run.id(), Signal::TERM);
        let status = command::exit_status(&mut run, LIMIT)?;
        // It takes the signal itself, and its sandbox goes with it.
        check::equal("signal", &status.signal(), &Some(Signal::TERM.as_raw()))?;
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        Ok(String::new())
    })
}

#[test]
fn standard_input_passes_through() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.arguments(&["sed", "s/^/read: /"]);
        bundle.write(sandbox)?;
        let arguments = ["run", "--bundle", &bundle.path().to_string_lossy(), bundle.id()].map(str::to_owned);
        let mut run = sandbox.command(arguments)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        std::io::Write::write_all(&mut run.stdin.take().context("a pipe")?, b"one\ntwo\n")?;
        let output = run.wait_with_output()?;
        check::equal("stdout", &String::from_utf8_lossy(&output.stdout), &"read: one\nread: two\n")?;
        Ok(String::new())
    })
}

#[test]
fn a_checkpoint_and_its_restoration() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::busybox(sandbox, "c")?.bind(&data, "/data", &[]).script(
            "exec 3> /data/open; n=0; while :; do n=$((n+1)); echo $n > /data/count.new; mv /data/count.new /data/count; echo $n >&3; sleep 0.05; done",
        );
        let (id, image) = (bundle.id(), sandbox.directory("image")?);
        let count = || fs::read_to_string(data.join("count")).ok().and_then(|text| text.trim().parse::<u32>().ok());
        sandbox.start(&bundle)?;
        wait::until("some rounds", LIMIT, || count().is_some_and(|count| count > 3))?;
        sandbox.succeed(["checkpoint", "--image-path", &image.to_string_lossy(), id])?;
        sandbox.succeed(["delete", "--force", id])?;
        let before = count().context("a count")?;
        check::holds("it has stopped", count() == Some(before))?;
        let restore = ["restore", "--detach", "--image-path"].map(str::to_owned).into_iter();
        let rest = [&image, std::path::Path::new("--bundle"), bundle.path(), id.as_ref()]
            .map(|word| word.to_string_lossy().into_owned());
        sandbox.succeed(restore.chain(rest))?;
        wait::until("more rounds", LIMIT, || count().is_some_and(|count| count > before + 3))?;
        sandbox.succeed(["delete", "--force", id])?;
        Ok(String::new())
    })
}

#[test]
fn a_single_command() -> Result<()> {
    sandbox::compare(|sandbox| {
        let done = sandbox.call([
            "do",
            "--cwd",
            "/usr",
            "sh",
            "-c",
            "pwd; echo $FROM_OUTSIDE; echo x > /usr/new; cat /usr/new; exit 5",
        ])?;
        check::equal("status", &done.status.code(), &Some(5)).with_context(|| done.describe())?;
        check::holds("only in the overlay", !std::path::Path::new("/usr/new").exists())?;
        // runsc says what it makes for itself.
        check::holds("its directory", done.stdout.starts_with("/usr\n"))?;
        Ok(done.stdout)
    })
}

#[test]
fn an_ordinary_users_command() -> Result<()> {
    sandbox::compare(|sandbox| {
        let programs = e2e::user::programs()?;
        std::fs::set_permissions(sandbox.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let state = sandbox.directory("users")?;
        e2e::user::give(&state)?;
        let mut plain = sandbox.command(["--rootless", "--root"])?;
        plain.arg(&state).args(["do", "sh", "-c", "id -u; exit 6"]);
        let mut command = plain;
        if sandbox.gofer() == Gofer::Ours {
            // The ordinary user cannot reach the one that was built.
            let mut copy = Command::new(programs.path().join("gofer"));
            copy.args(command.get_args());
            command = copy;
        }
        let mut user = e2e::user::as_user(&command);
        let done = command::run(user.current_dir("/"), LIMIT)?;
        check::equal("status", &done.status.code(), &Some(6)).with_context(|| done.describe())?;
        check::equal("stdout", &done.stdout, &"0\n")?;
        Ok(String::new())
    })
}

#[test]
fn a_gofer_that_dies_ends_its_container() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/data", &[])
            .script("touch /data/ready; while :; do sleep 0.1; ls /data > /dev/null; done");
        bundle.write(sandbox)?;
        let arguments = ["run", "--bundle", &bundle.path().to_string_lossy(), bundle.id()].map(str::to_owned);
        let mut run =
            sandbox.command(arguments)?.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        wait::until("the container", LIMIT, || data.join("ready").exists())?;
        let gofers = sandbox.processes("gofer")?;
        check::equal("gofers", &gofers.len(), &1)?;
        process::kill(gofers[0]);
        let status = command::exit_status(&mut run, LIMIT)?;
        check::holds("that is an error", !status.success())?;
        sandbox.call(["delete", "--force", bundle.id()])?;
        Ok(String::new())
    })
}
