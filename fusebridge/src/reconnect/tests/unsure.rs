//! Changes whose server ends before it answers.

use gofer::extensions::wrap::Call;
use lisafs::backend::{ControlBox, FileType, SetStat, XattrFlags};

use super::dying::{End, Meanwhile, Moment};
use super::*;

impl Restarted {
    /// The root of the files, as somebody else sees them.
    pub(super) fn others(&self) -> ControlBox {
        let files = self.0.lock().files.clone().unwrap();
        files.attach().unwrap().root.file
    }

    /// The server is to end at `moment` of the next `call`, and others do something `meanwhile`.
    fn ends_at(&self, call: Call, moment: Moment, meanwhile: Meanwhile) {
        self.0.lock().end = Some(End { call, moment, meanwhile });
    }
}

/// Files `a` and `b`, a directory `d` and an attribute of it.
struct Scene {
    server: Restarted,
    _backend: Reconnecting,
    root: ControlBox,
    a: ControlBox,
    d: ControlBox,
}

impl Scene {
    fn new(is_exclusive: bool) -> Self {
        let server = Restarted::new();
        let backend = server.backend_on(Terms { time_limit: LIMIT, is_exclusive });
        let root = backend.attach().unwrap().root.file;
        let a = root.create(name("a"), &NEW, Access::ReadWrite).unwrap();
        write(&*a.opened.file, b"a", 0);
        root.create(name("b"), &NEW, Access::ReadWrite).unwrap();
        let d = root.mkdir(name("d"), &NEW).unwrap().file;
        d.set_xattr(b"user.old", b"value", XattrFlags::CREATE).unwrap();
        Scene { server, _backend: backend, root, a: a.found.file, d }
    }

    /// What is in the root, with the content of files.
    fn names(&self) -> String {
        let root = self.server.others();
        let mut names = Names(Vec::new(), 99);
        root.open(OpenHow::new(Access::Read)).unwrap().file.read_dir(0, &mut names).unwrap();
        names.0.sort();
        let content = |entry: String| {
            let found = root.walk(name(&entry)).unwrap();
            let is_file = found.stat.file_type() == Some(FileType::Regular);
            let content = is_file.then(|| read(&*found.file.open(OpenHow::new(Access::Read)).unwrap().file).unwrap());
            entry + content.filter(|content| !content.is_empty()).map_or("", |_| "=a")
        };
        names.0.into_iter().map(content).collect::<Vec<_>>().join(" ")
    }
}

/// A change, and what is there when it has been made.
struct Change {
    call: Call,
    make: fn(&Scene) -> Result<()>,
    names: &'static str,
    /// Only where nobody else makes files it is certain who has made what is there.
    may_be_others: bool,
}

fn rename(flags: RenameFlags) -> impl Fn(&Scene, &str, &str) -> Result<()> {
    move |scene, from, to| scene.root.rename(name(from), &*scene.root, name(to), flags)
}

