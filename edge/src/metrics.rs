//! What `/metrics` shows. The whole process has one recorder; `metrics::counter!` and its like write to it.

use crate::request_log::DURATION_BUCKETS;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder, once; what is counted before is lost. A histogram whose name ends in `_seconds`
/// has buckets.
pub fn install() -> Option<&'static PrometheusHandle> {
    let recorder = RECORDER.get_or_init(|| {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(seconds, DURATION_BUCKETS)
            .expect("the buckets are not empty");
        builder
            .install_recorder()
            .inspect_err(|error| tracing::error!(%error, "there will be no metrics"))
            .ok()
    });
    recorder.as_ref()
}

/// Folds the samples of the histograms together. Without it they pile up between two visits of Prometheus.
pub(crate) fn tidy() {
    if let Some(recorder) = install() {
        recorder.run_upkeep();
    }
}

/// Everything counted so far, in Prometheus' text format.
pub(crate) fn text() -> String {
    install().map(PrometheusHandle::render).unwrap_or_default()
}
