use crate::{Problem, clock};
use axum::extract::FromRequestParts;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderName, HeaderValue, request::Parts};
use std::time::Duration;

/// The instant, of RFC 3339, after which whoever asked no longer waits. An instant and no length of time: a request
/// may have lain in front of a process that stood still. So the clocks of the two must agree within it.
pub const DEADLINE: HeaderName = HeaderName::from_static("daybook-deadline");

/// Until when a request may begin; none if whoever asked does not say.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<DateTime<Utc>>);

impl Deadline {
    /// So long from now, as a header.
    pub(crate) fn within(time: Duration) -> HeaderValue {
        let at = clock::now() + time;
        HeaderValue::try_from(at.to_rfc3339_opts(SecondsFormat::Millis, true))
            .expect("an instant is visible ASCII")
    }

    /// To be asked before anything is begun.
    ///
    /// # Errors
    /// 503 if it has passed: nobody waits for an answer, and who is left comes again.
    pub fn check(self) -> Result<(), Problem> {
        if self.0.is_none_or(|at| clock::now() <= at) {
            return Ok(());
        }
        Err(Problem::unavailable("deadline-passed", 1)
            .detail("The deadline of this request has passed; nothing was done.")
            .in_a_rush())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Deadline {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(said) = parts.headers.get(DEADLINE) else { return Ok(Deadline(None)) };
        let at = said.to_str().ok().and_then(|text| text.parse().ok());
        let not_understood = || {
            Problem::bad_request("invalid-deadline", "Daybook-Deadline is an instant of RFC 3339.")
        };
        at.map(|at| Deadline(Some(at))).ok_or_else(not_understood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    async fn read(text: &str) -> Result<Deadline, Problem> {
        let request = Request::builder().header(DEADLINE, text).body(()).unwrap();
        Deadline::from_request_parts(&mut request.into_parts().0, &()).await
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let passed = read("2010-12-01T08:26:00Z").await.unwrap();
        assert_eq!(passed.check().unwrap_err().slug(), "deadline-passed");
        let said = Deadline::within(Duration::from_secs(600));
        read(said.to_str().unwrap()).await.unwrap().check().unwrap();
        Deadline(None).check().unwrap();
        assert_eq!(read("soon").await.unwrap_err().slug(), "invalid-deadline");
    }
}
