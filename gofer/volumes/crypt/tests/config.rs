//! Configurations that are called otherwise than usual.

mod common;

use std::fs;

use gofer_crypt::CryptFs;
use gofer_crypt::format::{CONFIG, Config};
use gofer_crypt::key_source::Credential;
use lisafs::backend::{Access, Backend, DirEntry, DirSink, Errno, Mode, NO_ID, Name, NewFile, OpenHow, Unlink};

use common::{DEFAULT, PLAIN};

struct Listed(Vec<Vec<u8>>);

impl DirSink for Listed {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        self.0.push(entry.name.to_vec());
        true
    }
}

#[test]
fn a_configuration_is_no_file_of_the_volume() {
    for features in [DEFAULT, PLAIN] {
        for config in ["elsewhere", "in/a directory"] {
            let directory = common::volume(features);
            let path = directory.path().join(config);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::rename(directory.path().join(CONFIG), &path).unwrap();
            let volume = CryptFs::open(common::host(directory.path()), config, &common::password()).unwrap();
            let root = volume.attach().unwrap().root.file;
            let mut listed = Listed(Vec::new());
            root.open(OpenHow::new(Access::Read)).unwrap().file.read_dir(0, &mut listed).unwrap();
            assert!(listed.0.is_empty(), "{:?}", listed.0);
            let name = Name::new(config.split('/').next().unwrap().as_bytes()).unwrap();
            assert_eq!(root.walk(name).err(), Some(Errno::NOENT.into()));
            assert!(root.unlink(name, Unlink::File).is_err());
            if features == PLAIN {
                let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
                assert_eq!(root.create(name, &new, Access::Write).err(), Some(Errno::PERM.into()));
            }
            assert!(path.exists());

            // Nothing in it could be decrypted, so it does not count for master keys.
            let parsed = Config::parse(&fs::read(&path).unwrap()).unwrap();
            let key = Credential::MasterKey(parsed.unlock(&common::password()).unwrap().0);
            CryptFs::open(common::host(directory.path()), config, &key).unwrap();
        }
    }
}
