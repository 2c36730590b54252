//! Specs that runsc accepts and strict readers do not.

use std::fs;

use anyhow::Result;
use e2e::check;
use e2e::command::Outcome;
use e2e::sandbox::{self, Bundle, Sandbox, listing};

/// Runs a container with another text in its configuration.
fn run_with(sandbox: &Sandbox, bundle: &Bundle, change: impl Fn(&str) -> String) -> Result<Outcome> {
    bundle.write(sandbox)?;
    let file = bundle.path().join("config.json");
    fs::write(&file, change(&fs::read_to_string(&file)?))?;
    let path = bundle.path().to_string_lossy();
    sandbox.call(["run", "--bundle", &path, bundle.id()])
}

#[test]
fn members_in_any_case_and_twice() -> Result<()> {
    sandbox::compare(|sandbox| {
        let [data, other] = ["data", "other"].map(|name| sandbox.directory(name));
        let (data, other) = (data?, other?);
        fs::write(data.join("file"), "data\n")?;
        fs::write(other.join("file"), "other\n")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/data", &["rw"])
            .script("cat /data/file; ! echo x > /data/x; ! echo x > /etc/x; id -u; grep -c ' /data ' /proc/mounts");
        let outcome = run_with(sandbox, &bundle, |text| {
            let text = text.replace("\"readonly\":false", "\"READONLY\":true").replace("\"mounts\"", "\"Mounts\"");
            let text = text.replace("\"source\"", "\"Source\"").replace("\"destination\"", "\"DESTINATION\"");
            // The third mount gets another source, and the options of the second list.
            let more = format!(
                r#""root":{{"readonly":true}},"mounts":[{{}},{{}},{{"source":{other:?},"options":["bind","ro"]}}],"process":{{"User":{{"uid":7}}}}}}"#
            );
            format!("{},{more}", text.trim_end().trim_end_matches('}').to_owned() + &"}".repeat(trailing(&text) - 1))
        })?;
        check::equal("status", &outcome.status.code(), &Some(0))?;
        check::equal("output", &outcome.stdout, &"other\n7\n1\n")?;
        Ok(outcome.describe())
    })
}

/// How many objects end at the end of `text`.
fn trailing(text: &str) -> usize {
    text.trim_end().bytes().rev().take_while(|&byte| byte == b'}').count()
}

#[test]
fn a_volume_for_the_root() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?;
        let whole = sandbox.path().join("whole");
        let copy = std::process::Command::new("cp").arg("-a").arg(bundle.root()).arg(&whole).status()?;
        check::holds("copied", copy.success())?;
        fs::write(whole.join("of the volume"), "")?;
        let data = sandbox.directory("data")?;
        fs::write(data.join("file"), "data\n")?;
        let bundle = bundle
            .bind(&whole, "/", &["rw"])
            .bind(&data, "/home/new", &["rw"])
            .script("ls / /home/new; cat /home/new/file; echo x > /written");
        let outcome = sandbox.run(&bundle)?;
        Ok(format!("{}\n{}\n{}", outcome.describe(), listing(&bundle.root())?, listing(&whole)?))
    })
}

#[test]
fn what_an_extension_cannot_read_does_not_stop_it() -> Result<()> {
    sandbox::with_ours(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/data", &["rw"])
            .annotation("dev.gofer.backend./data", "stats:readonly:host:/etc")
            .script("echo ran");
        if sandbox.runsc().is_current() {
            // It would have to be off for this mount, which is told elsewhere.
            return Ok(());
        }
        let outcome = run_with(sandbox, &bundle, |text| {
            let scheduler =
                r#""scheduler":{"policy":"SCHED_OTHER","flags":["SCHED_FLAG_DL_OVERRUN","SCHED_FLAG_NEW"]},"#;
            text.replace("\"process\":{", &format!("\"process\":{{{scheduler}"))
        })?;
        check::equal("output", &outcome.stdout, &"ran\n")
    })
}
