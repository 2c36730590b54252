//! Every backend that an annotation can name, started once as runsc starts it.

use serde_json::json;

use crate::caller::Call;
use crate::common::client::Pathway;

/// Starts a container with `backend` for `/data` and answers the entries of its root directory.
fn starts(backend: &str) {
    let mut call = Call::new();
    call.spec["annotations"] = json!({"dev.gofer.backend./data": backend});
    let mut running = call.go();
    running.mounts();
    running.until_it_serves(backend);
    let client = &mut running.clients[1];
    let root = client.mount();
    let is_host = backend.contains('/');
    let found = client.walk(root, &[b"in-root"]).unwrap().1.len();
    assert_eq!(found, usize::from(is_host), "{backend}");
    if is_host {
        let file = client.reach(root, &[b"in-root"]);
        let open = client.open(file, libc::O_RDONLY).unwrap();
        assert_eq!(client.read(open, 0, 100).unwrap(), b"root", "{backend}");
    }
    let made = client.create(root, b"new", 0o644).map(drop);
    assert_eq!(made.is_err(), backend.contains("readonly:"), "{backend}: {made:?}");
    let end = running.end();
    assert_eq!(end.code, Some(0), "{backend}: {end:?}");
}

#[test]
fn each_backend_starts_in_a_sandbox() {
    for backend in [
        "/etc",
        "host:/etc",
        "mem:",
        "mem:size=1m",
        "readonly:/etc",
        "readonly:host:/etc",
        "readonly:mem:",
        "stats:host:/etc",
        "stats:mem:",
        "stats:readonly:host:/etc",
        "readonly:stats:host:/etc",
    ] {
        starts(backend);
    }
}
