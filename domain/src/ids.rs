//! Ids that more than one bounded context speaks of.

use crate::values::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// One order; its checkout and its payment go by the same id.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// What a person reads out on the telephone.
    pub fn number(self) -> OrderNumber {
        OrderNumber((self.0.as_u128() & u128::from(OrderNumber::MAX)) as u64)
    }
}

impl FromStr for OrderId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Uuid::try_parse(text).map(Self).map_err(|_| Invalid::new("an order id is a UUID"))
    }
}

impl From<Uuid> for OrderId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The last 50 bits of an order's id in Crockford's base 32, `7K2MQ-4XR9D`. It is for people; two
/// orders may share one, though hardly ever.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct OrderNumber(u64);

impl OrderNumber {
    const MAX: u64 = (1 << 50) - 1;
    const DIGITS: usize = 10;
    /// <https://www.crockford.com/base32.html>: no I, L, O or U.
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// Reads a digit as generously as Crockford asks: either case, `O` for 0, `I` and `L` for 1.
    fn digit(letter: u8) -> Option<u64> {
        let letter = match letter.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        Self::ALPHABET.iter().position(|known| *known == letter).map(|place| place as u64)
    }
}

impl FromStr for OrderNumber {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bare: Vec<u8> = text.bytes().filter(|letter| *letter != b'-').collect();
        let number = if bare.len() == Self::DIGITS {
            bare.iter().try_fold(0, |number, letter| Some(number << 5 | Self::digit(*letter)?))
        } else {
            None
        };
        number.map(Self).ok_or(Invalid::new("an order number looks like 7K2MQ-4XR9D"))
    }
}

impl TryFrom<String> for OrderNumber {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<OrderNumber> for String {
    fn from(number: OrderNumber) -> String {
        number.to_string()
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..Self::DIGITS).rev() {
            let digit = (self.0 >> (5 * place)) & 31;
            write!(f, "{}", char::from(Self::ALPHABET[digit as usize]))?;
            if place == Self::DIGITS / 2 {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}
