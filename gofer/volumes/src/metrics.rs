//! Figures for Prometheus.
//!
//! Requests are counted by the connections themselves; what is counted becomes metrics only when somebody asks for
//! them.

use std::sync::atomic::Ordering;

use gofer_cache::VolumeStats;
use metrics::{Label, counter, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::shared::Shared;
use crate::stats::{CLASSES, Stats};

/// All metrics in Prometheus' text format.
pub(crate) fn render(shared: &Shared) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let mut now = std::collections::BTreeMap::<String, (Stats, u64)>::new();
        shared.connections.each(|about| {
            let (stats, count) = now.entry(about.pattern.clone()).or_default();
            stats.absorb(&about.stats);
            *count += 1;
        });
        shared.connections.each_total(|pattern, totals| {
            let (stats, count) = now.entry(pattern.to_owned()).or_default();
            stats.absorb(&totals.ended);
            let volume = Label::new("volume", pattern.to_owned());
            #[expect(clippy::cast_precision_loss, reason = "there are not that many connections")]
            gauge!("gofer_volumes_connections", [volume.clone()].iter()).set(*count as f64);
            counter!("gofer_volumes_connections_total", [volume].iter()).absolute(totals.connections);
        });
        for (pattern, (stats, _)) in &now {
            put(pattern, stats);
        }
        counter!("gofer_volumes_refused_total").absolute(shared.refusals.load(Ordering::Relaxed));
        gofer_cache::each_volume(put_cache);
    });
    recorder.handle().render()
}

fn put(pattern: &str, stats: &Stats) {
    let volume = Label::new("volume", pattern.to_owned());
    let (read, written) = stats.bytes();
    counter!("gofer_volumes_read_bytes_total", [volume.clone()].iter()).absolute(read);
    counter!("gofer_volumes_written_bytes_total", [volume.clone()].iter()).absolute(written);
    for (message, figures) in stats.messages() {
        let name = message.name().unwrap_or("unknown");
        let labels = [volume.clone(), Label::new("message", name)];
        counter!("gofer_volumes_calls_total", labels.iter()).absolute(figures.calls);
        counter!("gofer_volumes_errors_total", labels.iter()).absolute(figures.errors);
        counter!("gofer_volumes_seconds_count", labels.iter()).absolute(figures.calls);
        #[expect(clippy::cast_precision_loss, reason = "a sum of times has no need for its last bits")]
        gauge!("gofer_volumes_seconds_sum", labels.iter()).set(figures.nanoseconds as f64 / 1e9);
        let mut sum = 0;
        for (class, count) in figures.classes.iter().enumerate() {
            sum += count;
            let end = CLASSES.get(class).map_or_else(|| "+Inf".to_owned(), |end| seconds(*end));
            let labels = [volume.clone(), Label::new("message", name), Label::new("le", end)];
            counter!("gofer_volumes_seconds_bucket", labels.iter()).absolute(sum);
        }
    }
}

/// What a cache has done. Its volumes have one count together, and so say the same.
fn put_cache(volume: &VolumeStats) {
    let cache = Label::new("cache", volume.directory.display().to_string());
    let counts = &volume.counts;
    let tiers = [("data", counts.hits, counts.misses), ("metadata", counts.metadata_hits, counts.metadata_misses)];
    for (tier, hits, misses) in tiers {
        let labels = [cache.clone(), Label::new("tier", tier)];
        counter!("gofer_cache_hits_total", labels.iter()).absolute(hits);
        counter!("gofer_cache_misses_total", labels.iter()).absolute(misses);
    }
    let label = [cache];
    counter!("gofer_cache_bypassed_total", label.iter()).absolute(counts.bypassed);
    counter!("gofer_cache_hit_bytes_total", label.iter()).absolute(counts.hit_bytes);
    counter!("gofer_cache_fetched_bytes_total", label.iter()).absolute(counts.fetched_bytes);
    counter!("gofer_cache_ahead_bytes_total", label.iter()).absolute(counts.ahead_bytes);
    counter!("gofer_cache_donated_total", label.iter()).absolute(counts.donated);
    counter!("gofer_cache_evictions_total", label.iter()).absolute(counts.evictions);
    counter!("gofer_cache_evicted_bytes_total", label.iter()).absolute(counts.evicted_bytes);
    counter!("gofer_cache_refused_total", label.iter()).absolute(counts.refused);
    counter!("gofer_cache_uploads_total", label.iter()).absolute(counts.uploads);
    counter!("gofer_cache_uploaded_bytes_total", label.iter()).absolute(counts.uploaded_bytes);
    counter!("gofer_cache_upload_failures_total", label.iter()).absolute(counts.upload_failures);
    // These are of each volume.
    let volume_label = [label[0].clone(), Label::new("backend", volume.backend.clone())];
    gauge!("gofer_cache_dirty_seconds", volume_label.iter()).set(volume.dirty_age.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "so many bytes need not be exact")]
    gauge!("gofer_cache_dirty_bytes", volume_label.iter()).set(volume.dirty as f64);
    counter!("gofer_cache_damaged_total", label.iter()).absolute(counts.damaged);
    counter!("gofer_cache_failures_total", label.iter()).absolute(counts.failures);
    #[expect(clippy::cast_precision_loss, reason = "so many bytes need not be exact")]
    for (name, bytes) in [("gofer_cache_bytes", volume.bytes), ("gofer_cache_limit_bytes", volume.limit)] {
        gauge!(name, label.iter()).set(bytes as f64);
    }
}

fn seconds(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "these are few digits")]
    let seconds = nanoseconds as f64 / 1e9;
    seconds.to_string()
}
