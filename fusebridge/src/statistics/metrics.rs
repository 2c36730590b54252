//! Figures for Prometheus.

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::Figures;

impl Figures {
    /// All figures in Prometheus' text format.
    #[expect(clippy::cast_precision_loss, reason = "nobody needs their last bits")]
    pub(super) fn metrics(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_gauge!("fusebridge_uptime_seconds", "Time since the backend was mounted.");
            describe_gauge!("fusebridge_cached_inodes", "Inodes for which the server holds a descriptor.");
            describe_gauge!("fusebridge_open_files", "Open files and directories.");
            describe_counter!("fusebridge_requests_total", "Requests to the server.");
            describe_counter!("fusebridge_request_errors_total", "Requests that have failed.");
            describe_counter!("fusebridge_request_bytes_total", "File data moved by requests.");
            let mount =
                [Label::new("mountpoint", self.mountpoint.clone()), Label::new("backend", self.backend.clone())];
            let (inodes, open) = self.held();
            gauge!("fusebridge_uptime_seconds", mount.iter()).set(self.since.elapsed().as_secs_f64());
            gauge!("fusebridge_cached_inodes", mount.iter()).set(inodes as f64);
            gauge!("fusebridge_open_files", mount.iter()).set(open as f64);
            for (name, counted) in self.meter.counted() {
                let labels = [mount[0].clone(), Label::new("request", name)];
                counter!("fusebridge_requests_total", labels.iter()).absolute(counted.calls);
                counter!("fusebridge_request_errors_total", labels.iter()).absolute(counted.errors);
                if counted.bytes > 0 {
                    counter!("fusebridge_request_bytes_total", labels.iter()).absolute(counted.bytes);
                }
                counter!("fusebridge_request_seconds_count", labels.iter()).absolute(counted.calls);
                gauge!("fusebridge_request_seconds_sum", labels.iter()).set(counted.nanos as f64 / 1e9);
                let ends = counted.cumulated().map(|(end, count)| ((end as f64 / 1e9).to_string(), count));
                for (end, count) in ends.chain([("+Inf".to_owned(), counted.calls)]) {
                    let labels = [labels[0].clone(), labels[1].clone(), Label::new("le", end)];
                    counter!("fusebridge_request_seconds_bucket", labels.iter()).absolute(count);
                }
            }
        });
        recorder.handle().render()
    }
}
