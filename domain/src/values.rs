//! Values that cannot hold nonsense. Each is made by `TryFrom` or `FromStr`, and its serde form goes
//! through the same door, so a bad one is refused wherever it comes from; the error names the rule.

mod country;
mod currency;
mod money;
mod number;
mod text;

pub use country::Country;
pub use currency::Currency;
pub use money::Money;
pub use number::{LineNumber, Quantity, StockChange, TaxRate};
pub use text::{CustomerRef, Operator, PaymentMethod, ProductName, Reason, Remark, Sku};

/// A value broke the rule of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Invalid {
    rule: &'static str,
}

impl Invalid {
    pub(crate) const fn new(rule: &'static str) -> Self {
        Self { rule }
    }

    /// The rule, as a sentence for a person: *a quantity is between 1 and 1000000*.
    pub fn rule(self) -> &'static str {
        self.rule
    }
}

#[cfg(test)]
mod tests;