const CHANGES: &[Change] = &[
    Change {
        call: Call::Create,
        make: |scene| {
            let created = scene.root.create(name("new"), &NEW, Access::ReadWrite)?;
            write(&*created.opened.file, b"x", 0);
            assert_eq!(created.found.file.stat()?.size, 1);
            Ok(())
        },
        names: "a=a b d new=a",
        may_be_others: true,
    },
    Change {
        call: Call::Mkdir,
        make: |scene| scene.root.mkdir(name("new"), &NEW)?.file.stat().map(drop),
        names: "a=a b d new",
        may_be_others: true,
    },
    Change {
        call: Call::Mknod,
        make: |scene| scene.root.mknod(name("new"), &NEW, FileType::Fifo, (0, 0))?.file.stat().map(drop),
        names: "a=a b d new",
        may_be_others: true,
    },
    Change {
        call: Call::Symlink,
        make: |scene| {
            let made = scene.root.symlink(name("new"), b"target", &NEW)?;
            made.file.read_link().map(|target| assert_eq!(target, b"target"))
        },
        names: "a=a b d new",
        may_be_others: false,
    },
    Change {
        call: Call::Link,
        make: |scene| scene.root.link(name("new"), &*scene.a).map(|found| assert_eq!(found.stat.nlink, 2)),
        names: "a=a b d new=a",
        may_be_others: false,
    },
    Change {
        call: Call::Unlink,
        make: |scene| scene.root.unlink(name("b"), Unlink::File),
        names: "a=a d",
        may_be_others: false,
    },
    Change {
        call: Call::Unlink,
        make: |scene| scene.root.unlink(name("d"), Unlink::Directory),
        names: "a=a b",
        may_be_others: false,
    },
    Change {
        call: Call::Rename,
        make: |scene| rename(RenameFlags::Replace)(scene, "a", "b"),
        names: "b=a d",
        may_be_others: false,
    },
    Change {
        call: Call::Rename,
        make: |scene| rename(RenameFlags::NoReplace)(scene, "a", "c"),
        names: "b c=a d",
        may_be_others: false,
    },
    Change {
        call: Call::Rename,
        make: |scene| rename(RenameFlags::Exchange)(scene, "a", "d"),
        names: "a b d=a",
        may_be_others: false,
    },
    Change {
        call: Call::Rename,
        make: |scene| rename(RenameFlags::Whiteout)(scene, "a", "c"),
        names: "a b c=a d",
        may_be_others: false,
    },
    Change {
        call: Call::SetStat,
        make: |scene| {
            scene.a.set_stat(&SetStat::new().size(0)).map_err(|failure| failure.error)?;
            assert_eq!(scene.a.stat()?.size, 0);
            Ok(())
        },
        names: "a b d",
        may_be_others: false,
    },
    Change {
        call: Call::SetXattr,
        make: |scene| {
            scene.d.set_xattr(b"user.new", b"value", XattrFlags::CREATE)?;
            scene.d.get_xattr(b"user.new").map(|value| assert_eq!(value, b"value"))
        },
        names: "a=a b d",
        may_be_others: false,
    },
    Change {
        call: Call::SetXattr,
        make: |scene| {
            scene.d.set_xattr(b"user.old", b"another", XattrFlags::REPLACE)?;
            scene.d.get_xattr(b"user.old").map(|value| assert_eq!(value, b"another"))
        },
        names: "a=a b d",
        may_be_others: false,
    },
    Change {
        call: Call::RemoveXattr,
        make: |scene| {
            scene.d.remove_xattr(b"user.old")?;
            assert_eq!(scene.d.get_xattr(b"user.old").unwrap_err(), Errno::NODATA);
            Ok(())
        },
        names: "a=a b d",
        may_be_others: false,
    },
    Change {
        call: Call::Write,
        make: |scene| {
            write(&*scene.root.walk(name("b"))?.file.open(OpenHow::new(Access::ReadWrite))?.file, b"x", 0);
            Ok(())
        },
        names: "a=a b=a d",
        may_be_others: false,
    },
];

#[test]
fn a_change_is_made_once_whether_its_server_has_ended_before_or_after_it() {
    for (index, change) in CHANGES.iter().enumerate() {
        for (is_exclusive, moment) in
            [(true, Moment::Before), (true, Moment::After), (false, Moment::Before), (false, Moment::After)]
        {
            let scene = Scene::new(is_exclusive);
            scene.server.ends_at(change.call, moment, Box::new(|_| ()));
            let made = (change.make)(&scene);
            let context = format!("change {index}, {}, {moment:?}, exclusive: {is_exclusive}", change.call.name());
            assert!(scene.server.0.lock().end.is_none(), "{context}");
            if change.may_be_others && !is_exclusive && moment == Moment::After {
                let error = if change.call == Call::Create { UNSURE } else { Errno::IO };
                assert_eq!(made.unwrap_err(), error, "{context}");
                continue;
            }
            made.expect(&context);
            assert_eq!(scene.names(), change.names, "{context}");
            // What has moved is found where it is.
            scene.server.restart();
            assert!(scene.a.stat().is_ok(), "{context}: a file is lost");
        }
    }
}

/// Makes `change` while others do something, and the server ends at `moment` of `call`.
fn beside(
    (call, moment): (Call, Moment),
    meanwhile: fn(&ControlBox),
    change: impl FnOnce(&Scene) -> Result<()>,
) -> (Result<()>, Scene) {
    let scene = Scene::new(false);
    scene.server.ends_at(call, moment, Box::new(meanwhile));
    (change(&scene), scene)
}

