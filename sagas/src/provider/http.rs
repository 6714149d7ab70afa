//! One call over HTTP, sorted into what it can mean: done, refused, or unknown.
//!
//! Source: <https://docs.stripe.com/error-low-level>.

use event_store::failpoint::failpoint;
use std::net::IpAddr;
use std::time::Instant;

use domain::values::Reason;
use edge::{Breaker, BreakerSettings};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::wire::{ErrorBody, StripeError};
use super::{ProviderError, Timeouts, Unknown};

/// The version of Stripe's API that this client was written for.
const STRIPE_VERSION: &str = "2024-06-20";

#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
    pub(super) breaker: Breaker,
}

/// Why a call has no object to show.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The provider will not do it, and has not.
    Refused(Refused),
    Unknown(Unknown),
    /// Unknown, and the key will bring no other answer.
    KeySpent(Unknown),
}

#[derive(Debug)]
pub(super) struct Refused {
    /// The card's issuer refused, not the provider.
    pub(super) card: bool,
    pub(super) code: String,
    pub(super) reason: Reason,
}

impl Http {
    pub(super) fn new(
        url: &str,
        key: &str,
        timeouts: Timeouts,
        breaker: BreakerSettings,
    ) -> Result<Self, ProviderError> {
        // One provider of cryptography serves the process; whoever is first installs it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let url = reqwest::Url::parse(url).map_err(|_| ProviderError::Settings)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProviderError::Settings);
        }
        let mut authorisation =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ProviderError::Settings)?;
        authorisation.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorisation);
        headers.insert("stripe-version", HeaderValue::from_static(STRIPE_VERSION));
        let mut client = reqwest::Client::builder();
        if is_here(&url) {
            // A proxy from the environment cannot reach this machine's own loopback.
            client = client.no_proxy();
        }
        let client = client
            .default_headers(headers)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.answer)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ProviderError::Client)?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, breaker: Breaker::new("payment-provider", breaker) })
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        form: &[(&str, String)],
    ) -> Result<T, Trouble> {
        let mut request = self.request(Method::POST, path).form(form);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Unknown> {
        match self.send(self.request(Method::GET, path).query(query)).await {
            Ok(found) => Ok(found),
            Err(Trouble::Refused(refused)) => Err(Unknown::NotUnderstood(refused.code)),
            Err(Trouble::Unknown(unknown) | Trouble::KeySpent(unknown)) => Err(unknown),
        }
    }

    /// [`Http::get`], where *no such object* is an answer.
    pub(super) async fn get_or_none<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, Unknown> {
        match self.send(self.request(Method::GET, path)).await {
            Ok(found) => Ok(Some(found)),
            Err(Trouble::Refused(refused)) if refused.code == "resource_missing" => Ok(None),
            Err(Trouble::Refused(refused)) => Err(Unknown::NotUnderstood(refused.code)),
            Err(Trouble::Unknown(unknown) | Trouble::KeySpent(unknown)) => Err(unknown),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Trouble> {
        let permit = self.breaker.permit().ok_or(Trouble::Unknown(Unknown::BreakerOpen))?;
        let began = Instant::now();
        failpoint("provider-before-call");
        let answer = request.send().await;
        failpoint("provider-after-call");
        let sorted = match answer {
            Ok(response) => sort(response).await,
            Err(error) => Err(Trouble::Unknown(line(error))),
        };
        let outcome = match &sorted {
            Ok(_) => "done",
            Err(Trouble::Refused(_)) => "refused",
            Err(Trouble::Unknown(_) | Trouble::KeySpent(_)) => "unknown",
        };
        let seconds = began.elapsed().as_secs_f64();
        metrics::histogram!("daybook_provider_call_seconds", "outcome" => outcome).record(seconds);
        if is_well(&sorted) {
            permit.succeeded();
        }
        sorted
    }
}

fn is_here(url: &reqwest::Url) -> bool {
    let address = url.host_str().map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>());
    match address {
        Some(Ok(address)) => address.is_loopback(),
        Some(Err(_)) | None => url.host_str() == Some("localhost"),
    }
}

/// Whether the provider itself is in order: it answered, be it a refusal or *not now*.
fn is_well<T>(sorted: &Result<T, Trouble>) -> bool {
    match sorted {
        Ok(_) | Err(Trouble::Refused(_) | Trouble::KeySpent(_)) => true,
        Err(Trouble::Unknown(unknown)) => match unknown {
            Unknown::Busy | Unknown::Processing | Unknown::Unauthorised => true,
            Unknown::TimedOut(_)
            | Unknown::Line(_)
            | Unknown::Broken { .. }
            | Unknown::NotUnderstood(_)
            | Unknown::BreakerOpen => false,
        },
    }
}

async fn sort<T: DeserializeOwned>(response: Response) -> Result<T, Trouble> {
    let status = response.status();
    let replayed = response.headers().get("idempotent-replayed").is_some_and(|it| it == "true");
    let body = response.bytes().await.map_err(|error| Trouble::Unknown(line(error)))?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|error| Trouble::Unknown(Unknown::NotUnderstood(error.to_string())));
    }
    let broken = Unknown::Broken { status: status.as_u16() };
    match status {
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
            Err(Trouble::Unknown(Unknown::Busy))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(status = status.as_u16(), "the payment provider refused the API key");
            Err(Trouble::Unknown(Unknown::Unauthorised))
        }
        // Another party's failure is not a refusal.
        StatusCode::FAILED_DEPENDENCY => Err(Trouble::Unknown(broken)),
        _ if status.is_server_error() && replayed => Err(Trouble::KeySpent(broken)),
        _ if status.is_client_error() => match serde_json::from_slice(&body) {
            Ok(ErrorBody { error }) => Err(refusal(error, broken)),
            // Something between us and the provider may have said this.
            Err(_) => Err(Trouble::Unknown(broken)),
        },
        _ => Err(Trouble::Unknown(broken)),
    }
}

fn refusal(error: StripeError, broken: Unknown) -> Trouble {
    if error.kind == "idempotency_error" {
        // The key was used by another version of this program, with other parameters.
        tracing::error!(message = error.message, "the payment provider knows the key otherwise");
        return Trouble::KeySpent(broken);
    }
    if error.kind != "card_error" {
        tracing::warn!(code = error.code, message = error.message, "the payment provider refused");
    }
    Trouble::Refused(error.into())
}

fn line(error: reqwest::Error) -> Unknown {
    if error.is_timeout() { Unknown::TimedOut(error) } else { Unknown::Line(error) }
}
