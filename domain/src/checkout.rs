//! The saga that carries an order across stock and payment.

pub mod checkout;
