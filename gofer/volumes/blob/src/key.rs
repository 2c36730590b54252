//! Keys of the metadata database. Numbers in them are big-endian, so that keys sort as the numbers do.

use std::ops::Range;

use siphasher::sip::SipHasher13;

/// What kind of record a key leads to: its first byte.
mod tag {
    pub(super) const STATE: u8 = b'A';
    pub(super) const INODE: u8 = b'I';
    pub(super) const BUCKET: u8 = b'D';
    pub(super) const CHUNK: u8 = b'F';
    pub(super) const ORPHAN: u8 = b'O';
    pub(super) const SEGMENT: u8 = b'S';
    pub(super) const XATTR: u8 = b'X';
}

/// Lowest bits of a directory position, which tell names with equal hashes apart.
pub(crate) const SLOT_BITS: u32 = 4;
/// How many names with equal hashes a directory can have.
pub(crate) const SLOTS: u8 = 1 << SLOT_BITS;
/// Bits of a name's hash: positions are signed numbers in some interfaces, and the one behind the last must exist.
const HASH_BITS: u32 = 62 - SLOT_BITS;

fn key(tag: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + numbers.len() * 8 + rest.len());
    key.push(tag);
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key.extend_from_slice(rest);
    key
}

fn number(key: &[u8], index: usize) -> Option<u64> {
    let at = 1 + index * 8;
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

/// The volume's own counters.
pub(crate) fn state() -> Vec<u8> {
    vec![tag::STATE]
}

/// A file's attributes.
pub(crate) fn inode(ino: u64) -> Vec<u8> {
    key(tag::INODE, &[ino], &[])
}

/// The attributes of files with numbers in a range.
pub(crate) fn inodes(numbers: &Range<u64>) -> Range<Vec<u8>> {
    inode(numbers.start)..inode(numbers.end)
}

/// The entries of directories with numbers in a range.
pub(crate) fn buckets_of(dirs: &Range<u64>) -> Range<Vec<u8>> {
    bucket(dirs.start, 0)..bucket(dirs.end, 0)
}

/// The number of the file that a key of [`orphans`] is about.
pub(crate) fn ino_of(key: &[u8]) -> Option<u64> {
    number(key, 0)
}

/// The entries of a directory whose names have this hash.
pub(crate) fn bucket(dir: u64, hash: u64) -> Vec<u8> {
    key(tag::BUCKET, &[dir, hash], &[])
}

/// The entries of a directory from a hash on.
pub(crate) fn buckets_from(dir: u64, hash: u64) -> Range<Vec<u8>> {
    bucket(dir, hash)..key(tag::BUCKET, &[dir, u64::MAX], &[])
}

/// The directory and the hash of a key of [`buckets_from`].
pub(crate) fn bucket_of(key: &[u8]) -> Option<(u64, u64)> {
    Some((number(key, 0)?, number(key, 1)?))
}

/// Where a part of a file's data is.
pub(crate) fn chunk(ino: u64, chunk: u64) -> Vec<u8> {
    key(tag::CHUNK, &[ino, chunk], &[])
}

/// Where a file's data is, from a chunk on.
pub(crate) fn chunks_from(ino: u64, chunk: u64) -> Range<Vec<u8>> {
    self::chunk(ino, chunk)..key(tag::CHUNK, &[ino, u64::MAX], &[])
}

/// The file and the chunk of a key of [`chunks_from`].
pub(crate) fn chunk_of(key: &[u8]) -> Option<(u64, u64)> {
    Some((number(key, 0)?, number(key, 1)?))
}

/// A mark that a file has no name any more.
pub(crate) fn orphan(ino: u64) -> Vec<u8> {
    key(tag::ORPHAN, &[ino], &[])
}

/// All files without a name.
pub(crate) fn orphans() -> Range<Vec<u8>> {
    vec![tag::ORPHAN]..vec![tag::ORPHAN + 1]
}

/// How much of a segment is in use here; `volume` as in [`Stored`](crate::record::Stored).
pub(crate) fn segment(volume: u16, number: u64) -> Vec<u8> {
    key(tag::SEGMENT, &[volume.into(), number], &[])
}

/// All segments that one volume has made.
pub(crate) fn segments_of(volume: u16) -> Range<Vec<u8>> {
    key(tag::SEGMENT, &[volume.into()], &[])..key(tag::SEGMENT, &[u64::from(volume) + 1], &[])
}

/// All segments.
pub(crate) fn segments() -> Range<Vec<u8>> {
    vec![tag::SEGMENT]..vec![tag::SEGMENT + 1]
}

/// The volume and the number of a key of a segment.
pub(crate) fn segment_of(key: &[u8]) -> Option<(u16, u64)> {
    Some((number(key, 0)?.try_into().ok()?, number(key, 1)?))
}

/// An extended attribute.
pub(crate) fn xattr(ino: u64, name: &[u8]) -> Vec<u8> {
    key(tag::XATTR, &[ino], name)
}

/// All extended attributes of a file.
pub(crate) fn xattrs(ino: u64) -> Range<Vec<u8>> {
    xattr(ino, &[])..key(tag::XATTR, &[ino + 1], &[])
}

/// The file and the name of a key of an extended attribute.
pub(crate) fn xattr_of(key: &[u8]) -> Option<(u64, &[u8])> {
    Some((number(key, 0)?, &key[9..]))
}

/// The hash of a name, by a key that only the volume's superblock has, so that nobody can make names collide.
pub(crate) fn hash(name: &[u8], secret: u128) -> u64 {
    SipHasher13::new_with_key(&secret.to_le_bytes()).hash(name) >> (64 - HASH_BITS)
}

/// The position of the name in slot `slot` with hash `hash`.
pub(crate) fn position(hash: u64, slot: u8) -> u64 {
    hash << SLOT_BITS | u64::from(slot)
}

/// The hash and the slot of a position.
pub(crate) fn of_position(position: u64) -> (u64, u8) {
    let slot = u8::try_from(position & u64::from(SLOTS - 1)).unwrap_or_default();
    (position >> SLOT_BITS, slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_keys_and_no_others() {
        assert!(buckets_from(7, 3).contains(&bucket(7, 3)));
        assert!(buckets_from(7, 3).contains(&bucket(7, (1 << HASH_BITS) - 1)));
        assert!(!buckets_from(7, 3).contains(&bucket(7, 2)) && !buckets_from(7, 0).contains(&bucket(8, 0)));
        assert!(xattrs(7).contains(&xattr(7, &[0xff; 255])) && !xattrs(7).contains(&xattr(8, b"a")));
        assert!(chunks_from(7, 1).contains(&chunk(7, 1)) && !chunks_from(7, 1).contains(&chunk(7, 0)));
        assert_eq!((bucket_of(&bucket(7, 3)), chunk_of(&chunk(9, 4))), (Some((7, 3)), Some((9, 4))));
        assert_eq!(ino_of(&orphan(5)), Some(5));
        assert!(inodes(&(4..8)).contains(&inode(7)) && !inodes(&(4..8)).contains(&inode(8)));
        assert!(buckets_of(&(4..8)).contains(&bucket(7, u64::MAX)) && !buckets_of(&(4..8)).contains(&bucket(8, 0)));
        assert!(segments().contains(&segment(u16::MAX, u64::MAX)) && segments_of(3).contains(&segment(3, u64::MAX)));
        assert!(!segments_of(3).contains(&segment(4, 0)) && !segments_of(3).contains(&segment(2, u64::MAX)));
        assert_eq!(segment_of(&segment(3, 7)), Some((3, 7)));
        assert_eq!(xattr_of(&xattr(5, b"user.a")), Some((5, &b"user.a"[..])));
        assert_eq!(ino_of(b"I123"), None);
    }

    #[test]
    fn positions_are_positive_and_leave_room() {
        let last = position((1 << HASH_BITS) - 1, SLOTS - 1);
        assert!(i64::try_from(last + 1).is_ok());
        assert_eq!(of_position(last), ((1 << HASH_BITS) - 1, SLOTS - 1));
        assert_eq!(of_position(last + 1), (1 << HASH_BITS, 0));
        assert!(hash(b"name", 1) < 1 << HASH_BITS);
        assert_ne!(hash(b"name", 1), hash(b"name", 2));
    }
}
