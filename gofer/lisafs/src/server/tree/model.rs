//! All orders in which threads come to the locks of the tree. Loom says if one waits for ever, and if two are where
//! only one may be.

use loom::cell::UnsafeCell;
use loom::sync::Arc as Shared;
use loom::thread;

use super::*;

/// A directory with a file, and what calls on both of them use.
struct Scene {
    tree: Tree,
    dir: Arc<Node>,
    file: Arc<Node>,
    /// Where the file is.
    position: UnsafeCell<()>,
    in_dir: UnsafeCell<()>,
    in_file: UnsafeCell<()>,
}

impl Scene {
    fn new() -> Self {
        let tree = Tree::new();
        let dir = Node::child(&tree.root, b"dir", true);
        let file = Node::child(&dir, b"file", false);
        Scene {
            tree,
            dir,
            file,
            position: UnsafeCell::new(()),
            in_dir: UnsafeCell::new(()),
            in_file: UnsafeCell::new(()),
        }
    }

    fn place(&self) -> Place<'_> {
        Place { dir: &self.dir, name: b"file" }
    }

    /// As a call that writes to the directory does.
    fn change_dir(&self) {
        self.in_dir.with_mut(|_| ());
    }

    fn change_position(&self) {
        self.position.with_mut(|_| ());
    }

    fn change_file(&self) {
        self.in_file.with_mut(|_| ());
    }

    fn look_at_dir(&self) {
        self.in_dir.with(|_| ());
    }

    fn look_at_file(&self) {
        self.in_file.with(|_| ());
    }

    fn look_at_position(&self) {
        self.position.with(|_| ());
    }

    fn read_file(&self) {
        self.tree.read(&self.file, || {
            self.look_at_position();
            self.look_at_file();
        });
    }

    fn write_file(&self) {
        self.tree.write(&self.file, || {
            self.look_at_position();
            self.change_file();
        });
    }

    fn walk(&self) {
        self.tree.walk(|| {
            step(&self.dir, || self.look_at_dir());
            step(&self.file, || {
                self.look_at_position();
                self.look_at_file();
            });
        });
    }

    fn link(&self) {
        self.tree.write_and_read(&self.dir, &self.file, || {
            self.change_dir();
            self.look_at_position();
            self.look_at_file();
        });
    }

    fn unlink(&self) {
        self.tree.write_with_child(self.place(), || {
            self.change_dir();
            // Somebody else may have removed it already.
            if self.dir.known_child(b"file").is_some() {
                self.change_position();
                self.change_file();
            }
            removed(self.place());
        });
    }

    fn rename(&self) {
        let to = Place { dir: &self.dir, name: b"new" };
        let renamed = self.tree.rename(self.place(), to, false, |_| {
            self.change_dir();
            self.change_position();
            renamed(self.place(), to);
            Ok(())
        });
        assert_eq!(renamed, Ok(()));
    }

    fn read_data(&self) {
        read_data(&self.file, || self.look_at_file());
    }

    fn write_data(&self) {
        write_data(&self.file, || self.change_file());
    }
}

type Call = fn(&Scene);

fn at_once(calls: &'static [Call]) {
    let mut model = loom::model::Builder::new();
    // With three threads, more would take hours; what goes wrong does so in a few steps.
    model.preemption_bound = Some(if calls.len() > 2 { 2 } else { 3 });
    model.check(move || {
        let scene = Shared::new(Scene::new());
        let (first, others) = calls.split_first().unwrap();
        let run = |call: &'static Call| {
            let scene = scene.clone();
            thread::spawn(move || call(&scene))
        };
        let others: Vec<_> = others.iter().map(run).collect();
        first(&scene);
        others.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn two_calls() {
    at_once(&[Scene::read_file, Scene::write_file]);
    at_once(&[Scene::write_file, Scene::write_file]);
    at_once(&[Scene::walk, Scene::unlink]);
    at_once(&[Scene::link, Scene::unlink]);
    at_once(&[Scene::unlink, Scene::unlink]);
    at_once(&[Scene::read_data, Scene::write_file]);
    at_once(&[Scene::write_data, Scene::walk]);
}

#[test]
fn a_rename_among_others() {
    at_once(&[Scene::rename, Scene::write_file]);
    at_once(&[Scene::rename, Scene::walk]);
    at_once(&[Scene::rename, Scene::link]);
    at_once(&[Scene::rename, Scene::unlink]);
}

#[test]
fn three_calls() {
    at_once(&[Scene::write_file, Scene::walk, Scene::rename]);
    at_once(&[Scene::read_file, Scene::write_data, Scene::rename]);
    at_once(&[Scene::walk, Scene::link, Scene::unlink]);
}
