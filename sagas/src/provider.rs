//! The payment provider's client. It speaks Stripe's wire format, to Stripe or to the sandbox.
//!
//! Every operation ends in an [`Outcome`] that is final, or in [`Unknown`], which says nothing about
//! what happened and is never taken for a decline: the same call is made again, under the same
//! idempotency key, until there is an answer. The key is payment + operation + attempt.
//!
//! A key can be spent without an answer: Stripe keeps a 500 under it like any other answer. Then the
//! provider's own state is looked up, by the intent's id or by the order and attempt in its metadata.

mod amount;
mod http;
mod wire;

use std::time::Duration;

use domain::ids::OrderId;
use domain::payments::payment::{self, Outcome};
use domain::values::{Money, PaymentMethod, Reason};
use edge::{Breaker, BreakerSettings};

use amount::wire_amount;
use http::{Http, Trouble};
use wire::{Intent, List, Refund};

/// Nobody knows yet whether it happened.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    #[error("the provider did not answer in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("the line to the provider failed")]
    Line(#[source] reqwest::Error),
    #[error("the provider answered {status}")]
    Broken { status: u16 },
    #[error("the provider is still busy with the same request, or with too many")]
    Busy,
    #[error("the provider refused the API key")]
    Unauthorised,
    #[error("the provider's answer was not understood: {0}")]
    NotUnderstood(String),
    #[error("the provider has been failing and is left alone for a moment")]
    BreakerOpen,
    #[error("the provider is still processing it")]
    Processing,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("the provider's URL or key cannot be sent over HTTP")]
    Settings,
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// How long to wait for the provider.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// For the whole of one call.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(20) }
    }
}

/// Which payment, and which try at it: the merchant reference that the provider keeps with the intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    pub order: OrderId,
    pub attempt: u32,
}

impl Reference {
    fn key(&self, operation: &str) -> String {
        let stream = payment::stream(self.order);
        format!("{stream}:{operation}:{}", self.attempt)
    }
}

/// Clone is cheap, and clones share their connections and their breaker.
#[derive(Clone)]
pub struct Provider {
    http: Http,
}

impl Provider {
    /// A client for the provider at `url`, `https://api.stripe.com` or a sandbox's.
    ///
    /// # Errors
    /// If the URL or key cannot be put into a request, or TLS has no roots to trust.
    pub fn new(
        url: &str,
        key: &str,
        timeouts: Timeouts,
        breaker: BreakerSettings,
    ) -> Result<Self, ProviderError> {
        Ok(Self { http: Http::new(url, key, timeouts, breaker)? })
    }

