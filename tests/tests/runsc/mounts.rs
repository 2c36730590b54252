//! What a container sees of the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};

use anyhow::{Context, Result};
use e2e::check;
use e2e::sandbox::{self, Bundle, listing};

#[test]
fn a_root_file_system() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.script(
            "echo hello > /greeting; mkdir /etc/new; ln -s greeting /link; cat /link; stat -c '%n %F %a %u:%g %s' /greeting /etc /bin/busybox; ls /",
        );
        let output = sandbox.output(&bundle)?;
        check::equal("on the host", &fs::read_to_string(bundle.root().join("link"))?, &"hello\n")?;
        Ok(output + &listing(&bundle.root())?)
    })
}

#[test]
fn status_and_streams() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.script("echo to stdout; echo to stderr >&2; exit 7");
        let outcome = sandbox.run(&bundle)?;
        check::equal("status", &outcome.status.code(), &Some(7))?;
        check::equal("stdout", &outcome.stdout, &"to stdout\n")?;
        check::equal("stderr", &outcome.stderr, &"to stderr\n")?;
        let bundle = Bundle::busybox(sandbox, "d")?.script("kill -9 $$");
        let outcome = sandbox.run(&bundle)?;
        check::equal("status of a killed one", &outcome.status.code(), &Some(137))?;
        Ok(outcome.describe())
    })
}

#[test]
fn a_root_that_nobody_can_change() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?
            .read_only()
            .script("for i in 'touch /x' 'mkdir /y' 'rm /bin/busybox' 'chmod 0 /etc'; do ! $i 2>&1 || exit 1; done; echo ok > /tmp/x; cat /tmp/x");
        let before = listing(&bundle.root())?;
        let output = sandbox.output(&bundle)?;
        check::holds("scratch space is writable", output.ends_with("ok\n"))?;
        check::equal("refusals", &output.matches("Read-only file system").count(), &4)?;
        check::equal("the root", &listing(&bundle.root())?, &before)?;
        Ok(output)
    })
}

#[test]
fn mounts_of_all_kinds() -> Result<()> {
    sandbox::compare(|sandbox| {
        let [outer, inner, fixed] = ["outer", "inner", "fixed"].map(|name| sandbox.directory(name));
        let (outer, inner, fixed) = (outer?, inner?, fixed?);
        fs::create_dir(outer.join("nested"))?;
        fs::write(inner.join("of inner"), "inner\n")?;
        fs::write(fixed.join("file"), "fixed\n")?;
        let single = sandbox.path().join("single");
        fs::write(&single, "single\n")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&outer, "/outer", &["rw"])
            .bind(&inner, "/outer/nested", &["rw"])
            .bind(&fixed, "/deep/new/fixed", &["ro"])
            .bind(&single, "/etc/single", &["rw"])
            .bind(&single, "/etc/fixed-single", &["ro"])
            .script(
                "cat /outer/nested/* /deep/new/fixed/file /etc/single /etc/fixed-single
                 echo changed > /outer/nested/of-c; echo more >> /etc/single; echo o > /outer/o
                 ! echo x > /deep/new/fixed/x; ! rm /deep/new/fixed/file; ! echo x >> /etc/fixed-single
                 find /outer /deep | sort; ls -l /etc | wc -l; cat /etc/fixed-single",
            );
        let outcome = sandbox.run(&bundle)?;
        check::equal("status", &outcome.status.code(), &Some(0))?;
        check::equal("refusals", &outcome.stderr.matches("Read-only file system").count(), &3)?;
        check::equal("written through", &fs::read_to_string(inner.join("of-c"))?, &"changed\n")?;
        check::equal("the file", &fs::read_to_string(&single)?, &"single\nmore\n")?;
        let hosts = [&outer, &inner, &fixed, &bundle.root()].map(|directory| listing(directory));
        Ok(outcome.describe() + &hosts.into_iter().collect::<Result<Vec<_>>>()?.join("--\n"))
    })
}

#[test]
fn binds_below_a_read_only_one() -> Result<()> {
    sandbox::compare(|sandbox| {
        let [outer, inner] = ["outer", "inner"].map(|name| sandbox.directory(name));
        let (outer, inner) = (outer?, inner?);
        fs::create_dir_all(outer.join("nested/further"))?;
        fs::write(outer.join("file"), "outer\n")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&outer, "/outer", &["ro"])
            .bind(&inner, "/outer/nested", &["rw"])
            .bind(&inner, "/outer/nested/again", &["ro"])
            .bind(&inner, "/outer/file", &["ro"])
            .script("ls -R /outer");
        // A directory cannot be mounted on a file.
        let outcome = sandbox.run(&bundle)?;
        check::holds(&outcome.describe(), !outcome.status.success())?;
        let bundle = Bundle::busybox(sandbox, "d")?
            .bind(&outer, "/outer", &["ro"])
            .bind(&inner, "/outer/nested", &["rw"])
            .bind(&inner, "/outer/nested/again", &["ro"])
            .script(
                "cat /outer/file; echo written > /outer/nested/f; cat /outer/nested/again/f
                 ! echo x > /outer/g; ! mkdir /outer/nested/again/e; rmdir /outer/nested/d; find /outer | sort",
            );
        fs::create_dir(inner.join("d"))?;
        let outcome = sandbox.run(&bundle)?;
        check::equal(&outcome.describe(), &outcome.stderr.matches("Read-only file system").count(), &2)?;
        check::equal("written through", &fs::read_to_string(inner.join("f"))?, &"written\n")?;
        Ok(outcome.describe() + &listing(&outer)? + &listing(&inner)?)
    })
}

