//! The saga that carries an order across stock and payment.

#[expect(clippy::module_inception, reason = "the context and its only aggregate share their noun")]
pub mod checkout;
