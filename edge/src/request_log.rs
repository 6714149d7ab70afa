//! One line per request, whatever becomes of it.

use crate::{Problem, RequestContext, problem::PROBLEM_URN};
use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::Method;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Seconds; from a cached answer to the time limit.
pub(crate) const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(crate) async fn log_request(mut request: Request, next: Next) -> Response {
    let context = RequestContext::of(request.headers());
    request.extensions_mut().insert(context.clone());
    let line = Line::begin(&request, context.correlation);
    let response = next.run(request).await;
    line.end(&response);
    response
}

/// The line of a request, written when it ends, or when its caller goes away before.
struct Line {
    method: Method,
    path: String,
    correlation: Arc<str>,
    began: Instant,
    written: bool,
}

impl Line {
    fn begin(request: &Request, correlation: Arc<str>) -> Self {
        // Never the path itself: a label of a metric must come from a small set.
        let path = request.extensions().get::<MatchedPath>().map_or("unmatched", |it| it.as_str());
        Line {
            method: request.method().clone(),
            path: path.to_owned(),
            correlation,
            began: Instant::now(),
            written: false,
        }
    }

    fn end(mut self, response: &Response) {
        self.written = true;
        let problem = response.extensions().get::<Problem>();
        self.write(
            response.status().as_u16(),
            response.body().size_hint().exact(),
            problem,
            problem.and_then(Problem::cause),
        );
    }

    fn write(
        &self,
        status: u16,
        bytes: Option<u64>,
        problem: Option<&Problem>,
        cause: Option<&str>,
    ) {
        let in_a_rush = problem.is_some_and(Problem::is_in_a_rush);
        let problem = problem.map(|problem| format!("{PROBLEM_URN}{}", problem.slug()));
        let took = self.began.elapsed();
        self.measure(status, took);
        let duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        let method = self.method.as_str();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "request", method, path = self.path, status, duration_ms, bytes,
                    correlation = &*self.correlation, problem, cause,
                )
            };
        }
        match status {
            500 => line!(error),
            _ if in_a_rush => line!(debug),
            501.. => line!(warn),
            ..500 => line!(info),
        }
    }

    fn measure(&self, status: u16, took: Duration) {
        let labels = [
            ("method", known_method(&self.method).to_owned()),
            ("path", self.path.clone()),
            ("status", status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels[..2])
            .record(took.as_secs_f64());
    }
}

/// Anybody may invent a method; only these become labels.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            // 499 is what nginx says of a client that did not wait.
            self.write(499, None, None, Some("the caller went away"));
        }
    }
}
