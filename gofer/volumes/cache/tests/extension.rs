//! `cache:` on a command line.

mod common;

use std::os::unix::net::UnixListener;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gofer::extension::FileAccess;

use common::{content, create, registry, try_open, write};

#[test]
fn volumes_share_a_directory() {
    let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = registry();
    let of = |backend: &str, options: &str| {
        try_open(&registry, &format!("cache:{backend}?dir={}{options}", cache.path().display()))
    };
    let files = files.path().to_str().unwrap();
    let one = of(files, "&access=exclusive").unwrap();
    let other = of("mem:", "&access=exclusive").unwrap();
    let again = of(files, "&access=exclusive").unwrap();
    write(&create(&one, "file"), 0, b"one");
    write(&create(&other, "file"), 0, b"other");
    // The same backend is one file system.
    assert_eq!(content(&again, "file"), b"one");
    assert_eq!(content(&other, "file"), b"other");
    let error = |backend: &str, options: &str| of(backend, options).unwrap_err();
    assert_eq!(error(files, ""), format!("cache: {files} is open with other options of its cache"));
    assert!(error("mem:", "&size=1g").ends_with(" is in use with another size= or free="));
    assert_eq!(error("nonsense:", ""), {
        "cache: unknown backend \"nonsense\"; use a directory (./nonsense:.. if its name has a colon), host:DIR, \
         mem:ARGUMENT, readonly:ARGUMENT, fault:ARGUMENT, stats:ARGUMENT, volume:ARGUMENT, cache:ARGUMENT"
    });
    // What is read-only may be the one that is not.
    assert_eq!(content(&of(files, "&access=exclusive").unwrap().read_only(true), "file"), b"one");
    drop((one, other, again));
    let elsewhere = common::registry();
    let start = std::time::Instant::now();
    // Nobody has it any more, as soon as nothing is fetched ahead.
    while let Err(error) = try_open(&elsewhere, &format!("cache:mem:?dir={}", cache.path().display())) {
        assert!(start.elapsed().as_secs() < 30, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn containers_have_none() {
    let registry = registry();
    let host = gofer::hostfs::HostOptions::default();
    let backends = registry.backends(&host);
    assert!(backends.check("cache:/srv?dir=/var/cache/x".as_ref()).is_ok());
    let error = |backend: &str| backends.check(backend.as_ref()).unwrap_err().to_string();
    assert!(error("cache:/srv").starts_with("cache: no directory for the cache"));
    for (backend, wanted) in [
        ("cache:srv?dir=/c", "cache: cannot serve \"srv\": write it from the root: host:/DIR"),
        ("cache:readonly:srv?dir=/c", "cache: readonly: cannot serve \"srv\": write it from the root: host:/DIR"),
        ("cache:unix:s?dir=/c", "cache: unix:s: not an absolute path"),
        ("cache:/srv?dir=c", "cache: dir=c: not an absolute path"),
        (
            "cache:readonly:/srv?dir=/c&access=exclusive&write=back",
            "cache: write=back has no meaning before a backend that refuses all changes",
        ),
    ] {
        assert_eq!(error(backend), wanted);
    }
}

#[test]
fn the_client_says_who_else_changes_files_unless_the_cache_does() {
    let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = registry();
    let host = gofer::hostfs::HostOptions::default();
    let open = |access, options: &str| {
        let backend = format!("cache:{}?dir={}{options}", files.path().display(), cache.path().display());
        registry.backends(&host).for_access(access).open(backend.as_ref()).map_err(|error| error.to_string())
    };
    // Shared options would be others.
    let exclusive = open(Some(FileAccess::Exclusive), "").unwrap();
    drop((open(None, "&access=exclusive").unwrap(), open(Some(FileAccess::Shared), "&access=exclusive").unwrap()));
    assert!(open(Some(FileAccess::Shared), "").unwrap_err().ends_with("is open with other options of its cache"));
    drop(exclusive);
    let error = open(Some(FileAccess::Exclusive), "&ttl=5").unwrap_err();
    assert_eq!(error, "cache: ttl= has no meaning without access=shared");
}

#[test]
fn what_cannot_be_changed_is_not_written_back() {
    let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = format!("?dir={}&access=exclusive&write=back", cache.path().display());
    let error = try_open(&registry(), &format!("cache:readonly:{}{options}", files.path().display())).unwrap_err();
    assert_eq!(error, "cache: write=back has no meaning before a backend that refuses all changes");
}

#[test]
fn a_backend_that_does_not_answer_holds_up_no_other() {
    let (files, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = files.path().join("socket");
    let silent = UnixListener::bind(&path).unwrap();
    let registry = Arc::new(registry());
    let open = |backend: &str| {
        let (done, opened) = mpsc::channel();
        let backend = format!("cache:{backend}?dir={}", cache.path().display());
        let registry = registry.clone();
        thread::spawn(move || done.send(try_open(&registry, &backend).map(drop)));
        opened
    };
    let waiting = open(&format!("unix:{}", path.display()));
    let (client, _) = silent.accept().unwrap();
    assert_eq!(open("mem:").recv_timeout(Duration::from_secs(30)), Ok(Ok(())));
    drop(client);
    assert!(waiting.recv().unwrap().is_err());
}
