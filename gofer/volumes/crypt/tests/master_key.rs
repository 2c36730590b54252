//! Master keys that are another volume's.

mod common;

use std::fs;
use std::path::Path;

use gofer_crypt::format::{CONFIG, Config, Features};
use gofer_crypt::key_source::{Credential, parse_master_key, show_master_key};
use gofer_crypt::{CryptFs, OpenError};
use lisafs::backend::{Access, Backend, Mode, NO_ID, Name, NewFile};

use common::{DEFAULT, DETERMINISTIC, PLAIN, XCHACHA};

/// The master key of the volume in `directory`, with its first digit changed if `wrong`.
fn master_key(directory: &Path, wrong: bool) -> Credential {
    let config = Config::parse(&fs::read(directory.join(CONFIG)).unwrap()).unwrap();
    let mut text = show_master_key(&config.unlock(&common::password()).unwrap().0).to_string();
    if wrong {
        text.replace_range(..1, if text.starts_with('0') { "1" } else { "0" });
    }
    Credential::MasterKey(parse_master_key(text.as_bytes()).unwrap())
}

fn open(directory: &Path, wrong: bool) -> Result<CryptFs, OpenError> {
    CryptFs::open(common::host(directory), CONFIG, &master_key(directory, wrong))
}

fn fill(features: Features, with_content: bool) -> tempfile::TempDir {
    let directory = common::volume(features);
    let volume = common::open(directory.path());
    let root = volume.attach().unwrap().root.file;
    let new = |mode| NewFile::new(Mode::new(mode), NO_ID, NO_ID);
    let dir = root.mkdir(Name::new(b"dir").unwrap(), &new(0o700)).unwrap().file;
    let file = dir.create(Name::new(b"file").unwrap(), &new(0o600), Access::Write).unwrap().opened.file;
    if with_content {
        assert_eq!(file.write_at(b"content"[..].into(), 0).unwrap(), 7);
    }
    directory
}

#[test]
fn what_does_not_decrypt_anything_is_refused() {
    for features in [DEFAULT, XCHACHA, DETERMINISTIC, PLAIN] {
        let directory = fill(features, true);
        assert!(matches!(open(directory.path(), true), Err(OpenError::MasterKey(_))), "{features:?}");
        open(directory.path(), false).unwrap();
    }
    // By names alone.
    let directory = fill(DEFAULT, false);
    assert!(matches!(open(directory.path(), true), Err(OpenError::MasterKey(_))));
    open(directory.path(), false).unwrap();
}

#[test]
fn where_nothing_is_encrypted_no_key_is_wrong() {
    for directory in [common::volume(DEFAULT), fill(PLAIN, false)] {
        open(directory.path(), true).unwrap();
    }
}
