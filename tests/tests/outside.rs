//! What others change below the mount is seen with `--access shared`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use e2e::modes::{Access, Io};
use e2e::scene::Scene;
use e2e::{check, wait};

/// Attributes may be a second old.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn changes_from_outside_are_seen() -> Result<()> {
    for io in [Io::Auto, Io::Direct, Io::Rpc] {
        let scene = Scene::new(io, Access::Shared)?;
        let (above, below) = (scene.path(), scene.directory()?);
        check::holds("not there yet", !above.join("new").exists())?;
        fs::write(below.join("new"), "1")?;
        wait::until("a new file", SOON, || above.join("new").exists())?;
        check::equal("its content", &fs::read_to_string(above.join("new"))?.as_str(), &"1")?;

        fs::write(below.join("new"), "two")?;
        wait::until("new content", SOON, || fs::read_to_string(above.join("new")).is_ok_and(|text| text == "two"))?;
        fs::rename(below.join("new"), below.join("moved"))?;
        wait::until("its new name", SOON, || above.join("moved").exists() && !above.join("new").exists())?;

        // Another file under a known name.
        fs::write(below.join("other"), "other")?;
        fs::rename(below.join("other"), below.join("moved"))?;
        wait::until("the other file", SOON, || {
            fs::read_to_string(above.join("moved")).is_ok_and(|text| text == "other")
        })?;
        fs::remove_file(below.join("moved"))?;
        fs::create_dir(below.join("moved"))?;
        wait::until("a directory in its place", SOON, || above.join("moved").is_dir())?;
        fs::remove_dir(below.join("moved"))?;
        wait::until("nothing", SOON, || !above.join("moved").exists())?;
        scene.end()?;
    }
    Ok(())
}

#[test]
fn what_others_append_is_not_overwritten() -> Result<()> {
    for io in [Io::Auto, Io::Direct, Io::Rpc] {
        let scene = Scene::new(io, Access::Shared)?;
        let (above, below) = (scene.path().join("log"), scene.directory()?.join("log"));
        let append = |path| OpenOptions::new().create(true).append(true).open(path);
        let mut ours = append(&above)?;
        ours.write_all(b"ours ")?;
        append(&below)?.write_all(b"theirs ")?;
        ours.write_all(b"ours again")?;
        check::equal("below", &fs::read_to_string(&below)?.as_str(), &"ours theirs ours again")?;
        wait::until("all of it above", SOON, || {
            fs::read_to_string(&above).is_ok_and(|text| text == "ours theirs ours again")
        })?;
        drop(ours);
        scene.end()?;
    }
    Ok(())
}
