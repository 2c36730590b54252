//! The conformance suites with a volume in a bucket, in a short form: `fusebridge conform blob:s3://..` runs all of it.

use anyhow::Result;
use e2e::{check, conform, host, s3, skip};

use crate::scene::Bucket;

#[test]
fn a_bucket_conforms() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let bucket = Bucket::new()?;
    let expectations = conform::expectations("blob");
    // Where requests to the store are: names and holes, data and its end, links that are gone.
    let filter = "rename,sparse,truncate,unlinked,listing::,links::";
    for suite in [&["mount,pjdfstest", "--filter", filter][..], &["fsx", "--fsx-operations", "300"]] {
        let mut command = conform::command(["--io", "rpc", "--access", "exclusive", "--suite"])?;
        command.args(suite).arg("--expect").arg(&expectations).arg(format!("blob:{}?create", bucket.url()));
        s3::with_credentials(&mut command, bucket.proxy.address());
        let run = conform::finish(command)?;
        run.ended_with(0)?;
        let suites = run.report()?.modes.iter().flat_map(|mode| &mode.suites);
        check::holds("tests have passed", suites.into_iter().all(|suite| suite.counts().passed > 0))?;
    }
    bucket.is_sound()
}
