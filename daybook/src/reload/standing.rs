use chrono::{DateTime, SecondsFormat, Utc};
use edge::{Health, clock};
use metrics::{counter, gauge};
use serde_json::json;

/// How it stands with the settings, as `/health/ready`, the metrics and the log tell it.
pub(super) struct Standing {
    health: Health,
    read_at: DateTime<Utc>,
    /// What stands in the files now, if it is not in force, and why.
    refused: Option<(DateTime<Utc>, String)>,
    /// Keys that are changed in the file, and need a restart.
    waiting: Vec<&'static str>,
}

impl Standing {
    pub(super) fn begin(health: Health) -> Self {
        for outcome in ["taken", "refused"] {
            counter!("daybook_reloads_total", "outcome" => outcome).increment(0);
        }
        gauge!("daybook_settings_refused_timestamp_seconds").set(0);
        let standing =
            Standing { health, read_at: clock::now(), refused: None, waiting: Vec::new() };
        standing.show();
        standing
    }

    /// All is in force, but for keys that wait for a restart.
    pub(super) fn taken(&mut self, changed: &str, files: &str, waiting: Vec<&'static str>) {
        counter!("daybook_reloads_total", "outcome" => "taken").increment(1);
        tracing::info!(changed, files, "the settings and the files they name were read again");
        if !waiting.is_empty() && waiting != self.waiting {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these settings have changed, and need a restart");
        }
        *self =
            Standing { health: self.health.clone(), read_at: clock::now(), refused: None, waiting };
        self.show();
    }

    /// Everything is as it was, but for what is withdrawn.
    pub(super) fn refused(&mut self, why: &str) {
        counter!("daybook_reloads_total", "outcome" => "refused").increment(1);
        tracing::error!(why, "new settings are refused as a whole; the old ones stay in force");
        let now = clock::now();
        gauge!("daybook_settings_refused_timestamp_seconds").set(now.timestamp() as f64);
        self.refused = Some((now, why.to_owned()));
        self.show();
    }

    fn show(&self) {
        let Standing { health, read_at, refused, waiting } = self;
        gauge!("daybook_settings_read_timestamp_seconds").set(read_at.timestamp() as f64);
        gauge!("daybook_settings_waiting").set(waiting.len() as f64);
        let text = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let refused = refused.as_ref().map(|(at, why)| json!({"at": text(at), "why": why}));
        let settings = json!({
            "read_at": text(read_at), "refused": refused, "waiting_for_restart": waiting,
        });
        health.report("settings", settings);
    }
}
