//! Permission bits.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use crate::mount::check::{Expect, Verdict, equal, fails};
use crate::mount::scene::{Impersonation, SOMEBODY, SOMEBODY_ELSE, Scene};

cases! { "modes":
    all_bits = "each of the twelve mode bits can be set and cleared";
    of_new_files = "a new file or directory has the requested mode less the umask";
    no_access_while_creating = "the creating descriptor may write whatever the mode";
    enforced = "access without permission is EACCES";
    search = "a directory without search permission cannot be traversed";
    sticky = "in a sticky directory only the owner may remove or rename";
    set_gid_directories = "files created in a set-group-ID directory get its group";
    cleared_by_writing = "a write by another user clears set-user-ID and set-group-ID";
    only_the_owner = "only the owner may change mode and times";
}

fn mode(scene: &Scene, name: &str) -> Verdict<String> {
    Ok(format!("{:#o}", scene.stat(name)?.mode() & 0o7777))
}

fn all_bits(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.dir("d")?;
    for name in ["a", "d"] {
        for bits in (0..12).map(|bit| 1 << bit).chain([0, 0o7777, 0o640]) {
            scene.chmod(name, bits)?;
            equal(format_args!("stat({name}).st_mode after chmod()"), mode(scene, name)?, format!("{bits:#o}"))?;
        }
        scene.chmod(name, 0o755)?;
    }
    Ok(())
}

fn of_new_files(scene: &Scene) -> Verdict {
    let before = umask(Mode::from_bits_truncate(0o027));
    let made = (|| {
        let create = OpenOptions::new().write(true).create_new(true).mode(0o666).open(scene.at("a"));
        create.of("open(a, O_CREAT|O_EXCL, 0666)")?;
        fs::DirBuilder::new().mode(0o777).create(scene.at("d")).of("mkdir(d, 0777)")?;
        fs::DirBuilder::new().mode(0o1777).create(scene.at("t")).of("mkdir(t, 01777)")
    })();
    umask(before);
    made?;
    equal("stat(a).st_mode, made with 0666 under umask 027", mode(scene, "a")?, "0o640")?;
    equal("stat(d).st_mode, made with 0777 under umask 027", mode(scene, "d")?, "0o750")?;
    equal("stat(t).st_mode, made with 01777 under umask 027", mode(scene, "t")?, "0o1750")
}

fn no_access_while_creating(scene: &Scene) -> Verdict {
    use std::io::Write;
    scene.chmod("", 0o777)?;
    let impersonation = Impersonation::new(SOMEBODY)?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o000).open(scene.at("a"));
    file.of("open(a, O_RDWR|O_CREAT, 0)")?.write_all(b"x").of("write(a)")?;
    fails("open(a) of mode 0 by its owner", fs::File::open(scene.at("a")), &[Errno::EACCES])?;
    drop(impersonation);
    equal("stat(a).st_mode", mode(scene, "a")?, "0o0")
}

fn enforced(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.chmod("a", 0o640)?;
    scene.dir("d")?;
    scene.chmod("d", 0o755)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    fails("open(a, O_RDONLY) by another user", fs::File::open(scene.at("a")), &[Errno::EACCES])?;
    fails("open(a, O_WRONLY) by another user", OpenOptions::new().write(true).open(scene.at("a")), &[Errno::EACCES])?;
    fails("mkdir(d/x) by another user", fs::create_dir(scene.at("d/x")), &[Errno::EACCES])?;
    fails("rename(d, e) by another user", fs::rename(scene.at("d"), scene.at("e")), &[Errno::EACCES])
}

fn search(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.write("d/a", b"x")?;
    scene.chmod("d/a", 0o644)?;
    scene.chmod("d", 0o744)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    fails("stat(d/a) without search permission", fs::metadata(scene.at("d/a")), &[Errno::EACCES])?;
    equal("readdir(d) with read permission", scene.names("d")?, ["a"])
}

fn sticky(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.chmod("d", 0o1777)?;
    {
        let _impersonation = Impersonation::new(SOMEBODY)?;
        scene.write("d/a", b"x")?;
    }
    {
        let _impersonation = Impersonation::new(SOMEBODY_ELSE)?;
        let refused = &[Errno::EPERM, Errno::EACCES];
        fails("unlink(d/a) of somebody else's file", fs::remove_file(scene.at("d/a")), refused)?;
        fails("rename(d/a, d/b) of somebody else's", fs::rename(scene.at("d/a"), scene.at("d/b")), refused)?;
    }
    let _impersonation = Impersonation::new(SOMEBODY)?;
    scene.unlink("d/a")
}

fn set_gid_directories(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    if !nix::unistd::Uid::effective().is_root() {
        return crate::mount::check::skip("giving a directory another group needs root");
    }
    std::os::unix::fs::chown(scene.at("d"), None, Some(SOMEBODY_ELSE)).of("chown(d, -1, 65533)")?;
    scene.chmod("d", 0o2777)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    scene.write("d/a", b"")?;
    scene.dir("d/e")?;
    equal("stat(d/a).st_gid in a set-group-id directory", scene.stat("d/a")?.gid(), SOMEBODY_ELSE)?;
    equal("stat(d/e).st_gid in a set-group-id directory", scene.stat("d/e")?.gid(), SOMEBODY_ELSE)?;
    equal("stat(d/e) passes its group on too", scene.stat("d/e")?.mode() & 0o2000, 0o2000)
}

fn cleared_by_writing(scene: &Scene) -> Verdict {
    use std::io::Write;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o6777)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    let mut file = OpenOptions::new().write(true).open(scene.at("a")).of("open(a, O_WRONLY)")?;
    file.write_all(b"y").of("write(a)")?;
    drop(file);
    equal("stat(a).st_mode after a write by another user", mode(scene, "a")?, "0o777")
}

fn only_the_owner(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.chmod("a", 0o666)?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    let chmod = fs::set_permissions(scene.at("a"), std::os::unix::fs::PermissionsExt::from_mode(0o600));
    fails("chmod(a) by another user", chmod, &[Errno::EPERM])?;
    let file = OpenOptions::new().write(true).open(scene.at("a")).of("open(a, O_WRONLY)")?;
    fails("futimens(a, 0) by another user", file.set_modified(std::time::UNIX_EPOCH), &[Errno::EPERM])
}
