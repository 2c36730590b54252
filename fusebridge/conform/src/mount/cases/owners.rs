//! Users and groups.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, lchown, symlink};

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::mount::check::{Expect, Verdict, equal, fails, skip};
use crate::mount::scene::{Impersonation, SOMEBODY, SOMEBODY_ELSE, Scene};

cases! { "owners":
    of_new_files = "the creator owns a new file, whatever its type";
    changed = "owner and group can be changed, separately and together";
    of_symlinks = "the owner of a symbolic link can be changed";
    clears_set_ids = "chown by the owner clears set-user-ID and set-group-ID";
    not_given_away = "only root may give a file away";
    kept = "owner and group survive linking and renaming";
}

fn owner(scene: &Scene, name: &str) -> Verdict<(u32, u32)> {
    scene.lstat(name).map(|stat| (stat.uid(), stat.gid()))
}

fn of_new_files(scene: &Scene) -> Verdict {
    scene.chmod("", 0o777)?;
    {
        let _impersonation = Impersonation::new(SOMEBODY)?;
        scene.write("a", b"")?;
        scene.dir("d")?;
        symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    }
    for name in ["a", "d", "s"] {
        equal(
            format_args!("owner and group of {name}, made by {SOMEBODY}"),
            owner(scene, name)?,
            (SOMEBODY, SOMEBODY),
        )?;
    }
    Ok(())
}

fn changed(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    if !Uid::effective().is_root() {
        return skip("changes of owner need root");
    }
    chown(scene.at("a"), Some(1001), Some(1002)).of("chown(a, 1001, 1002)")?;
    equal("owner and group of a", owner(scene, "a")?, (1001, 1002))?;
    chown(scene.at("a"), Some(1003), None).of("chown(a, 1003, -1)")?;
    equal("owner and group of a", owner(scene, "a")?, (1003, 1002))?;
    chown(scene.at("a"), None, Some(1004)).of("chown(a, -1, 1004)")?;
    equal("owner and group of a", owner(scene, "a")?, (1003, 1004))
}

fn of_symlinks(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    if !Uid::effective().is_root() {
        return skip("changes of owner need root");
    }
    let before = owner(scene, "a")?;
    lchown(scene.at("s"), Some(1001), Some(1002)).of("lchown(s, 1001, 1002)")?;
    equal("owner and group of s", owner(scene, "s")?, (1001, 1002))?;
    equal("owner and group of a, its target", owner(scene, "a")?, before)
}

fn clears_set_ids(scene: &Scene) -> Verdict {
    scene.chmod("", 0o777)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o6755)?;
    chown(scene.at("a"), Some(SOMEBODY), Some(SOMEBODY)).of("chown(a) to the same by its owner")?;
    equal("stat(a).st_mode", format!("{:#o}", scene.stat("a")?.mode() & 0o7777), "0o755")
}

fn not_given_away(scene: &Scene) -> Verdict {
    scene.chmod("", 0o777)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    scene.write("a", b"x")?;
    fails("chown(a, 65533, -1) by its owner", chown(scene.at("a"), Some(SOMEBODY_ELSE), None), &[Errno::EPERM])?;
    equal("owner and group of a", owner(scene, "a")?, (SOMEBODY, SOMEBODY))
}

fn kept(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    if !Uid::effective().is_root() {
        return skip("changes of owner need root");
    }
    chown(scene.at("a"), Some(1001), Some(1002)).of("chown(a, 1001, 1002)")?;
    scene.link("a", "b")?;
    scene.rename("a", "c")?;
    fs::write(scene.at("c"), b"changed").of("write(c)")?;
    equal("owner and group of b, a link", owner(scene, "b")?, (1001, 1002))?;
    equal("owner and group of c, renamed", owner(scene, "c")?, (1001, 1002))
}
