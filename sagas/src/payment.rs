//! The payment in motion: what a payment owes is a call to the provider, and what the provider answers
//! for good is recorded in the payment's stream. What is unknown is asked again.

use std::time::Duration;

use async_trait::async_trait;
use domain::payments::payment::{self, Call, Command, Operation, Outcome, Payment};
use domain::values::Reason;
use event_store::Transactor;
use event_store::dues::{Asked, Claimed, DueLimits, Settle};
use event_store::follow::ReadSide;

use crate::provider::{Provider, Reference, Unknown};
use crate::{Saga, envelope};

/// Providers forget an idempotency key, Stripe after a day at the earliest. What has been asked for
/// longer than this is looked up before it is asked again.
const KEY_LIFE: Duration = Duration::from_secs(20 * 60 * 60);

/// The saga of the `payments` service. A call and its look-ups should fit into the limits' lease;
/// where they do not, the provider sees the same key twice at once, which harms nobody.
#[must_use]
pub fn saga(
    payment: Transactor<Payment>,
    read: &ReadSide,
    provider: Provider,
    limits: DueLimits,
) -> Saga<Payment> {
    let log = payment.log().clone();
    Saga::new(log, read, Calls { provider, payment }, limits)
}

struct Calls {
    provider: Provider,
    payment: Transactor<Payment>,
}

#[async_trait]
impl Settle<Payment> for Calls {
    async fn settle(&self, due: Claimed<Call>) -> Asked {
        let Some(order) = payment::id_of(&due.stream) else {
            return Asked::Again(format!("{} names no payment", due.stream));
        };
        let what = Reference { order, attempt: due.request.attempt };
        let age = (edge::clock::now() - due.due_at).to_std().unwrap_or_default();
        let outcome = match self.call(what, &due.request, age > KEY_LIFE).await {
            Ok(outcome) => outcome,
            Err(unknown) => return Asked::Again(unknown.to_string()),
        };
        let Call { operation, attempt, .. } = due.request;
        let command = Command::Answer { operation, attempt, outcome };
        match self.payment.transact(&due.stream, command, envelope::of_request(&due)).await {
            Ok(_) => Asked::Yes,
            // Also a rejection, which an answer never meets: the provider has spoken, and what it
            // said must not be lost.
            Err(error) => Asked::Again(error.to_string()),
        }
    }
}

impl Calls {
    async fn call(&self, what: Reference, call: &Call, old: bool) -> Result<Outcome, Unknown> {
        let provider = &self.provider;
        let outcome = match (call.operation, call.amount, &call.method, &call.reference) {
            (Operation::Authorisation, Some(amount), Some(method), _) => {
                if old && let Some(outcome) = provider.find(what).await? {
                    return Ok(outcome);
                }
                provider.authorise(what, amount, method).await?
            }
            (Operation::Capture, Some(amount), _, Some(intent)) => {
                provider.capture(what, intent, amount).await?
            }
            (Operation::Void, _, _, Some(intent)) => provider.void(what, intent).await?,
            (Operation::Refund, Some(amount), _, Some(intent)) => {
                if old && let Some(outcome) = provider.find_refund(what, intent).await? {
                    return Ok(outcome);
                }
                provider.refund(what, intent, amount).await?
            }
            (
                Operation::Authorisation | Operation::Capture | Operation::Void | Operation::Refund,
                _,
                _,
                _,
            ) => Outcome::Failed { reason: Reason::from_foreign("incomplete-call") },
        };
        Ok(outcome)
    }
}
