//! Directories as they are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::mount::check::{Expect, Verdict, equal, failed, holds};
use crate::mount::directory::{Entry, Listing};
use crate::mount::scene::Scene;

cases! { "listing":
    complete = "every entry is listed exactly once";
    types = "d_type matches the files";
    long_listings = "types and inode numbers are right far into a listing, where entries come without attributes";
    inodes = "d_ino matches the files";
    dots = ". and .. are listed, with the right inode numbers";
    small_buffers = "a buffer with room for one entry gives the same listing";
    long_names = "entries with 255-byte names are all listed";
    while_changing = "entries that exist throughout are listed exactly once while others come and go";
    rewound = "a rewound listing shows the current entries";
    side_by_side = "two listings of one directory are independent";
    removed = "a directory removed while open lists no entries";
    after_rename = "renamed entries are listed under the new name only";
    empty = "an empty directory lists only . and ..";
}

/// Makes empty files.
pub(super) fn fill(scene: &Scene, names: impl IntoIterator<Item = String>) -> Verdict {
    names.into_iter().try_for_each(|name| scene.write(&name, b""))
}

/// Fails unless `actual` are exactly these names, each of them once.
pub(super) fn exactly(what: &str, actual: Vec<String>, expected: &BTreeSet<String>) -> Verdict {
    let mut seen = BTreeSet::new();
    for name in actual {
        if !expected.contains(&name) {
            return failed(what, format_args!("no entry {name:?}"), "one");
        }
        if !seen.insert(name.clone()) {
            return failed(what, format_args!("{name:?} once"), "twice");
        }
    }
    match expected.difference(&seen).next() {
        Some(missing) => {
            failed(what, format_args!("{} entries", expected.len()), format_args!("none named {missing:?}"))
        }
        None => Ok(()),
    }
}

fn entries(scene: &Scene) -> Verdict<Vec<Entry>> {
    Listing::open(&scene.directory)?.rest(32 * 1024)
}

fn complete(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..300).map(|number| format!("entry-{number}")).collect();
    fill(scene, expected.iter().cloned())?;
    exactly("readdir(.) with 300 entries", scene.names("")?, &expected)?;
    // A second time from whatever is cached.
    exactly("readdir(.) again", scene.names("")?, &expected)
}

fn types(scene: &Scene) -> Verdict {
    scene.write("file", b"x")?;
    scene.dir("dir")?;
    let mut made = vec![("file", FileType::RegularFile), ("dir", FileType::Directory)];
    if symlink("file", scene.at("symlink")).is_ok() {
        made.push(("symlink", FileType::Symlink));
    }
    if mknodat(CWD, scene.at("fifo"), FileType::Fifo, Mode::RUSR, 0).is_ok() {
        made.push(("fifo", FileType::Fifo));
    }
    if UnixListener::bind(scene.at("socket")).is_ok() {
        made.push(("socket", FileType::Socket));
    }
    let listed: BTreeMap<String, FileType> =
        entries(scene)?.into_iter().map(|entry| (entry.name, entry.file_type)).collect();
    for (name, file_type) in made {
        match listed.get(name) {
            // Allowed, though slow for programs.
            Some(FileType::Unknown) => {}
            listed => equal(format_args!("d_type of {name}"), listed, Some(&file_type))?,
        }
    }
    Ok(())
}

fn long_listings(scene: &Scene) -> Verdict {
    // The kernel asks for attributes along with the first entries only, unless somebody looks at the files meanwhile.
    for number in 0..150 {
        let name = format!("{}-{number}", "n".repeat(150));
        if number % 3 == 0 { scene.dir(&name).map(drop) } else { scene.write(&name, b"") }?;
    }
    let listed = Listing::open(&scene.directory)?.rest(1024)?;
    for entry in listed.into_iter().filter(|entry| !entry.is_dot()) {
        let stat = scene.lstat(&entry.name)?;
        let file_type = FileType::from_raw_mode(stat.mode());
        if entry.file_type != FileType::Unknown {
            equal(format_args!("d_type of {}", entry.name), entry.file_type, file_type)?;
        }
        equal(format_args!("d_ino of {}, whose st_ino it is", entry.name), entry.ino, stat.ino())?;
    }
    Ok(())
}

fn inodes(scene: &Scene) -> Verdict {
    scene.write("file", b"x")?;
    scene.link("file", "link")?;
    scene.dir("dir")?;
    // Those of directories and those of files can be wrong in different ways.
    for entry in entries(scene)?.into_iter().filter(|entry| !entry.is_dot()) {
        let stat = scene.lstat(&entry.name)?;
        equal(format_args!("d_ino of {}, whose st_ino it is", entry.name), entry.ino, stat.ino())?;
        holds(format_args!("d_ino of {}", entry.name), "not 0", entry.ino != 0, entry.ino)?;
    }
    Ok(())
}

