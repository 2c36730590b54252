//! Puts tables between their markers in the README.

use std::fs;

use anyhow::{Context, Result};
use e2e::bins;

const BEGIN: &str = "<!-- bench:fuse -->";
const END: &str = "<!-- /bench:fuse -->";

/// Replaces what is between the markers.
pub(crate) fn update(tables: &str) -> Result<()> {
    let path = bins::workspace().join("README.md");
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = replaced(&old, tables).with_context(|| format!("{} lacks {BEGIN} or {END}", path.display()))?;
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(old: &str, tables: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_the_part_between_the_markers_changes() {
        let old = "a\n<!-- bench:fuse -->\nold\n<!-- /bench:fuse -->\nz\n";
        let new = "a\n<!-- bench:fuse -->\n\nnew\n\n<!-- /bench:fuse -->\nz\n";
        assert_eq!(replaced(old, "new\n").as_deref(), Some(new));
        assert_eq!(replaced("a", "new"), None);
    }
}
