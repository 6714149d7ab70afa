//! The process's log, on standard error.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// How a line of the log looks: for people or for machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter cannot be read")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    #[error("the log was started before")]
    Started(#[source] tracing_subscriber::util::TryInitError),
}

/// Which lines are written. It may be set to another filter at any time.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    pub fn set(&self, filter: EnvFilter) {
        if let Err(error) = self.0.reload(filter) {
            tracing::error!(%error, "what is logged stays as it was");
        }
    }
}

/// Reads a filter, which is tracing's: `info`, `warn,request=info`.
///
/// # Errors
/// If it is none.
pub fn filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(text).map_err(TelemetryError::Filter)
}

/// Starts the log; once per process.
///
/// # Errors
/// If it was started before, or `filter` is none.
pub fn init(format: LogFormat, filter: &str) -> Result<LogFilter, TelemetryError> {
    let (filter, handle) = reload::Layer::new(self::filter(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    registry.try_init().map_err(TelemetryError::Started)?;
    log_panics();
    Ok(LogFilter(handle))
}

/// A panic is a line of the log like any other, not loose text between lines that machines read.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        let backtrace = backtrace.map(|backtrace| backtrace.to_string());
        tracing::error!(target: "panic", location, message, backtrace);
    }));
}
