//! What is made of results.

mod html;
mod junit;
mod tap;

pub use html::html;
pub use junit::junit;
pub use tap::tap;

/// Text from anywhere as one line that does nothing but say something: a terminal would obey control characters.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            line.extend(character.escape_debug());
        } else {
            line.push(character);
        }
    }
    line
}
