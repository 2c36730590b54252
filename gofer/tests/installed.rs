//! The gofer as it is installed. `cargo test --package gofer` tests that one; with the rest of the workspace, whose
//! tests need more, it has the feature `testing`.

use std::process::Command;

/// What `gofer serve` says about `backend`, which it is not to serve.
fn refusal(backend: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut gofer = Command::new(env!("CARGO_BIN_EXE_gofer"));
    let output = gofer.args(["serve", "--socket"]).arg(directory.path().join("no/such")).arg(backend).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_makes_things_wrong_is_not_installed() {
    let said = refusal("fault:mem:?defect=lost-write");
    if cfg!(feature = "testing") {
        // It got as far as the socket, whose directory is not there.
        assert!(said.contains("no/such"), "{said}");
    } else {
        assert!(said.starts_with("gofer: unknown backend \"fault\""), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
