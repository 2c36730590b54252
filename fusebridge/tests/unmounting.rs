//! What is unmounted is what was looked at, and nothing that took its place meanwhile.

use std::path::Path;

use fusebridge::mounts::{MountId, Pin, mounted_on};
use fusebridge::unmount::{UnmountError, Unmounted, detach};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

fn mount_memory(path: &Path) {
    mount("memory", path, c"tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn what_took_the_place_of_a_mount_between_the_look_and_the_unmount_stays() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped, because mounting needs root");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    mount_memory(path);
    let first = Pin::at(path).unwrap();
    let (id, entry) = (first.id().unwrap(), first.entry().unwrap().unwrap());
    assert_eq!(unmount(path, UnmountFlags::empty()), Err(rustix::io::Errno::BUSY), "it is held");
    unmount(path, UnmountFlags::DETACH).unwrap();
    mount_memory(path);
    let outcome = detach(first, path, &entry.device, || false);
    assert!(matches!(outcome, Err(UnmountError::NotMounted(_))), "{outcome:?}");
    let second = Pin::at(path).unwrap();
    assert_eq!(mounted_on(path).unwrap().pop(), second.entry().unwrap());
    if let (MountId::Unique(first), MountId::Unique(second)) = (id, second.id().unwrap()) {
        assert!(first < second, "numbers of mounts that are gone are not given again");
    }
    assert_eq!(detach(second, path, "none", || false).unwrap(), Unmounted::Gone);
    assert!(mounted_on(path).unwrap().is_empty());
}
