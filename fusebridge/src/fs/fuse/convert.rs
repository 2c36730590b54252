//! Device numbers as the kernel has them.

/// A device number as the kernel puts it into 32 bits: twelve of the major, twenty of the minor around them.
pub(super) fn join_device(major: u32, minor: u32) -> u32 {
    minor & 0xff | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// The inverse: major and minor number.
pub(super) fn split_device(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_go_through_32_bits() {
        for (major, minor) in [(0, 0), (1, 3), (8, 0xf_ffff), (0xfff, 0x12_345)] {
            assert_eq!(split_device(join_device(major, minor)), (major, minor));
        }
        assert_eq!(join_device(8, 1), 0x801);
    }
}
