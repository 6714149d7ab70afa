use super::{Currency, Invalid, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount of one currency in its minor unit (pence, cents), from 0 to 10^14. Its JSON is
/// `{"amount": 1095, "currency": "GBP"}`, and no other field is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
#[schemars(description = "An amount of one currency in its minor unit (pence, cents).")]
pub struct Money {
    #[schemars(range(min = 0, max = MAX))]
    amount: i64,
    currency: Currency,
}

/// An amount of one currency in its minor unit (pence, cents).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Money")]
struct Fields {
    #[schemars(range(min = 0, max = MAX))]
    amount: i64,
    currency: Currency,
}

const MAX: i64 = 100_000_000_000_000;

impl TryFrom<Fields> for Money {
    type Error = Invalid;

    fn try_from(fields: Fields) -> Result<Self, Invalid> {
        Self::new(fields.amount, fields.currency)
    }
}

impl Money {
    /// The largest amount, in minor units.
    pub const MAX: i64 = MAX;

    /// # Errors
    /// If the amount is negative or above [`Money::MAX`].
    pub fn new(amount: i64, currency: Currency) -> Result<Self, Invalid> {
        if (0..=Self::MAX).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(Invalid::new("an amount is between 0 and 100000000000000 minor units"))
        }
    }

    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// In minor units.
    pub const fn amount(self) -> i64 {
        self.amount
    }

    pub const fn currency(self) -> Currency {
        self.currency
    }

    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }

    /// The sum; `None` if the currencies differ or it is above [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.with_same(other, self.amount.checked_add(other.amount)?)
    }

    /// The difference; `None` if the currencies differ or it would be negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.with_same(other, self.amount.checked_sub(other.amount)?)
    }

    /// The price of so many pieces; `None` if it is above [`Money::MAX`].
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        Self::new(self.amount.checked_mul(i64::from(quantity))?, self.currency).ok()
    }

    fn with_same(self, other: Self, amount: i64) -> Option<Self> {
        if self.currency == other.currency { Self::new(amount, self.currency).ok() } else { None }
    }
}

/// For people who read logs: `1095 GBP`, still in minor units.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}
