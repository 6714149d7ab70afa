//! Pounds as the file writes them, to whole pence, without a float on the way.

use std::str::FromStr;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// An amount in pence. Below zero it is only ever a reason to reject a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pence(pub i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price is digits with an optional point, below a million million")]
pub struct NotAPrice;

impl Pence {
    pub const ZERO: Self = Self(0);

    pub(super) fn times(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i64::try_from(count).ok()?).map(Self)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

/// Pounds, rounded half up: `2.55` is 255, `0.425` is 43, `-0.425` is -42.
impl FromStr for Pence {
    type Err = NotAPrice;

    fn from_str(text: &str) -> Result<Self, NotAPrice> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (pounds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(pounds) || !digits(fraction) || pounds.len() > 12 {
            return Err(NotAPrice);
        }
        let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |b| i64::from(b - b'0'));
        let pounds: i64 = pounds.parse().map_err(|_| NotAPrice)?;
        let pence = pounds * 100 + digit(0) * 10 + digit(1);
        // Half of a penny goes up, which below zero is towards zero.
        let is_half = digit(2) == 5 && fraction.bytes().skip(3).all(|b| b == b'0');
        let round_away = digit(2) >= 5 && !(negative && is_half);
        let pence = pence + i64::from(round_away);
        Ok(Self(if negative { -pence } else { pence }))
    }
}

/// The API's money: `{"amount": 255, "currency": "GBP"}`.
impl Serialize for Pence {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut money = to.serialize_struct("Money", 2)?;
        money.serialize_field("amount", &self.0)?;
        money.serialize_field("currency", "GBP")?;
        money.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pence(text: &str) -> i64 {
        text.parse::<Pence>().unwrap().0
    }

    #[test]
    fn pounds_become_pence() {
        assert_eq!(pence("2.55"), 255);
        assert_eq!(pence("18"), 1800);
        assert_eq!(pence("27.5"), 2750);
        assert_eq!(pence("0"), 0);
        assert_eq!(pence("569.77"), 56_977);
        assert_eq!(pence("999999999999.99"), 99_999_999_999_999);
    }

    #[test]
    fn half_a_penny_goes_up() {
        assert_eq!(pence("0.425"), 43);
        assert_eq!(pence("0.4249999999999999999999"), 42);
        assert_eq!(pence("0.994"), 99);
        assert_eq!(pence("0.995"), 100);
        assert_eq!(pence("0.001"), 0);
        assert_eq!(pence("-0.425"), -42);
        assert_eq!(pence("-0.4251"), -43);
        assert_eq!(pence("-11062.06"), -1_106_206);
    }

    #[test]
    fn what_a_float_would_get_wrong_is_right() {
        assert_eq!(pence("1.005"), 101);
        assert_eq!(pence("8.165"), 817);
        assert_eq!(pence("90071992547.41"), 9_007_199_254_741);
    }

    #[test]
    fn anything_else_is_no_price() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "NaN", "1,50", "£2", "+1", "1.2.3", "٣"] {
            assert_eq!(text.parse::<Pence>(), Err(NotAPrice), "{text:?}");
        }
        assert_eq!("1000000000000".parse::<Pence>(), Err(NotAPrice));
    }

    #[test]
    fn in_json_it_is_money() {
        let json = serde_json::to_string(&Pence(255)).unwrap();
        assert_eq!(json, r#"{"amount":255,"currency":"GBP"}"#);
    }
}
