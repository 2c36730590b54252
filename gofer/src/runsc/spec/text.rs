//! JSON as Go programs read it, who do not mind what is no Unicode.

/// What stands for anything that is no character.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// `text` with U+FFFD for every byte that is not UTF-8, and for every escape of half a surrogate pair.
pub(super) fn repaired(text: &[u8]) -> Vec<u8> {
    let mut utf8 = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        utf8.extend_from_slice(chunk.valid().as_bytes());
        chunk.invalid().iter().for_each(|_| utf8.extend_from_slice(REPLACEMENT));
    }
    let mut out = Vec::with_capacity(utf8.len());
    let mut rest = utf8.as_slice();
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let (length, is_good) = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            // Whatever is escaped is passed over, as it may be a backslash.
            _ => (2.min(escape.len()), true),
        };
        let (escape, after) = escape.split_at(length);
        out.extend_from_slice(if is_good { escape } else { REPLACEMENT });
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// The unit of UTF-16 that `text` begins with an escape of.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let number = digits.iter().try_fold(0, |number, digit| Some(number * 16 + value(digit)?))?;
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_character_is_replaced() {
        for (text, expected) in [
            (&br#""X=\udcff""#[..], "X=\u{fffd}"),
            (br#""\ud83d\ude00""#, "\u{1f600}"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ud83dx""#, "\u{fffd}x"),
            (br#""\ud83d\u0041""#, "\u{fffd}A"),
            (br#""\\udcff""#, "\\udcff"),
            (br#""\\\udcff""#, "\\\u{fffd}"),
            (b"\"a\xffb\"", "a\u{fffd}b"),
            (b"\"\xe2\x82b\"", "\u{fffd}\u{fffd}b"),
        ] {
            let read: String = serde_json::from_slice(&repaired(text)).unwrap();
            assert_eq!(read, expected, "{}", text.escape_ascii());
        }
        for broken in [&br#""\"#[..], br#""\u"#, br#""\ud8"#, br#""\uzzzz""#] {
            assert_eq!(repaired(broken), broken);
        }
    }
}
