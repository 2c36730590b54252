//! What the bridge has asked its server.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::{bins, command};

/// The kinds of messages, and how many of each.
pub(super) type Messages = BTreeMap<String, f64>;

/// The messages of `mount` so far.
pub(super) fn so_far(mount: &Mount) -> Result<Messages> {
    const LIMIT: Duration = Duration::from_secs(10);
    let mut stats = Command::new(bins::fusebridge()?);
    stats.args(["stats", "--prometheus"]).arg(mount.path());
    parse(&command::succeed(&mut stats, LIMIT)?)
}

fn parse(metrics: &str) -> Result<Messages> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("fusebridge_requests_total{"));
    let one = |line: &str| {
        let (labels, count) = line.rsplit_once("} ")?;
        let (_, kind) = labels.split_once("request=\"")?;
        Some((kind.trim_end_matches('"').to_owned(), count.trim().parse().ok()?))
    };
    lines.map(|line| one(line).with_context(|| format!("a metric that is none: {line}"))).collect()
}

/// What has been sent since `before`, for each of `count` operations.
pub(super) fn since(before: &Messages, now: &Messages, count: f64) -> Messages {
    let difference = |(kind, now): (&String, &f64)| {
        let sent = now - before.get(kind).copied().unwrap_or(0.0);
        (sent > 0.0).then(|| (kind.clone(), sent / count))
    };
    now.iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_kind() {
        let text = "# TYPE fusebridge_requests_total counter\n\
                    fusebridge_requests_total{mountpoint=\"/a } b\",request=\"Walk\"} 12\n\
                    fusebridge_request_errors_total{mountpoint=\"/a\",request=\"Walk\"} 1\n\
                    fusebridge_requests_total{mountpoint=\"/a\",request=\"FStat\"} 5\n";
        let messages = parse(text).unwrap();
        assert_eq!(messages, Messages::from([("FStat".to_owned(), 5.0), ("Walk".to_owned(), 12.0)]));
        let before = Messages::from([("FStat".to_owned(), 5.0), ("Walk".to_owned(), 2.0)]);
        assert_eq!(since(&before, &messages, 5.0), Messages::from([("Walk".to_owned(), 2.0)]));
    }
}