fn dots(scene: &Scene) -> Verdict {
    scene.dir("dir")?;
    let listed = Listing::open(&scene.at("dir"))?.rest(4096)?;
    let ino = |name: &str| listed.iter().find(|entry| entry.name == name).map(|entry| entry.ino);
    equal("d_ino of . in dir, which is dir", ino("."), Some(scene.stat("dir")?.ino()))?;
    equal("d_ino of .. in dir", ino(".."), Some(scene.stat("")?.ino()))
}

fn small_buffers(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..40).map(|number| format!("n{number}")).collect();
    fill(scene, expected.iter().cloned())?;
    let mut listing = Listing::open(&scene.directory)?;
    let mut names = Vec::new();
    loop {
        // As little as holds the longest of the names.
        let part = listing.part(32)?;
        if part.is_empty() {
            break;
        }
        names.extend(part.into_iter().filter(|entry| !entry.is_dot()).map(|entry| entry.name));
    }
    exactly("getdents64(., 32 bytes at a time)", names, &expected)
}

fn long_names(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..120).map(|number| format!("{number:0255}")).collect();
    fill(scene, expected.iter().cloned())?;
    exactly("readdir(.) with names of 255 bytes", scene.names("")?, &expected)
}

fn while_changing(scene: &Scene) -> Verdict {
    let name = |number: usize| format!("{number:03}");
    fill(scene, (0..200).map(name))?;
    let staying: BTreeSet<String> = (0..200).filter(|number| number % 2 == 1).map(name).collect();
    let mut listing = Listing::open(&scene.directory)?;
    let mut seen = Vec::new();
    loop {
        let part = listing.part(1024)?;
        if part.is_empty() {
            break;
        }
        for entry in part {
            if staying.contains(&entry.name) {
                seen.push(entry.name);
            } else if entry.name.len() == 3 {
                scene.unlink(&entry.name)?;
                scene.write(&format!("new-{}", entry.name), b"")?;
            }
        }
    }
    exactly("readdir(.) while others come and go", seen, &staying)
}

fn rewound(scene: &Scene) -> Verdict {
    fill(scene, ["a".to_owned(), "b".to_owned()])?;
    let mut listing = Listing::open(&scene.directory)?;
    listing.rest(4096)?;
    scene.unlink("a")?;
    scene.write("c", b"")?;
    listing.seek(0)?;
    let names = listing.rest(4096)?.into_iter().filter(|entry| !entry.is_dot()).map(|entry| entry.name).collect();
    exactly("readdir(.) after unlink(a), creat(c) and rewinddir()", names, &["b".into(), "c".into()].into())
}

fn side_by_side(scene: &Scene) -> Verdict {
    let expected: BTreeSet<String> = (0..100).map(|number| format!("entry-{number}")).collect();
    fill(scene, expected.iter().cloned())?;
    let mut listings = [Listing::open(&scene.directory)?, Listing::open(&scene.directory)?];
    let mut names = [Vec::new(), Vec::new()];
    loop {
        let mut got = 0;
        for (listing, names) in listings.iter_mut().zip(&mut names) {
            let part = listing.part(256)?;
            got += part.len();
            names.extend(part.into_iter().filter(|entry| !entry.is_dot()).map(|entry| entry.name));
        }
        if got == 0 {
            break;
        }
    }
    names.into_iter().try_for_each(|names| exactly("readdir(.) by one of two in turn", names, &expected))
}

fn removed(scene: &Scene) -> Verdict {
    let directory = scene.dir("dir")?;
    let held = File::open(&directory).of("open(dir)")?;
    fs::remove_dir(&directory).of("rmdir(dir)")?;
    let mut listing = Listing::from(held);
    // Nothing, dots or ENOENT: file systems differ.
    let left: Vec<String> =
        listing.rest(4096).unwrap_or_default().into_iter().filter(|e| !e.is_dot()).map(|e| e.name).collect();
    equal("entries of a removed directory", left, Vec::<String>::new())
}

fn after_rename(scene: &Scene) -> Verdict {
    fill(scene, ["a".to_owned(), "b".to_owned()])?;
    scene.names("")?;
    scene.rename("a", "c")?;
    scene.rename("b", "c")?;
    equal("readdir(.) after rename(a, c) and rename(b, c)", scene.names("")?, ["c"])
}

fn empty(scene: &Scene) -> Verdict {
    scene.dir("dir")?;
    scene.write("dir/a", b"")?;
    scene.unlink("dir/a")?;
    equal("readdir(dir) after its only file is gone", scene.names("dir")?, Vec::<String>::new())
}