    /// Stands before the provider; clones share its state.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.http.breaker
    }

    /// Asks for the money to be held.
    pub async fn authorise(
        &self,
        what: Reference,
        amount: Money,
        method: &PaymentMethod,
    ) -> Result<Outcome, Unknown> {
        let Some(units) = wire_amount(amount) else { return Ok(failed("amount-not-payable")) };
        let form = [
            ("amount", units.to_string()),
            ("currency", amount.currency().as_str().to_lowercase()),
            ("payment_method", method.as_str().to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("capture_method", "manual".to_owned()),
            ("confirm", "true".to_owned()),
            ("off_session", "true".to_owned()),
            ("metadata[order]", what.order.to_string()),
            ("metadata[attempt]", what.attempt.to_string()),
        ];
        let key = what.key("authorise");
        match self.http.post::<Intent>("/v1/payment_intents", Some(&key), &form).await {
            Ok(intent) => intent.authorisation(),
            Err(Trouble::Refused(refused)) => Ok(refused.answer()),
            Err(Trouble::KeySpent(unknown)) => self.find(what).await?.ok_or(unknown),
            Err(Trouble::Unknown(unknown)) => Err(unknown),
        }
    }

    /// Looks an authorisation up by its order and attempt. `None` is no proof that there is none:
    /// Stripe's search is up to an hour behind.
    pub async fn find(&self, what: Reference) -> Result<Option<Outcome>, Unknown> {
        let Reference { order, attempt } = what;
        let query = format!("metadata['order']:'{order}' AND metadata['attempt']:'{attempt}'");
        let path = "/v1/payment_intents/search";
        let found: List<Intent> = self.http.get(path, &[("query", query)]).await?;
        if found.data.len() > 1 {
            let intents: Vec<_> = found.data.iter().map(|intent| intent.id.as_str()).collect();
            tracing::error!(%order, attempt, ?intents, "one authorisation has several intents");
        }
        let best = found.data.iter().max_by_key(|intent| intent.holds_money());
        best.map(Intent::authorisation).transpose()
    }

    /// Takes `amount` of what is held; the rest, if any, is released.
    pub async fn capture(
        &self,
        what: Reference,
        intent: &str,
        amount: Money,
    ) -> Result<Outcome, Unknown> {
        let Some(units) = wire_amount(amount) else { return Ok(failed("amount-not-payable")) };
        let path = format!("/v1/payment_intents/{intent}/capture");
        let form = [("amount_to_capture", units.to_string())];
        self.settle(&path, &what.key("capture"), &form, intent, |now| now.capture(units)).await
    }

    /// Lets go of what is held.
    pub async fn void(&self, what: Reference, intent: &str) -> Result<Outcome, Unknown> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        self.settle(&path, &what.key("void"), &[], intent, Intent::void).await
    }

    /// Gives `amount` of what was taken back.
    pub async fn refund(
        &self,
        what: Reference,
        intent: &str,
        amount: Money,
    ) -> Result<Outcome, Unknown> {
        let Some(units) = wire_amount(amount) else { return Ok(failed("amount-not-payable")) };
        let form = [
            ("payment_intent", intent.to_owned()),
            ("amount", units.to_string()),
            ("metadata[order]", what.order.to_string()),
            ("metadata[attempt]", what.attempt.to_string()),
        ];
        let key = what.key("refund");
        match self.http.post::<Refund>("/v1/refunds", Some(&key), &form).await {
            Ok(refund) => refund.answer(),
            Err(Trouble::Refused(refused)) => match self.find_refund(what, intent).await? {
                Some(done) => Ok(done),
                None => Ok(refused.failure()),
            },
            Err(Trouble::KeySpent(unknown)) => self.find_refund(what, intent).await?.ok_or(unknown),
            Err(Trouble::Unknown(unknown)) => Err(unknown),
        }
    }

    /// Capture and void change the one state of an intent, so its state tells what became of them: a
    /// refusal may mean *already so*, and under a spent key the request may safely be made anew,
    /// without one.
    async fn settle(
        &self,
        path: &str,
        key: &str,
        form: &[(&str, String)],
        intent: &str,
        outcome: impl Fn(&Intent) -> Option<Outcome>,
    ) -> Result<Outcome, Unknown> {
        let trouble = match self.http.post::<Intent>(path, Some(key), form).await {
            Ok(now) => return outcome(&now).ok_or(Unknown::Processing),
            Err(Trouble::Unknown(unknown)) => return Err(unknown),
            Err(trouble @ (Trouble::Refused(_) | Trouble::KeySpent(_))) => trouble,
        };
        if let Some(answer) = self.look(intent).await?.and_then(|now| outcome(&now)) {
            return Ok(answer);
        }
        match trouble {
            Trouble::Refused(refused) => Ok(refused.failure()),
            Trouble::Unknown(unknown) => Err(unknown),
            Trouble::KeySpent(_) => match self.http.post::<Intent>(path, None, form).await {
                Ok(now) => outcome(&now).ok_or(Unknown::Processing),
                Err(Trouble::Refused(refused)) => Ok(refused.failure()),
                Err(Trouble::KeySpent(unknown) | Trouble::Unknown(unknown)) => Err(unknown),
            },
        }
    }

    /// An intent by its id, which is never behind; `None` if there is no such intent.
    async fn look(&self, intent: &str) -> Result<Option<Intent>, Unknown> {
        self.http.get_or_none(&format!("/v1/payment_intents/{intent}")).await
    }

    /// Looks a refund up by its attempt, among those of its intent.
    pub async fn find_refund(
        &self,
        what: Reference,
        intent: &str,
    ) -> Result<Option<Outcome>, Unknown> {
        let query = [("payment_intent", intent.to_owned()), ("limit", "100".to_owned())];
        let found: List<Refund> = self.http.get("/v1/refunds", &query).await?;
        let ours = found.data.iter().find(|refund| refund.attempt() == Some(what.attempt));
        ours.map(Refund::answer).transpose()
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: Reason::from_foreign(reason) }
}