#[test]
fn files_with_other_owners() -> Result<()> {
    const OWNER: u32 = 1000;
    sandbox::compare(|sandbox| {
        if !sandbox.runsc().is_current() {
            return Ok("this release maps no users of mounts".to_owned());
        }
        let data = sandbox.directory("data")?;
        let single = sandbox.path().join("single");
        for file in [&data.join("file"), &single] {
            fs::write(file, "of somebody\n")?;
        }
        fs::write(data.join("of root"), "")?;
        for path in [&data, &data.join("file"), &single] {
            chown(path, Some(OWNER), Some(OWNER))?;
        }
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind_mapped(&data, "/data", &["rw"], OWNER)
            .bind_mapped(&single, "/etc/single", &["ro"], OWNER)
            .script(
                "stat -c '%n %u:%g' /data /data/* /etc/single; cat /etc/single
                 echo new > /data/new; mkdir /data/directory; ln -s new /data/link; mv /data/new /data/moved
                 ! chown 7:7 /data/moved 2> /dev/null; ! echo x 2> /dev/null > /etc/single
                 stat -c '%n %u:%g' /data/*",
            );
        let output = sandbox.output(&bundle)?;
        check::holds("root's", output.contains("/data/file 0:0\n") && output.contains("/etc/single 0:0\n"))?;
        check::holds("nobody's", output.contains("/data/of root 65534:65534\n"))?;
        let host = listing(&data)?;
        for name in ["directory", "link", "moved"] {
            let metadata = fs::symlink_metadata(data.join(name))?;
            check::equal(name, &(metadata.uid(), metadata.gid()), &(OWNER, OWNER))?;
        }
        check::equal("the file", &fs::read_to_string(&single)?, &"of somebody\n")?;
        Ok(output + &host)
    })
}

#[test]
fn destinations_with_links_in_them() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        fs::write(data.join("file"), "data\n")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/relative/at", &["rw"])
            .bind(&data, "/absolute/at", &["rw"])
            .bind(&data, "/outside/at", &["rw"])
            .script("cat /home/r/at/file /relative/at/file /home/a/at/file /outside/at/file; ls -R /home /etc; readlink /outside");
        let root = bundle.root();
        for (link, target) in [("relative", "home/r"), ("absolute", "/home/a"), ("outside", "../../../../etc")] {
            symlink(target, root.join(link))?;
        }
        fs::create_dir(root.join("home/r"))?;
        fs::create_dir(root.join("home/a"))?;
        let output = sandbox.output(&bundle)?;
        check::holds("all four", output.starts_with(&"data\n".repeat(4)))?;
        check::holds("not outside", !sandbox.path().join("etc").exists())?;
        Ok(output + &listing(&root)?)
    })
}

#[test]
fn an_overlay_keeps_the_host_as_it_was() -> Result<()> {
    for medium in ["all:memory", "root:memory"] {
        sandbox::compare_with(&[&format!("--overlay2={medium}")], |sandbox| {
            let data = sandbox.directory("data")?;
            fs::write(data.join("file"), "data\n")?;
            let bundle = Bundle::busybox(sandbox, "c")?.bind(&data, "/data", &["rw"]).script(
                "echo changed > /etc/x; rm /bin/wget; mv /home /away; echo more >> /data/file; cat /data/file; ls / /data /etc",
            );
            let before = listing(&bundle.root())?;
            let output = sandbox.output(&bundle)?;
            let after = listing(&bundle.root())?;
            // The mountpoint is made on the host.
            check::equal("the root", &after.replace("data 40755 0:0\n", ""), &before)?;
            let kept = medium == "all:memory";
            let wanted = if kept { "data\n" } else { "data\nmore\n" };
            check::equal("the volume", &fs::read_to_string(data.join("file"))?, &wanted)?;
            Ok(output + &after)
        })?;
    }
    Ok(())
}

#[test]
fn an_overlay_on_the_roots_own_disk() -> Result<()> {
    sandbox::compare_with(&["--overlay2=root:self"], |sandbox| {
        if !sandbox.runsc().is_current() {
            return Ok("does not know it".to_owned());
        }
        let bundle = Bundle::busybox(sandbox, "c")?
            .script("dd if=/dev/zero of=/big bs=1M count=20 2> /dev/null; ls -l /big; rm /bin/wget; ls /");
        let before = listing(&bundle.root())?;
        let output = sandbox.output(&bundle)?;
        check::equal("the root", &listing(&bundle.root())?, &before)?;
        Ok(output.replace("big", ""))
    })
}

#[test]
fn hooks_run_in_the_root_before_it_is_served() -> Result<()> {
    sandbox::compare(|sandbox| {
        let seen = sandbox.path().join("seen");
        let script = format!("cat > {0}; echo >> {0}; pwd -P >> {0}; id -u >> {0}", seen.display());
        let bundle = Bundle::busybox(sandbox, "c")?.hook("createContainer", &script).script("ls /");
        let output = sandbox.output(&bundle)?;
        // That of 2022 knows no such hook.
        if !sandbox.runsc().is_current() {
            check::holds("no hook", !seen.exists())?;
            return Ok(output);
        }
        let seen = fs::read_to_string(&seen)?;
        let (state, rest) = seen.split_once('\n').context("two parts")?;
        let state: serde_json::Value = serde_json::from_str(state)?;
        check::equal("id", &state["id"].as_str(), &Some(bundle.id()))?;
        Ok(format!("{output}{state}{rest}"))
    })
}

#[test]
fn a_failing_hook_ends_the_container() -> Result<()> {
    sandbox::compare(|sandbox| {
        let bundle = Bundle::busybox(sandbox, "c")?.hook("createContainer", "exit 3").script("echo ran");
        let outcome = sandbox.run(&bundle)?;
        check::equal("it has run", &outcome.stdout.contains("ran"), &!sandbox.runsc().is_current())?;
        Ok(format!("{:?}", outcome.status.code()))
    })
}
