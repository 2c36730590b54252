//! Which requests were under way at the same time as others: the order of their effects is not known.

use std::path::Path;

use super::super::reader::{Reader, TraceError};

/// For each record of the trace `path` in turn, whether another request was under way at the same time.
pub(super) fn overlapping(path: &Path) -> Result<Vec<bool>, TraceError> {
    let mut reader = Reader::open(path)?;
    let mut spans = Vec::new();
    while let Some(record) = reader.next_record()? {
        spans.push((record.start, record.end()));
    }
    Ok(overlaps(&spans))
}

/// Whether a span has a part in common with any other.
fn overlaps<T: Copy + Ord>(spans: &[(T, T)]) -> Vec<bool> {
    let mut found = vec![false; spans.len()];
    let mut latest_end = None;
    for (span, found) in spans.iter().zip(&mut found) {
        *found |= latest_end.is_some_and(|end| end > span.0);
        latest_end = latest_end.max(Some(span.1));
    }
    let mut earliest_start: Option<T> = None;
    for (span, found) in spans.iter().zip(&mut found).rev() {
        *found |= earliest_start.is_some_and(|start| start < span.1);
        earliest_start = Some(earliest_start.map_or(span.0, |start| start.min(span.0)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_do_not_overlap() {
        assert_eq!(overlaps(&[(0, 2), (2, 3), (3, 9)]), [false; 3]);
        assert_eq!(overlaps(&[(0, 2), (1, 3), (3, 4)]), [true, true, false]);
        assert_eq!(overlaps(&[(1, 2), (3, 4), (0, 5), (5, 6)]), [true, true, true, false]);
        assert!(overlaps::<u8>(&[]).is_empty());
    }
}
