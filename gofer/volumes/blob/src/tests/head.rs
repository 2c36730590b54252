//! The newest objects are lost.

use std::collections::BTreeSet;

use super::*;
use crate::CheckOptions;

const ACCEPT: CheckOptions =
    CheckOptions { deep: true, repair: false, take_over: false, accept_loss: true, snapshot: None };

/// A volume that was opened twice, and the content of its files. Most of them are in segments.
fn written() -> (Scene, Vec<Vec<u8>>) {
    let scene = Scene::new();
    let contents: Vec<Vec<u8>> = (1..7).map(|seed| noise(if seed % 3 == 0 { 100 } else { 70_000 }, seed)).collect();
    for half in [0..3, 3..6] {
        let fs = BlobFs::new(scene.open());
        for number in half {
            create(&root(&fs), &number.to_string(), &contents[number]).opened.file.sync().unwrap();
        }
    }
    (scene, contents)
}

impl Scene {
    /// All objects, the newest first.
    fn newest(&self) -> Vec<object_store::path::Path> {
        let mut objects: Vec<_> = runtime().block_on(self.objects.list(None).try_collect()).unwrap();
        objects.sort_by_key(|object: &object_store::ObjectMeta| std::cmp::Reverse(object.last_modified));
        objects.into_iter().map(|object| object.location).collect()
    }

    /// The store without some of its objects.
    fn without(&self, lost: &[object_store::path::Path]) -> Scene {
        let scene = self.crash();
        runtime().block_on(async {
            for path in lost {
                scene.objects.delete(path).await.unwrap();
            }
        });
        scene
    }

    fn names(&self) -> BTreeSet<String> {
        self.newest().into_iter().map(String::from).collect()
    }

    /// Whether the loss is noticed by everybody, and nothing is written.
    fn is_refused(&self) -> bool {
        let before = self.names();
        let reader = self.again("memory:?ro");
        let opened = [reader.try_open().err(), self.try_open().err()];
        let is_found = self.manager().check(&CheckOptions::default(), &()).map_or(true, |report| !report.is_clean());
        let refusals = opened.iter().flatten().count();
        assert!([0, 2].contains(&refusals), "all or nobody: {opened:?}");
        assert!(refusals == 0 || is_found, "{opened:?}");
        assert!(refusals == 0 || before == self.names());
        refusals > 0
    }
}

#[test]
fn the_loss_of_the_newest_objects_is_noticed() {
    let (scene, contents) = written();
    let newest = scene.newest();
    assert!(!scene.crash().is_refused(), "nothing is lost");
    for count in 1..newest.len() - 1 {
        assert!(scene.without(&newest[..count]).is_refused(), "{count} of {newest:?}");
    }
    // Where the head is kept: all that was lost was not needed, or it is noticed.
    let others: Vec<_> = newest.into_iter().filter(|path| path.as_ref() != "head.json").collect();
    let mut refused = 0;
    for count in 1..others.len() - 1 {
        let left = scene.without(&others[..count]);
        if left.is_refused() {
            refused += 1;
            continue;
        }
        let fs = BlobFs::new(left.open());
        for (number, content) in contents.iter().enumerate() {
            assert!(read(&root(&fs), &number.to_string()).as_ref() == Ok(content), "{count} of {others:?}: {number}");
        }
    }
    assert!(refused > others.len() / 2, "{refused} of {others:?}");
}

#[test]
fn a_loss_can_be_accepted() {
    let scene = Scene::new();
    {
        let fs = BlobFs::new(scene.open());
        create(&root(&fs), "kept", &noise(70_000, 1)).opened.file.sync().unwrap();
    }
    let before = scene.names();
    {
        let fs = BlobFs::new(scene.open());
        create(&root(&fs), "lost", &noise(70_000, 2)).opened.file.sync().unwrap();
    }
    // A segment of the second opening stays, which nothing leads to any more.
    let lost: Vec<_> = scene.newest().into_iter().filter(|path| !before.contains(path.as_ref())).collect();
    let (segments, lost): (Vec<_>, Vec<_>) = lost.into_iter().partition(|path| path.as_ref().starts_with("data/"));
    assert_eq!(segments.len(), 1);
    let left = scene.without(&lost);
    assert!(left.is_refused());
    let report = left.manager().check(&ACCEPT, &()).unwrap();
    assert!(report.is_clean() && report.repaired[0].starts_with("its newest objects are missing: "), "{report:?}");
    assert_eq!(report.orphans, 1);
    {
        let fs = BlobFs::new(left.open());
        assert_eq!(read(&root(&fs), "lost"), Err(Errno::NOENT));
        assert!(read(&root(&fs), "kept") == Ok(noise(70_000, 1)));
        create(&root(&fs), "new", &noise(70_000, 3)).opened.file.sync().unwrap();
    }
    assert_eq!(left.segments().len(), 3, "no segment has the number of another one");
    let report = left.manager().check(&ACCEPT, &()).unwrap();
    assert_eq!((report.problems, report.repaired), (vec![], vec![]));
}

#[test]
fn heads_of_others_and_nonsense_are_refused() {
    let (scene, _) = written();
    for (content, shown) in [
        (
            r#"{"id": "00000000-0000-0000-0000-000000000000", "commits": 0, "manifest": 0}"#,
            "head.json is another volume's",
        ),
        ("{}", "head.json cannot be read: "),
    ] {
        runtime().block_on(scene.objects.put(&"head.json".into(), content.into())).unwrap();
        let error = scene.try_open().err().unwrap().to_string();
        assert!(error.contains(shown), "{error}");
        let problems = scene.check();
        assert!(problems.iter().any(|problem| problem.contains(shown)), "{problems:?}");
    }
}

#[test]
fn what_was_not_created_completely_says_so() {
    let (full, _) = written();
    let superblock = runtime().block_on(async { full.objects.get(&"blob.json".into()).await.unwrap().bytes().await });
    let scene = Scene::new();
    runtime().block_on(scene.objects.put(&"blob.json".into(), superblock.unwrap().into())).unwrap();
    let created = Scene::new();
    Opened::create_in(&created.store(), &created.location).unwrap();
    runtime().block_on(created.objects.delete(&"head.json".into())).unwrap();
    for half in [scene, created] {
        for error in [half.try_open().err(), half.again("memory:?ro").try_open().err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("it was not created completely; delete it and create it again"), "{error}");
        }
    }
    runtime().block_on(full.objects.delete(&"head.json".into())).unwrap();
    assert!(full.try_open().err().unwrap().to_string().contains("head.json is missing"));
}
