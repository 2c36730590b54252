//! What a file that is not empty begins with.

use super::random;

/// Bytes of a header: version and file id.
pub const HEADER_LEN: usize = 18;

/// The version of the format, in headers and in the configuration.
pub(super) const VERSION: u16 = 2;

/// What ties blocks to their file. Made at random with the first byte of content, and again after the file was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub(super) [u8; 16]);

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file is shorter.
    #[error("the header is cut off after {0} bytes")]
    Short(usize),
    /// Another version.
    #[error("the header has version {0}, not 2")]
    Version(u16),
    /// As a file is left by some that crash.
    #[error("the file id is all zeros")]
    Zero,
}

impl FileId {
    /// A new one.
    pub fn random() -> Self {
        FileId(random::array())
    }

    /// The header with this id.
    pub fn header(self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&VERSION.to_be_bytes());
        header[2..].copy_from_slice(&self.0);
        header
    }

    /// The id in a header.
    pub fn parse(header: &[u8]) -> Result<Self, HeaderError> {
        let (version, rest) = header.split_first_chunk().ok_or(HeaderError::Short(header.len()))?;
        let id: &[u8; 16] = rest.first_chunk().ok_or(HeaderError::Short(header.len()))?;
        match u16::from_be_bytes(*version) {
            _ if header[..HEADER_LEN] == [0; HEADER_LEN] => Err(HeaderError::Zero),
            VERSION if *id == [0; 16] => Err(HeaderError::Zero),
            VERSION => Ok(FileId(*id)),
            other => Err(HeaderError::Version(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked() {
        let id = FileId([7; 16]);
        let header = id.header();
        assert_eq!(FileId::parse(&header), Ok(id));
        for len in 0..HEADER_LEN {
            assert_eq!(FileId::parse(&header[..len]), Err(HeaderError::Short(len)));
        }
        assert_eq!(FileId::parse(&[0; HEADER_LEN]), Err(HeaderError::Zero));
        assert_eq!(FileId::parse(&FileId([0; 16]).header()), Err(HeaderError::Zero));
        let mut other = header;
        other[1] = 3;
        assert_eq!(FileId::parse(&other), Err(HeaderError::Version(3)));
    }
}
