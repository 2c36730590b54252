//! Two processes with one volume, as while a volume server takes the place of another: one makes a file anew that the
//! other has open.

mod common;

use lisafs::backend::{Access, Backend, Mode, NO_ID, Name, NewFile, OpenFile, OpenHow};

use common::change::{read, walk};
use common::{DEFAULT, XCHACHA};

fn content(file: &dyn OpenFile, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let len = file.read_at((&mut bytes[..]).into(), 0).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_file_that_was_made_anew_is_read_and_written() {
    // One part, and several.
    for (features, len) in [(DEFAULT, 5000), (XCHACHA, 300_000)] {
        let directory = common::volume(features);
        // As little do they know of each other as processes.
        let (one, other) = (common::open(directory.path()), common::open(directory.path()));
        let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
        let root = one.attach().unwrap().root.file;
        let file = root.create(Name::new(b"file").unwrap(), &new, Access::ReadWrite).unwrap().opened.file;
        assert_eq!(file.write_at((&vec![1; len][..]).into(), 0).unwrap(), len);
        let renew = |byte| {
            let file = walk(&other, "file").open(OpenHow::new(Access::Write).truncate(true)).unwrap().file;
            assert_eq!(file.write_at((&vec![byte; len][..]).into(), 0).unwrap(), len);
        };
        renew(2);
        assert!(content(&*file, len) == vec![2; len]);
        renew(3);
        assert_eq!(file.write_at([4; 10][..].into(), len as u64).unwrap(), 10);
        let mut expected = vec![3; len];
        expected.extend([4; 10]);
        assert!(content(&*file, len + 10) == expected);
        assert!(read(&walk(&common::open(directory.path()), "file")) == expected);
        renew(5);
        walk(&other, "file").open(OpenHow::new(Access::Write).truncate(true)).unwrap();
        assert!(content(&*file, len).is_empty());
    }
}
