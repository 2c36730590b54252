//! Backends that take nothing, and processes that were killed.

use std::fs;
use std::path::Path;

use lisafs::backend::Errno;

use super::{Scene, back};

/// A scene whose backend does not take anything yet.
pub(crate) fn closed() -> Scene {
    let scene = Scene::new(&back());
    close(&scene, Some(Errno::NOSPC));
    scene
}

pub(crate) fn close(scene: &Scene, errno: Option<Errno>) {
    *scene.layer.full.lock().unwrap() = errno;
}

/// What the backend has.
pub(crate) fn below(scene: &Scene, entry: &str) -> Vec<u8> {
    fs::read(scene.files.path().join(entry)).unwrap()
}

/// Copies what the disk of the cache has now, as a kill would leave it.
pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The scene as a process finds it that comes after one that was killed now.
pub(crate) fn killed(scene: Scene) -> Scene {
    let cache = tempfile::tempdir().unwrap();
    copy(scene.cache.path(), cache.path());
    let Scene { files, layer, cache: old, claim } = scene;
    // The old process does nothing any more: its backend takes nothing.
    *layer.full.lock().unwrap() = Some(Errno::IO);
    let elsewhere = Scene { files, cache, layer, claim };
    let next = elsewhere.beside(&back());
    // Its files are open, and its directory is there, until the test ends.
    std::mem::forget(old);
    next
}

pub(crate) fn error_of<T>(result: lisafs::backend::Result<T>) -> Errno {
    result.err().expect("there is an error").errno()
}
