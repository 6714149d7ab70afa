use super::Invalid;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// A newtype of an integer between two bounds. Its JSON is the plain number.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $rule:literal, $fits:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(try_from = "i64")]
        pub struct $name($inner);

        impl $name {
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = Invalid;

            fn try_from(number: i64) -> Result<Self, Invalid> {
                let fits: fn(i64) -> bool = $fits;
                <$inner>::try_from(number)
                    .ok()
                    .filter(|_| fits(number))
                    .map(Self)
                    .ok_or(Invalid::new($rule))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("type".to_owned(), "integer".into());
                schema.insert("description".to_owned(), $rule.into());
                schema
            }
        }

        impl From<$name> for i64 {
            fn from(number: $name) -> i64 {
                i64::from(number.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// How many pieces, at least one.
    Quantity(u32),
    "a quantity is between 1 and 1000000",
    |n| (1..=1_000_000).contains(&n),
    { "minimum": 1, "maximum": 1_000_000 }
);

number!(
    /// By how many pieces a count was off; never zero.
    StockChange(i64),
    "a stock change is between -1000000000 and 1000000000, and not 0",
    |n| n != 0 && (-1_000_000_000..=1_000_000_000).contains(&n),
    { "minimum": -1_000_000_000, "maximum": 1_000_000_000, "not": { "const": 0 } }
);

number!(
    /// A tax rate in basis points: 2000 is 20 %. Prices include it.
    #[derive(Default)]
    TaxRate(u32),
    "a tax rate is between 0 and 10000 basis points",
    |n| (0..=10_000).contains(&n),
    { "minimum": 0, "maximum": 10_000 }
);

number!(
    /// The place of a line in its order, from 1. It names the line for the order's whole life.
    LineNumber(u32),
    "a line number is 1 or more",
    |n| n >= 1,
    { "minimum": 1, "maximum": u32::MAX }
);

impl Quantity {
    /// The sum, or `None` if it is too large for a quantity.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::try_from(i64::from(self) + i64::from(other)).ok()
    }
}

impl LineNumber {
    /// Numbers lines in the order in which they stand: 1, 2, 3 …
    pub fn sequence() -> impl Iterator<Item = Self> {
        (1..=u32::MAX).map(Self)
    }
}
