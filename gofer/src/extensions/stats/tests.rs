//! Tests on files in memory.

use crate::extensions::wrap::testing::{NEW, create, list, name, open, open_error, read, root, write};
use crate::extensions::wrap::{Call, Wrapped};
use lisafs::backend::{Backend, Error, XattrFlags};

use super::Stats;

#[test]
fn each_call_is_counted() {
    let fs = Wrapped::new(open("mem:"), Stats::new());
    let root = fs.attach().ok().unwrap().root.file;
    let file = create(&*root, "f");
    assert_eq!(write(&file, b"hello"), Ok(5));
    assert_eq!(read(&file).unwrap(), b"hello");
    assert_eq!(root.walk(name("missing")).err(), Some(Error::NOENT));
    let found = root.walk(name("f")).ok().unwrap().file;
    found.set_xattr(b"user.a", b"value", XattrFlags::empty()).unwrap();
    assert_eq!(found.get_xattr(b"user.a").unwrap(), b"value");
    assert_eq!(list(&*root), ["f"]);
    let stats = fs.layer();
    for (call, count) in [(Call::Attach, 1), (Call::Create, 1), (Call::Write, 1), (Call::Walk, 2), (Call::ReadDir, 1)] {
        assert_eq!(stats.calls(call), count, "{call}");
    }
    assert_eq!(stats.calls(Call::Sync), 0);
    let table = stats.table();
    // Calls, errors and bytes.
    for (call, numbers) in [("read", ["1", "0", "5"]), ("walk", ["2", "1", "-"]), ("getxattr", ["1", "0", "5"])] {
        let row = table.lines().find(|line| line.split_whitespace().next() == Some(call)).unwrap();
        let row: Vec<&str> = row.split_whitespace().collect();
        assert_eq!((row[1..4].to_vec(), row.len()), (numbers.to_vec(), 9), "{table}");
    }
}

#[test]
fn nothing_else_is_different() {
    let root = self::root("stats:stats:mem:");
    create(&*root, "a");
    let file = root.walk(name("a")).ok().unwrap().file;
    root.link(name("b"), &*file).ok().unwrap();
    let dir = root.mkdir(name("d"), &NEW).ok().unwrap().file;
    root.rename(name("a"), &*dir, name("c"), lisafs::backend::RenameFlags::Replace).unwrap();
    assert_eq!(file.stat().unwrap().nlink, 2);
    assert_eq!(list(&*dir), ["c"]);
    // Files of another wrapper, and of what is wrapped, are another file system's.
    #[cfg(feature = "testing")]
    assert_eq!(self::root("fault:mem:").link(name("x"), &*file).err(), Some(Error::XDEV));
    let inner = self::root("mem:");
    assert_eq!(root.link(name("x"), &*inner).err(), Some(Error::XDEV));
}

#[test]
fn a_mistake_deep_inside_is_told_in_one_line() {
    assert_eq!(open_error("stats:"), {
        "stats: no BACKEND after the colon; for example stats:/srv/data or stats:mem:"
    });
    assert!(open_error("stats:readonly:mem:x").starts_with("stats: readonly: mem: unknown option \"x\""));
    assert!(open_error("stats:mme:").starts_with("stats: unknown backend \"mme\""));
}
