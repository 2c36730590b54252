//! What cannot work: one line that says why, and nothing is written.

use anyhow::Result;
use e2e::{check, s3};

use crate::scene::Bucket;

/// One line on stderr, which has `wanted` in it and no secret.
fn refused(bucket: &Bucket, words: &[&str], wanted: &str) -> Result<()> {
    let outcome = bucket.blob(words)?;
    let text = outcome.describe();
    check::holds(&text, !outcome.status.success())?;
    check::equal(&text, &outcome.stderr.lines().count(), &1)?;
    check::holds(&format!("{wanted} in {text}"), outcome.stderr.contains(wanted) && !text.contains("very-secret"))
}

#[test]
fn wrong_places_are_refused() -> Result<()> {
    let bucket = Bucket::new()?;
    let missing = format!("s3://{}-missing/volume", bucket.name);
    for words in [&["mkfs", &missing][..], &["fsck", &missing], &["du", &missing]] {
        refused(&bucket, words, "cannot use s3://")?;
    }
    refused(&bucket, &["fsck", &bucket.url()], "has no volume")?;
    s3::put(&format!("/{}/volume/photo.jpg", bucket.name), "x")?;
    refused(&bucket, &["mkfs", &bucket.url()], "is not empty and holds no volume (there is photo.jpg)")?;
    refused(&bucket, &["gc", &bucket.url()], "is not empty and holds no volume (there is photo.jpg)")?;
    s3::put(&format!("/{}/newer/blob.json", bucket.name), r#"{"format": 99}"#)?;
    let newer = format!("s3://{}/newer", bucket.name);
    for words in [&["mkfs", &newer][..], &["snapshot", &newer, "x"], &["stats", &newer]] {
        refused(&bucket, words, "has format 99; this program knows 2: use a newer one")?;
    }
    check::equal("objects", &s3::objects(&bucket.name)?, &["newer/blob.json", "volume/photo.jpg"])
}

#[test]
fn stores_without_conditional_writes_are_refused() -> Result<()> {
    let bucket = Bucket::new()?;
    bucket.proxy.strip_conditions();
    refused(&bucket, &["mkfs", &bucket.url()], "ignores conditional writes")?;
    check::equal("objects", &s3::objects(&bucket.name)?, &Vec::<String>::new())
}
