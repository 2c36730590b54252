//! Nodes without a server around them.

use std::sync::Arc;

use super::*;

/// More than a stack could take if anything were recursive.
const DEPTH: usize = 100_000;

/// A chain of directories, of which only the last is held.
fn chain(root: &Arc<Node>) -> Arc<Node> {
    (0..DEPTH).fold(root.clone(), |dir, _| Node::child(&dir, b"d", true))
}

#[test]
fn a_deep_tree_is_forgotten_step_by_step() {
    let root = Node::detached(true);
    let last = chain(&root);
    assert!(root.known_child(b"d").is_some());
    assert!(root.contains(&last));
    drop(last);
    assert!(root.known_child(b"d").is_none());
}

#[test]
fn a_deep_tree_is_deleted_as_a_whole() {
    let root = Node::detached(true);
    let last = chain(&root);
    removed(Place { dir: &root, name: b"d" });
    assert!(last.is_deleted() && !root.is_deleted());
    drop(last);
}

#[test]
fn a_position_is_shared_while_anybody_is_there() {
    let root = Node::detached(true);
    let first = Node::child(&root, b"x", false);
    assert!(Node::child(&root, b"x", false).is(&first));
    let id = std::ptr::from_ref(&*first);
    drop(first);
    let second = Node::child(&root, b"x", false);
    assert!(!second.is_deleted() && (id.is_null() || root.known_child(b"x").is_some()));
}

#[test]
fn the_last_of_an_old_file_does_not_remove_the_new_one() {
    let root = Node::detached(true);
    let old = Node::child(&root, b"x", false);
    removed(Place { dir: &root, name: b"x" });
    let new = Node::new_child(&root, b"x", false);
    drop(old);
    assert!(root.known_child(b"x").is_some_and(|node| node.is(&new)));
    // The same when it was replaced, not removed.
    let newer = Node::new_child(&root, b"x", false);
    assert!(new.is_deleted());
    drop(new);
    assert!(root.known_child(b"x").is_some_and(|node| node.is(&newer)));
}

#[test]
fn a_directory_in_a_files_place_is_another_node() {
    let root = Node::detached(true);
    let file = Node::child(&root, b"x", false);
    let dir = Node::child(&root, b"x", true);
    assert!(!dir.is(&file) && file.is_deleted() && !dir.is_deleted());
}

#[test]
fn renames_move_what_is_below_as_well() {
    let tree = Tree::new();
    let root = Node::detached(true);
    let (one, other) = (Node::child(&root, b"one", true), Node::child(&root, b"other", true));
    let file = Node::child(&one, b"file", false);
    let (from, to) = (Place { dir: &root, name: b"one" }, Place { dir: &other, name: b"moved" });
    tree.rename(from, to, false, |known| {
        assert!(known.any && !known.same);
        renamed(from, to);
        Ok(())
    })
    .unwrap();
    assert!(other.contains(&file) && root.known_child(b"one").is_none());
    // Now the other way round it would be below itself.
    let back = tree.rename(Place { dir: &root, name: b"other" }, Place { dir: &one, name: b"x" }, false, |_| Ok(()));
    assert_eq!(back, Err(Error::INVAL));
    removed(Place { dir: &root, name: b"other" });
    assert!(one.is_deleted() && file.is_deleted());
}

#[test]
fn mount_paths_are_absolute() {
    let tree = Tree::new();
    for bad in [&b""[..], b"a", b"/a/..", b"/./a", b"/a\0"] {
        assert!(tree.mount_path(bad).is_err(), "{bad:?}");
    }
    let mount = |path: &[u8]| tree.mount(&tree.mount_path(path).unwrap(), || Ok(()), |()| true).unwrap().1;
    let (root, deep) = (mount(b"/"), mount(b"//mnt/a/"));
    assert!(root.is(&tree.root) && root.contains(&deep));
    assert!(mount(b"/mnt").contains(&mount(b"/mnt/a")));
    assert!(mount(b"/mnt/a").is(&deep));
}
