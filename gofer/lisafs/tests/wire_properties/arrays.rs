//! Arrays: what their views show is in the bytes, whatever count the peer wrote.

use lisafs::wire::{Array, Dirent, Dirents, FdArray, Inode, StringArray, StringArrayBuf, Wire};
use proptest::prelude::*;

use crate::check::noise;
use crate::generate::*;

/// A count as a peer writes it, true or not, and bytes behind it.
fn claimed() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![any::<u16>(), 0..12u16], noise())
        .prop_map(|(count, noise)| [&count.to_ne_bytes(), &noise[..]].concat())
}

proptest! {
    #[test]
    fn fixed_items_are_all_there(bytes in claimed()) {
        let count = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let fds = FdArray::from_bytes(&bytes);
        prop_assert_eq!(fds.is_ok(), 2 + 8 * count <= bytes.len());
        if let Ok(fds) = fds {
            prop_assert_eq!((fds.len(), fds.iter().len(), fds.is_empty()), (count, count, count == 0));
            prop_assert!(fds.iter().zip(bytes[2..].chunks(8)).all(|(fd, bytes)| fd.0.to_ne_bytes() == bytes));
        }
        let inodes = Array::<Inode>::from_bytes(&bytes);
        prop_assert_eq!(inodes.is_ok(), 2 + 152 * count <= bytes.len());
        prop_assert!(inodes.is_err() || inodes.unwrap().iter().count() == count);
    }

    #[test]
    fn strings_are_all_there(bytes in claimed()) {
        if let Ok(strings) = StringArray::from_bytes(&bytes) {
            prop_assert_eq!(strings.len(), usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])));
            prop_assert_eq!(strings.iter().count(), strings.len());
            prop_assert_eq!(strings.is_empty(), strings.iter().next().is_none());
            prop_assert!(strings.iter().map(|string| 2 + string.len()).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn directory_entries_are_all_there(bytes in claimed()) {
        if let Ok(dirents) = Dirents::from_bytes(&bytes) {
            prop_assert_eq!(dirents.len(), usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])));
            prop_assert_eq!(dirents.iter().count(), dirents.len());
            prop_assert_eq!(dirents.is_empty(), dirents.iter().next().is_none());
            prop_assert!(dirents.iter().map(|dirent| dirent.wire_size()).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn the_same_strings_come_out(strings in several(string())) {
        let buffer = StringArrayBuf::collect(strings.iter().map(Vec::as_slice)).unwrap();
        prop_assert!(buffer.as_array().iter().eq(strings.iter().map(Vec::as_slice)));
    }

    #[test]
    fn the_same_items_come_out(inodes in several(inode())) {
        prop_assert!(Array::new(&inodes).unwrap().iter().eq(inodes.iter().copied()));
    }

    #[test]
    fn the_same_directory_entries_come_out(names in several(string())) {
        let mut bytes = u16::try_from(names.len()).unwrap().to_ne_bytes().to_vec();
        let entry = |name| Dirent { ino: 1, dev_minor: 2, dev_major: 3, off: 4, kind: 5, name };
        for name in &names {
            entry(name.as_slice()).encode(&mut bytes).unwrap();
        }
        prop_assert!(Dirents::from_bytes(&bytes).unwrap().iter().eq(names.iter().map(|name| entry(name.as_slice()))));
    }
}
