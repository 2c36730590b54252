//! Programs that the container's author wants to be run when its root file system is there.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::retry_on_intr;
use rustix::process::{self, Pid, PidfdFlags, WaitOptions, pidfd_open};
use serde_json::json;

use super::raw;
use super::spec::{Container, Hook};

/// Why the container cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("hook {}: the path is not absolute", .0.display())]
    Relative(PathBuf),
    #[error("hook {}: {source}", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("hook {}: {status}", path.display())]
    Failed { path: PathBuf, status: ExitStatus },
    #[error("hook {}: did not finish within {seconds} s", path.display())]
    Timeout { path: PathBuf, seconds: i64 },
}

/// The version of the specification that the state is in.
const OCI_VERSION: &str = "1.2.1";

/// Runs the container's `createContainer` hooks one after the other.
pub(super) fn run(container: &Container, id: &str, bundle: &Path) -> Result<(), HookError> {
    let mut state = json!({"ociVersion": OCI_VERSION, "id": id, "status": "creating", "pid": -1, "bundle": bundle});
    if !container.annotations.is_empty() {
        state["annotations"] = json!(container.annotations);
    }
    let state = state.to_string();
    container.create_container.iter().filter(|hook| is_run(hook)).try_for_each(|hook| one(hook, &state))
}

/// Whether there is something to run.
pub(super) fn are_there(container: &Container) -> bool {
    container.create_container.iter().any(is_run)
}

/// Hooks for GPUs would do what the sandbox does itself.
fn is_run(hook: &Hook) -> bool {
    let has = |argument| hook.args.iter().flatten().any(|given| given == argument);
    let is_skipped = hook.path.ends_with("nvidia-container-runtime-hook")
        || hook.path.ends_with("nvidia-cdi-hook") && has("disable-device-node-modification");
    if is_skipped {
        tracing::info!("hook {} is not run", hook.path.display());
    }
    !is_skipped
}

fn one(hook: &Hook, state: &str) -> Result<(), HookError> {
    let path = &hook.path;
    if !path.is_absolute() {
        return Err(HookError::Relative(path.clone()));
    }
    let mut command = Command::new(path);
    if let Some((name, arguments)) = hook.args.as_deref().and_then(<[String]>::split_first) {
        use std::os::unix::process::CommandExt;
        command.arg0(name).args(arguments);
    }
    if let Some(env) = hook.env.as_deref().filter(|env| !env.is_empty()) {
        command.env_clear().envs(env.iter().filter_map(|variable| variable.split_once('=')));
    }
    let failed = |source| HookError::Start { path: path.clone(), source };
    let stdin = file_with(state).map_err(failed)?;
    let mut child = command.stdin(stdin).stdout(Stdio::null()).spawn().map_err(failed)?;
    let limit = hook.timeout.filter(|seconds| *seconds > 0);
    let status = match limit {
        Some(seconds) => {
            wait(&mut child, seconds).map_err(failed)?.ok_or(HookError::Timeout { path: path.clone(), seconds })?
        }
        None => child.wait().map_err(failed)?,
    };
    if status.success() { Ok(()) } else { Err(HookError::Failed { path: path.clone(), status }) }
}

/// A file, not a pipe: nobody has to wait until all of it is read.
fn file_with(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("state", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Lets orphans of hooks end without anybody who waits for them. They are this process's, if it is the first of its
/// namespace.
pub(super) fn abandon_orphans() {
    raw::ignore(libc::SIGCHLD);
    // Those that have ended before.
    while let Ok(Some(_)) = process::wait(WaitOptions::NOHANG) {}
}

/// Waits for the end of `child`, and after some seconds brings it about, answering nothing.
fn wait(child: &mut Child, seconds: i64) -> io::Result<Option<ExitStatus>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let ready = retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&limit)))?;
    if ready == 0 {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(hooks: &serde_json::Value) -> Container {
        let document = json!({
            "process": {"args": ["sh"]},
            "root": {"path": "/r"},
            "hooks": {"createContainer": hooks},
            "annotations": {"a": "b"},
        });
        Container::parse(document.to_string().as_bytes(), Path::new("/"), false).unwrap()
    }

    #[test]
    fn hooks_get_the_state() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let script = format!("{{ cat; echo; echo $0 $1 $A; ls /proc/self/fd | wc -l; }} > {}", out.display());
        let hooks = json!([{"path": "/bin/sh", "args": ["sh", "-c", script, "name", "one"], "env": ["A=x", "PATH=/bin:/usr/bin"]}]);
        run(&container(&hooks), "the-id", Path::new("/bundle")).unwrap();
        let text = std::fs::read_to_string(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let state: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        let expected = json!({
            "ociVersion": "1.2.1", "id": "the-id", "status": "creating", "pid": -1, "bundle": "/bundle", "annotations": {"a": "b"},
        });
        assert_eq!(state, expected);
        assert_eq!(lines[1], "name one x");
    }

    #[test]
    fn the_first_failure_is_the_last_hook() {
        let directory = tempfile::tempdir().unwrap();
        let flag = directory.path().join("flag");
        let hooks = json!([{"path": "/bin/false"}, {"path": "/usr/bin/touch", "args": ["touch", flag]}]);
        let error = run(&container(&hooks), "id", Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "hook /bin/false: exit status: 1");
        assert!(!flag.exists());
    }

    #[test]
    fn hooks_have_limits() {
        let hooks = json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]);
        let error = run(&container(&hooks), "id", Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "hook /bin/sleep: did not finish within 1 s");
        // The same if it does not even take what it is told, however much that is.
        let mut talkative = container(&hooks);
        talkative.annotations.insert("long".to_owned(), "x".repeat(1 << 20));
        let error = run(&talkative, "id", Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "hook /bin/sleep: did not finish within 1 s");
        let error = run(&container(&json!([{"path": "sleep"}])), "id", Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "hook sleep: the path is not absolute");
        let error = run(&container(&json!([{"path": "/not/there"}])), "id", Path::new("/")).unwrap_err();
        assert!(error.to_string().starts_with("hook /not/there: No such file"), "{error}");
    }

    #[test]
    fn hooks_for_gpus_are_left_out() {
        let hooks = json!([
            {"path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook", "disable-device-node-modification"]},
            {"path": "/usr/bin/nvidia-container-runtime-hook"},
        ]);
        assert!(!are_there(&container(&hooks)));
        assert!(are_there(&container(&json!([{"path": "/usr/bin/nvidia-cdi-hook"}]))));
    }
}