#[test]
fn what_others_have_done_is_not_taken_for_ones_own() {
    let mkdir = |scene: &Scene| scene.root.mkdir(name("new"), &NEW).map(drop);
    let make = |root: &ControlBox| drop(root.mkdir(name("new"), &NEW).unwrap());
    assert_eq!(beside((Call::Mkdir, Moment::Before), make, mkdir).0.unwrap_err(), Errno::IO);
    let symlink = |scene: &Scene| scene.root.symlink(name("new"), b"target", &NEW).map(drop);
    let make = |root: &ControlBox| drop(root.symlink(name("new"), b"another", &NEW).unwrap());
    assert_eq!(beside((Call::Symlink, Moment::Before), make, symlink).0.unwrap_err(), Errno::EXIST);
    let link = |scene: &Scene| scene.root.link(name("new"), &*scene.a).map(drop);
    assert_eq!(beside((Call::Link, Moment::Before), make, link).0.unwrap_err(), Errno::EXIST);
    let set = |scene: &Scene| scene.d.set_xattr(b"user.new", b"value", XattrFlags::CREATE);
    let other = |root: &ControlBox| {
        root.walk(name("d")).unwrap().file.set_xattr(b"user.new", b"another", XattrFlags::CREATE).unwrap();
    };
    assert_eq!(beside((Call::SetXattr, Moment::Before), other, set).0.unwrap_err(), Errno::EXIST);
    let unlink = |scene: &Scene| scene.root.unlink(name("b"), Unlink::File);
    let replace = |root: &ControlBox| root.rename(name("a"), &**root, name("b"), RenameFlags::Replace).unwrap();
    let (unlinked, scene) = beside((Call::Unlink, Moment::Before), replace, unlink);
    assert_eq!((unlinked.unwrap_err(), scene.names().as_str()), (Errno::IO.into(), "b=a d"));
    let (renamed, scene) = beside(
        (Call::Rename, Moment::Before),
        |root| root.rename(name("a"), &**root, name("elsewhere"), RenameFlags::Replace).unwrap(),
        |scene| rename(RenameFlags::Replace)(scene, "a", "b"),
    );
    assert_eq!((renamed.unwrap_err(), scene.names().as_str()), (Errno::IO.into(), "b d elsewhere=a"));
    let (renamed, scene) = beside(
        (Call::Rename, Moment::Before),
        |root| drop(root.create(name("c"), &NEW, Access::Read).unwrap()),
        |scene| rename(RenameFlags::NoReplace)(scene, "a", "c"),
    );
    assert_eq!((renamed.unwrap_err(), scene.names().as_str()), (Errno::EXIST.into(), "a=a b c d"));
}

#[test]
fn what_was_made_halfway_is_completed() {
    const OWNED: NewFile = NewFile::new(Mode::new(0o4711), 4711, 4712);
    let halfway: fn(&ControlBox) = |root| {
        let found = root.walk(name("new")).unwrap();
        let mode = (found.stat.file_type() != Some(FileType::Symlink)).then_some(Mode::new(0o711));
        found.file.set_stat(&SetStat::new().uid(0).gid(0).mode(mode)).unwrap();
    };
    for call in [Call::Create, Call::Mkdir, Call::Symlink] {
        let scene = Scene::new(true);
        scene.server.ends_at(call, Moment::After, Box::new(halfway));
        let stat = match call {
            Call::Create => scene.root.create(name("new"), &OWNED, Access::ReadWrite).unwrap().found.stat,
            Call::Mkdir => scene.root.mkdir(name("new"), &OWNED).unwrap().stat,
            _ => scene.root.symlink(name("new"), b"target", &OWNED).unwrap().stat,
        };
        let mode = if call == Call::Symlink { stat.mode & 0o7777 } else { 0o4711 };
        assert_eq!((stat.uid, stat.gid, stat.mode & 0o7777), (4711, 4712, mode), "{}", call.name());
    }
}

#[test]
fn what_cannot_be_known_in_time_is_an_error_and_found_by_both_names() {
    let server = Restarted::new();
    let backend = server.backend_on(Terms { time_limit: Duration::from_millis(50), is_exclusive: true });
    let root = backend.attach().unwrap().root.file;
    let file = root.create(name("a"), &NEW, Access::ReadWrite).unwrap().found.file;
    let files = server.end(None);
    let renamed = std::iter::repeat_with(|| root.rename(name("a"), &*root, name("b"), RenameFlags::Replace));
    // The last connection may answer for a moment.
    let error = renamed.filter_map(Result::err).find(|error| *error != Errno::NOENT).unwrap();
    assert_eq!(error, Errno::IO);
    server.0.lock().files = files;
    assert!(std::iter::repeat_with(|| file.stat()).any(|stat| stat.is_ok()));
}
